//! Server-Sent Events, as the daemon sends them.

use serde_json::Value;

/// The longest event that is kept, in bytes. The events of the daemon have some KiB.
const EVENT_MAX: usize = 1 << 20;

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The id, for `Last-Event-ID`.
    pub id: Option<String>,
    /// The name.
    pub name: String,
    /// The data.
    pub data: Value,
}

/// An event that is longer than any of the daemon's, or whose data is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream of events cannot be read")]
pub struct InvalidEvent;

/// Cuts a stream of bytes into events.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    id: Option<String>,
    name: String,
    data: String,
    /// Whether the last byte was a carriage return, which ends a line with or without a line feed.
    after_return: bool,
}

// === impl Parser ===

impl Parser {
    /// Reads bytes. Returns the events that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, InvalidEvent> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()?),
                _ if self.line.len() + self.data.len() >= EVENT_MAX => return Err(InvalidEvent),
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Result<Option<Event>, InvalidEvent> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.end_event();
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            // A comment or an unknown field.
            _ => {}
        }
        Ok(None)
    }

    /// An event without data does not count, as in the standard.
    fn end_event(&mut self) -> Result<Option<Event>, InvalidEvent> {
        let (id, name, data) =
            (self.id.take(), std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        if data.is_empty() {
            return Ok(None);
        }
        let data = serde_json::from_str(&data).map_err(|_| InvalidEvent)?;
        Ok(Some(Event { id, name, data }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STREAM: &str = "id: 1-5\nevent: ready\ndata: {\"sandbox_id\":\"a\"}\n\n: no changes\n\nevent: fresh\ndata: {}\n\n\
        event: nothing\n\ndata: {\ndata: }\nunknown: 1\n\n";

    fn wanted() -> Vec<Event> {
        let event = |id: Option<&str>, name: &str, data| Event {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            data,
        };
        vec![
            event(Some("1-5"), "ready", json!({"sandbox_id": "a"})),
            event(None, "fresh", json!({})),
            event(None, "", json!({})),
        ]
    }

    /// Guards that events are the same however the bytes arrive and lines end.
    #[test]
    fn events_are_read_at_every_cut() {
        for stream in [STREAM.to_owned(), STREAM.replace('\n', "\r\n"), STREAM.replace('\n', "\r")] {
            for size in 1..=stream.len() {
                let mut parser = Parser::default();
                let events: Vec<_> =
                    stream.as_bytes().chunks(size).flat_map(|chunk| parser.push(chunk).unwrap()).collect();
                assert_eq!(events, wanted(), "chunks of {size}");
            }
        }
    }

    /// Guards that a server that never ends a line does not fill the memory, and that other data is an error.
    #[test]
    fn other_streams_are_refused() {
        assert_eq!(Parser::default().push(b"data: <html>\n\n"), Err(InvalidEvent));
        let mut parser = Parser::default();
        let endless = vec![b'x'; 1 << 16];
        assert!((0..32).any(|_| parser.push(&endless).is_err()));
        let mut parser = Parser::default();
        let endless = [b"data: ", &endless[..], b"\n"].concat();
        assert!((0..32).any(|_| parser.push(&endless).is_err()));
    }
}
