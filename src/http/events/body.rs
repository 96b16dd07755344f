//! The body of a stream of events.

use std::{
    convert::Infallible,
    fmt,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use fleet::changes::{ChangeReader, Notified};
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep};

use super::text;

/// The longest silence: less than the shortest time-out of usual proxies and clients, 10 s.
const SILENCE: Duration = Duration::from_secs(8);

/// The events that a reader reads, and a comment after each [`SILENCE`].
///
/// It has no buffer, and reads the next event only when the client takes it. So a slow client costs no memory. When it
/// reads again, it gets the missed events from the log, or the present state.
pub struct EventBody {
    reader: ChangeReader,
    /// Completes when there may be something to read.
    notified: Notified,
    /// Completes after the silence that follows an earlier event. It is moved only then, because events are frequent.
    silence: Pin<Box<Sleep>>,
    last_sent: Instant,
}

// === impl EventBody ===

impl EventBody {
    pub(in crate::http) fn new(reader: ChangeReader) -> Self {
        let notified = reader.notified();
        Self { reader, notified, silence: Box::pin(sleep(SILENCE)), last_sent: Instant::now() }
    }

    /// Returns whether there has been silence for long enough. Otherwise the task is woken then.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        while self.silence.as_mut().poll(cx).is_ready() {
            let end = self.last_sent + SILENCE;
            let is_over = end <= Instant::now();
            self.silence.as_mut().reset(if is_over { Instant::now() + SILENCE } else { end });
            if is_over {
                return true;
            }
        }
        false
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let text = loop {
            // The notification was requested before this read, so a change after the read completes it.
            if let Some(news) = this.reader.read() {
                break text::of(&news);
            }
            if Pin::new(&mut this.notified).poll(cx).is_ready() {
                this.notified = this.reader.notified();
            } else if this.is_silent(cx) {
                break Some(text::COMMENT);
            } else {
                return Poll::Pending;
            }
        };
        this.last_sent = Instant::now();
        Poll::Ready(text.map(|text| Ok(Frame::data(text))))
    }
}

impl fmt::Debug for EventBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBody").field("reader", &self.reader).finish_non_exhaustive()
    }
}
