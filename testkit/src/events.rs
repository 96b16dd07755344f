//! A stream of events, as a client reads it.

use std::{collections::VecDeque, fmt};

use http_body_util::BodyExt;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::{client::StreamBody, contract};

/// A stream of events. Dropping it closes the connection.
pub struct Events {
    body: StreamBody,
    text: String,
    ready: VecDeque<Event>,
    connection: Option<JoinHandle<()>>,
}

/// An event. A comment has only a name, which begins with a colon.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The id, which a client sends as `Last-Event-ID`.
    pub id: Option<String>,
    /// The name.
    pub name: String,
    /// The data.
    pub data: Value,
}

// === impl Events ===

impl Events {
    pub(crate) fn new(body: StreamBody, connection: Option<JoinHandle<()>>) -> Self {
        Self { body, text: String::new(), ready: VecDeque::new(), connection }
    }

    /// Returns the next event or comment; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let frame = self.body.frame().await?.expect("the stream ends in order");
            self.text += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                self.ready.push_back(Event::parse(event));
                self.text = rest.into();
            }
        }
    }

    /// Returns the next event that is not a comment, as its `Display` shows it; `end` at the end of the stream.
    pub async fn shown(&mut self) -> String {
        loop {
            match self.next().await {
                Some(event) if event.name.starts_with(':') => {}
                Some(event) => return event.to_string(),
                None => return "end".to_owned(),
            }
        }
    }

    /// Returns the events up to the first with this name, as [`Events::shown`].
    pub async fn until(&mut self, name: &str) -> Vec<String> {
        let mut shown = Vec::new();
        loop {
            let event = self.shown().await;
            let is_last = event.split(' ').next() == Some(name);
            assert!(is_last || event != "end", "the stream ended before {name}: {shown:?}");
            shown.push(event);
            if is_last {
                return shown;
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.abort();
        }
    }
}

// === impl Event ===

impl Event {
    fn parse(text: &str) -> Self {
        let event = Self::read(text);
        if !event.name.starts_with(':') {
            contract::check_event(&event.name, event.id.as_deref(), &event.data)
                .unwrap_or_else(|problem| panic!("not in the document: {problem}"));
        }
        event
    }

    fn read(text: &str) -> Self {
        let mut event = Self { id: None, name: String::new(), data: Value::Null };
        for line in text.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => event.id = Some(id.to_owned()),
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                _ if line.starts_with(':') => line.clone_into(&mut event.name),
                _ => panic!("not a line of an event: {line:?}"),
            }
        }
        event
    }
}

/// Shows the name, the sandbox and its status, as in `ready a Running`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for field in ["sandbox_id", "status"] {
            if let Some(text) = self.data[field].as_str() {
                write!(f, " {text}")?;
            }
        }
        Ok(())
    }
}
