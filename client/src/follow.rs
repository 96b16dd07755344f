//! Follows a stream of events over disconnects.

use std::{collections::VecDeque, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    api::{Api, Stream},
    error::CallError,
    sse::{Event, Parser},
};

/// The daemon sends a comment after 8 s without an event. After this silence the connection is dead.
const SILENCE: Duration = Duration::from_secs(20);

/// The waits before the attempts to connect again. The last one repeats.
const WAITS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// The longest wait that an answer can ask for.
const ASKED_MAX: Duration = Duration::from_secs(60);

/// A stream of events that is opened again after each disconnect, where it was.
pub struct Follow<'a> {
    api: &'a Api,
    path: String,
    open: Option<Open>,
    last_id: Option<String>,
    ready: VecDeque<Event>,
    /// The connections that were lost or failed since the last event.
    attempts: usize,
    /// When to connect.
    at: Option<Instant>,
    /// Whether a connection was open. If the first one fails, the URL or the daemon's address may be wrong.
    was_open: bool,
}

struct Open {
    stream: Stream,
    parser: Parser,
}

/// An event, or a change of the connection.
#[derive(Debug)]
pub enum News {
    /// An event.
    Event(Event),
    /// The connection is lost, or could not be opened. The next call connects again.
    Lost(String),
    /// The connection is open again.
    Restored,
}

// === impl Follow ===

impl<'a> Follow<'a> {
    /// Returns a stream of this path.
    pub fn new(api: &'a Api, path: impl Into<String>) -> Self {
        Self {
            api,
            path: path.into(),
            open: None,
            last_id: None,
            ready: VecDeque::new(),
            attempts: 0,
            at: None,
            was_open: false,
        }
    }

    /// Returns what comes next. Cancelling it loses nothing.
    ///
    /// # Errors
    /// If another attempt cannot help, for example because the key is wrong.
    pub async fn next(&mut self) -> Result<News, CallError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(News::Event(event));
            }
            if self.open.is_none() {
                if let Some(news) = self.connect().await? {
                    return Ok(news);
                }
                continue;
            }
            if let Err(why) = self.read().await {
                (self.open, self.at) = (None, None);
                self.attempts += 1;
                return Ok(News::Lost(why));
            }
        }
    }

    /// Reads once from the open stream.
    async fn read(&mut self) -> Result<(), String> {
        let Some(Open { stream, parser }) = &mut self.open else { return Ok(()) };
        let bytes = timeout(SILENCE, stream.next()).await;
        let bytes = bytes.map_err(|_| format!("nothing came for {} s", SILENCE.as_secs()))?;
        let bytes = bytes.ok_or("the daemon has ended the stream")?;
        let bytes = bytes.map_err(|why| format!("the connection is lost ({why})"))?;
        let events = parser.push(&bytes).map_err(|error| error.to_string())?;
        if !events.is_empty() {
            self.attempts = 0;
        }
        for event in events {
            if event.id.is_some() {
                self.last_id.clone_from(&event.id);
            }
            self.ready.push_back(event);
        }
        Ok(())
    }

    /// Connects once. Returns `None` after the first connection, and after an attempt that says nothing new.
    async fn connect(&mut self) -> Result<Option<News>, CallError> {
        let attempts = self.attempts;
        sleep_until(*self.at.get_or_insert_with(|| Instant::now() + wait(attempts))).await;
        match self.api.open(&self.path, self.last_id.as_deref()).await {
            Ok(stream) => {
                let was_lost = self.attempts > 0;
                self.open = Some(Open { stream, parser: Parser::default() });
                (self.at, self.was_open) = (None, true);
                Ok(was_lost.then_some(News::Restored))
            }
            Err(error) if self.was_open && error.is_temporary() => {
                self.attempts += 1;
                let asked = error
                    .refusal()
                    .and_then(|refusal| refusal.retry_after)
                    .unwrap_or_default()
                    .min(ASKED_MAX);
                self.at = Some(Instant::now() + wait(self.attempts).max(asked));
                Ok((self.attempts == 1).then(|| News::Lost(error.to_string())))
            }
            Err(error) => Err(error),
        }
    }
}

/// Returns the wait before an attempt.
fn wait(attempts: usize) -> Duration {
    let at = attempts.saturating_sub(1).min(WAITS.len() - 1);
    WAITS[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that the first attempt is made at once, and that the waits grow to a bound.
    #[test]
    fn waits_grow() {
        let waits: Vec<_> = (0..8).map(|attempts| wait(attempts).as_millis()).collect();
        assert_eq!(waits, [0, 0, 500, 1000, 2000, 5000, 5000, 5000]);
    }
}
