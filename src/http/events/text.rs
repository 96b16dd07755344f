//! The events of a stream as text.

use actors::view::{Change, Position, Visible, change_reader::News, unreadable};
use bytes::Bytes;
use lifecycle::ids::SandboxId;
use serde::Serialize;
use serde_json::{Value, json};

use crate::http::{errors::ApiError, responses::Sandbox};

/// Sent after a silence, so that proxies and clients can tell a quiet stream from a dead one.
pub(super) const COMMENT: Bytes = Bytes::from_static(b": no changes\n\n");

/// The events whose data is a sandbox.
pub(super) const OF_SANDBOXES: [&str; 9] =
    ["added", "replaced", "ready", "status", "unready", "url", "reason", "limits", "changed"];

/// The events whose data is an error.
pub(super) const OF_ERRORS: [&str; 4] = ["deleted", "reaped", "unreadable", "stale"];

/// The events without data.
pub(super) const OF_STREAMS: [&str; 3] = ["synced", "reset", "fresh"];

/// Returns the text of an event; `None` at the end of the stream.
pub(super) fn of(news: &News) -> Option<Bytes> {
    Some(match news {
        News::Change(change, position) => change.text(|change| of_change(change, *position)),
        News::Synced(position) => event(Some(*position), "synced", &json!({})),
        News::Reset => event(None, "reset", &json!({})),
        News::Stale(error) => event(None, "stale", &ApiError::from(error.clone()).body()),
        News::Fresh => event(None, "fresh", &json!({})),
        News::Ended => return None,
    })
}

fn of_change(change: &Change, position: Position) -> Bytes {
    let (id, name) = (&change.id, change.kind.name());
    match &change.visible {
        Visible::Present(status) => event(Some(position), name, &Sandbox::new(id, status)),
        Visible::Gone(reaped) => {
            let error = ApiError::no_sandbox(id.as_str()).after_reap(*reaped);
            event(Some(position), name, &error.body())
        }
        Visible::Unreadable(kind) => {
            let error = ApiError::from(unreadable(id, *kind));
            event(Some(position), name, &with_id(error.body(), id))
        }
    }
}

fn with_id(mut body: Value, id: &SandboxId) -> Value {
    body["sandbox_id"] = json!(id);
    body
}

/// Writes an event. JSON has no line ends, so its data is one line.
fn event(position: Option<Position>, name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|error| {
        tracing::error!(%error, "an event could not be written as JSON");
        "null".to_owned()
    });
    let id = position.map_or(String::new(), |position| format!("id: {position}\n"));
    format!("{id}event: {name}\ndata: {data}\n\n").into()
}
