//! Replays what a real API server 1.36.2 was recorded to answer, and holds the embedded one against it.
//!
//! The recordings are played in their order on one cluster without a node; [`script`] simulates the scheduler and the
//! node that ran beside the recorder. Uids, times, versions, node ports and addresses differ from run to run:
//! [`compare`] maps the recorded ones to ours where a later request uses them, and masks them where two answers are
//! compared.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compare;
mod script;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use simcluster::{Cluster, Options};
use tower::ServiceExt;

use compare::Mapping;

/// One recording, as the file has it.
#[derive(Debug, serde::Deserialize)]
struct Recording {
    name: String,
    request: Request,
    response: Response,
}

#[derive(Debug, serde::Deserialize)]
struct Request {
    method: String,
    path: String,
    #[serde(default)]
    query: serde_json::Map<String, Value>,
    content_type: Option<String>,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    #[serde(default)]
    body: Value,
}

#[derive(Debug, serde::Deserialize)]
struct Response {
    status: u16,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    #[serde(default)]
    body: Value,
    /// The lines of a watch.
    events: Option<Vec<Value>>,
}

/// Guards the whole surface at once: every recording is answered as the real server did.
#[tokio::test(start_paused = true)]
async fn recordings_are_answered_as_the_real_server_did() {
    let recordings: Vec<Recording> =
        serde_json::from_str(include_str!("../../../tests/recordings/transcripts.json")).unwrap();
    // The recorder had no storage class.
    let options =
        Options { node: None, standard_class: false, access: script::users(), ..Options::default() };
    let mut cluster = Cluster::start(options);
    let mut mapping = Mapping::default();
    let mut wrong = Vec::new();
    for recording in &recordings {
        if let Some(other) = script::before(&recording.name, &cluster).await {
            cluster = other;
        }
        let beside = script::during(&recording.name, &cluster);
        let token = script::token(&recording.name);
        let ours = play(&cluster, &recording.request, token, &mapping).await;
        beside.await.unwrap();
        script::after(&recording.name, &cluster);
        mapping.learn(&recording.response, &ours);
        let differences = compare::differences(&recording.response, &ours, &mapping);
        if !differences.is_empty() {
            wrong.push(format!("{}:\n  {}", recording.name, differences.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}

async fn play(cluster: &Cluster, request: &Request, token: Option<&str>, mapping: &Mapping) -> Response {
    let pairs: Vec<_> = request
        .query
        .iter()
        .map(|(key, value)| format!("{key}={}", escape(&mapping.ours(value.as_str().unwrap()))))
        .collect();
    let uri = format!("{}?{}", request.path, pairs.join("&"));
    let mut builder = http::Request::builder().method(request.method.as_str()).uri(uri);
    if let Some(token) = token {
        builder = builder.header("authorization", format!("Bearer {token}"));
    }
    if let Some(kind) = &request.content_type {
        builder = builder.header("content-type", kind);
    }
    for (name, value) in &request.headers {
        builder = builder.header(name, value.as_str().unwrap());
    }
    let body = match &request.body {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let request = builder.body(Full::new(Bytes::from(mapping.ours(&body)))).unwrap();
    let answer = cluster.service().oneshot(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let headers = head.headers.iter().map(|(k, v)| (k.to_string(), v.to_str().unwrap().into())).collect();
    let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    Response {
        status: head.status.as_u16(),
        headers,
        body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        events: lines.ok(),
    }
}

fn escape(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "%{byte:02x}").unwrap();
        out
    })
}
