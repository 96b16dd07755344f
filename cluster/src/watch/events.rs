//! The body of a watch: one JSON object a line, each an event.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::core::{Resource, Status};
use serde::{Deserialize, de::DeserializeOwned};
use tower::BoxError;

use crate::{fault::CallError, lenient};

/// The longest event that is read, in bytes: many times what the API server stores as one object (1.5 MiB).
pub const EVENT_MAX: usize = 16 << 20;

/// An event of a watch.
#[derive(Debug)]
pub enum Event<K> {
    /// The object is there (`ADDED` or `MODIFIED`).
    Applied(K),
    /// The object is gone, or has left the selector.
    Deleted(K),
    /// All that happened up to this version was told.
    Bookmark(Option<String>),
    /// The API server ends the watch.
    Refused(CallError),
}

/// The events of a watch, as they come.
#[derive(Debug)]
pub struct Events<B> {
    body: B,
    /// The longest event that is read: [`EVENT_MAX`], but for tests.
    longest: usize,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no end of a line.
    searched: usize,
}

/// An event as it is written. `kind` is not known to come first.
#[derive(Deserialize)]
#[serde(bound(deserialize = "K: Deserialize<'de>"))]
struct Raw<K> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default = "none", deserialize_with = "lenient::object")]
    object: Option<K>,
}

fn none<K>() -> Option<K> {
    None
}

// === impl Events ===

impl<B> Events<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// The events in the body of a watch's answer.
    pub fn new(body: B) -> Self {
        Self::bounded(body, EVENT_MAX)
    }

    /// As [`Events::new`], with another bound on the length of an event, in bytes.
    pub fn bounded(body: B, longest: usize) -> Self {
        Self { body, longest, buffer: BytesMut::new(), searched: 0 }
    }

    /// The next event; `None` when the API server has ended the watch in order. May be dropped and called
    /// again.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no event. Nothing after it is to be trusted.
    pub async fn next<K: Resource + DeserializeOwned>(&mut self) -> Result<Option<Event<K>>, CallError> {
        loop {
            while let Some(line) = self.line() {
                // However it was cut: what is refused in pieces is not read in one either.
                if line.len() > self.longest + 1 {
                    return Err(CallError::Unreadable);
                }
                if !line.trim_ascii().is_empty() {
                    return parse(&line).map(Some);
                }
            }
            if self.buffer.len() > self.longest {
                return Err(CallError::Unreadable);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Err(kube::Error::Service(error.into()).into()),
                // Half an event is no orderly end.
                None if !self.buffer.is_empty() => return Err(CallError::Unreadable),
                None => return Ok(None),
            }
        }
    }

    fn line(&mut self) -> Option<Bytes> {
        let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + end + 1).freeze();
        self.searched = 0;
        Some(line)
    }
}

fn parse<K: Resource + DeserializeOwned>(line: &[u8]) -> Result<Event<K>, CallError> {
    let raw: Raw<K> = serde_json::from_slice(line).map_err(|_| CallError::Unreadable)?;
    match (raw.kind.as_str(), raw.object) {
        ("ADDED" | "MODIFIED", Some(object)) => Ok(Event::Applied(object)),
        ("DELETED", Some(object)) => Ok(Event::Deleted(object)),
        ("BOOKMARK", object) => Ok(Event::Bookmark(object.and_then(|o| o.meta().resource_version.clone()))),
        ("ERROR", _) => {
            let error: Raw<Status> = serde_json::from_slice(line).map_err(|_| CallError::Unreadable)?;
            let status = error.object.map(Box::new);
            let code = status.as_ref().map_or(500, |s| s.code);
            Ok(Event::Refused(CallError::Answered { code, status, retry_after: None }))
        }
        _ => Err(CallError::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;
    use crate::types::Pod;

    fn events(
        chunks: &[&'static str],
    ) -> Events<impl http_body::Body<Data = Bytes, Error = Infallible> + Unpin> {
        let frames: Vec<_> = chunks
            .iter()
            .map(|c| Ok::<_, Infallible>(Frame::data(Bytes::from_static(c.as_bytes()))))
            .collect();
        Events::new(StreamBody::new(futures::stream::iter(frames)))
    }

    fn name(pod: &Pod) -> &str {
        pod.metadata.name.as_deref().unwrap_or_default()
    }

    /// Frames end anywhere; lines are what counts, and the order of an event's fields does not.
    #[tokio::test]
    async fn events_are_lines_however_they_are_cut() {
        let mut events = events(&[
            r#"{"type":"ADDED","object":{"metadata":{"name":"a"}}}"#,
            "\n{\"object\":{\"metadata\":{\"na",
            "me\":\"b\"}},\"type\":\"MODIFIED\"}\n\n",
            "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"c\"}}}\r\n",
            "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}\n",
        ]);
        assert!(matches!(events.next().await, Ok(Some(Event::Applied(pod))) if name(&pod) == "a"));
        assert!(matches!(events.next().await, Ok(Some(Event::Applied(pod))) if name(&pod) == "b"));
        assert!(matches!(events.next().await, Ok(Some(Event::Deleted(pod))) if name(&pod) == "c"));
        let mark = events.next::<Pod>().await;
        assert!(matches!(mark, Ok(Some(Event::Bookmark(Some(version)))) if version == "9"));
        assert!(matches!(events.next::<Pod>().await, Ok(None)));
    }

    /// The recorded answer to a watch from a version that is too old: a 200 with an error inside.
    #[tokio::test]
    async fn an_expired_watch_is_an_error_event() {
        let mut events = events(&[concat!(
            r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
            r#""message":"too old resource version: 1 (346)","reason":"Expired","code":410}}"#,
            "\n",
        )]);
        let event = events.next::<Pod>().await;
        assert!(
            matches!(event, Ok(Some(Event::Refused(CallError::Answered { code: 410, .. })))),
            "{event:?}"
        );
    }

    /// An event that is too long is refused as soon as that shows, whether it comes in pieces or whole; one of just
    /// the length is read.
    #[tokio::test]
    async fn the_longest_event_is_the_longest_in_any_chunks() {
        const EVENT: &str = r#"{"type":"BOOKMARK"}"#;
        for (longest, taken) in [(EVENT.len(), true), (EVENT.len() - 1, false)] {
            for at in 0..=EVENT.len() {
                let (start, end) = EVENT.split_at(at);
                let frames = [start.to_owned(), format!("{end}\n")].map(Bytes::from).map(Frame::data);
                let body = StreamBody::new(futures::stream::iter(frames.map(Ok::<_, Infallible>)));
                let event = Events::bounded(body, longest).next::<Pod>().await;
                assert_eq!(
                    matches!(event, Ok(Some(Event::Bookmark(None)))),
                    taken,
                    "{longest} {at}: {event:?}"
                );
            }
        }
    }

    /// What breaks off in the middle of an event, or is no event at all, never passes for an orderly end.
    #[tokio::test]
    async fn a_torn_or_foreign_body_is_an_error() {
        for torn in ["{\"type\":\"ADDED\",\"obj", "<html>\n", "{\"type\":\"ADDED\",\"object\":3}\n", "{}\n"] {
            let event = events(&[torn]).next::<Pod>().await;
            assert!(matches!(event, Err(CallError::Unreadable)), "{torn}: {event:?}");
        }
    }
}
