//! The watch of Pods and Services against scripted servers.

mod answers;
mod freshness;
mod order;
mod pages;
mod recorded;

use serde_json::{Value, json};
use tokio::time::timeout;

pub(crate) use self::recorded::RecordedSink;
use super::*;
use crate::{
    connect::Limits,
    fake::{self, Answer, Asked, End, Log, failure, list, pod},
};

/// The maximum length of an answer, less than usual.
const ANSWER_MAX: usize = 100 << 10;

/// Watches the Pods of a scripted server for this long.
async fn follow(
    length: Duration,
    script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
) -> (Arc<RecordedSink>, Log) {
    let (connection, log) = fake::limited(script, Limits { answer: ANSWER_MAX, ..Limits::default() });
    let recorded = Arc::new(RecordedSink::default());
    let watch = watch(connection, Arc::default(), Kind::Pod, Arc::clone(&recorded) as Arc<dyn WatchSink>);
    let _ = timeout(length, watch).await;
    (recorded, log)
}

fn event(kind: &str, object: &Value) -> String {
    json!({"type": kind, "object": object}).to_string()
}

fn at_once(lines: Vec<String>, end: End) -> Answer {
    Answer::Watch(lines.into_iter().map(|line| (Duration::ZERO, line)).collect(), end)
}

fn bookmark(version: u64) -> String {
    let metadata = json!({"resourceVersion": version.to_string(), "creationTimestamp": null});
    event("BOOKMARK", &json!({"kind": "Pod", "apiVersion": "v1", "metadata": metadata}))
}

/// A watch without events, which the server ends after its timeout.
fn quiet() -> Answer {
    Answer::Watch(vec![(WATCH_TIMEOUT, bookmark(90))], End::InOrder)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns the parameter of a query.
fn parameter<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}
