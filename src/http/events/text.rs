//! The events of a stream as text.

use actors::view::{Change, Visible, unreadable};
use bytes::Bytes;
use fleet::{changes::News, position::Position};
use lifecycle::ids::{ClusterName, SandboxId};
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

/// The events whose data is empty, or names a cluster.
pub(super) const OF_STREAMS: [&str; 3] = ["synced", "reset", "fresh"];

/// Returns the text of an event; `None` at the end of the stream.
pub(super) fn of(news: &News) -> Option<Bytes> {
    Some(match news {
        // All streams send the same text, and each its own position.
        News::Change(change, position) => [line(position), change.text(of_change)].concat().into(),
        News::Synced(position) => [line(position), event("synced", &json!({}))].concat().into(),
        News::Reset(position) => {
            let line = position.as_ref().map(line).unwrap_or_default();
            [line, event("reset", &json!({}))].concat().into()
        }
        News::Stale(cluster, error) => {
            event("stale", &with_cluster(ApiError::from(error.clone()).body(), cluster))
        }
        News::Fresh(cluster) => event("fresh", &with_cluster(json!({}), cluster)),
        News::Ended => return None,
    })
}

fn of_change(change: &Change) -> Bytes {
    let (id, name) = (&change.id, change.kind.name());
    match &change.visible {
        Visible::Present(status) => event(name, &Sandbox::new(id, status)),
        Visible::Gone(reaped) => event(name, &ApiError::no_sandbox(id.as_str()).after_reap(*reaped).body()),
        Visible::Unreadable(kind) => event(name, &with_id(ApiError::from(unreadable(id, *kind)).body(), id)),
    }
}

/// Adds the cluster, unless it is the only one, without a name.
fn with_cluster(mut body: Value, cluster: &ClusterName) -> Value {
    if *cluster != ClusterName::DEFAULT {
        body["cluster"] = json!(cluster);
    }
    body
}

fn with_id(mut body: Value, id: &SandboxId) -> Value {
    body["sandbox_id"] = json!(id);
    body
}

/// Writes the line with the position.
fn line(position: &Position) -> Bytes {
    format!("id: {position}\n").into()
}

/// Writes an event without its position. JSON has no line ends, so its data is one line.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|error| {
        tracing::error!(%error, "an event could not be written as JSON");
        "null".to_owned()
    });
    format!("event: {name}\ndata: {data}\n\n").into()
}
