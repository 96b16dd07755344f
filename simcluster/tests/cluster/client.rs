//! A client of a few lines, and the objects it writes.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use simcluster::{Body, Cluster, ConnectionLost, Options};
use tower::ServiceExt;

/// The namespace of these tests.
pub const NS: &str = "deer-flow";
/// Longer than anything here takes.
pub const SOON: Duration = Duration::from_secs(30);

/// A cluster with the namespace.
pub fn cluster() -> Cluster {
    Cluster::start(Options::with_namespace(NS))
}

/// A cluster with the namespace and without a node: nothing happens to Pods.
pub fn still_cluster() -> Cluster {
    Cluster::start(Options { node: None, ..Options::with_namespace(NS) })
}

/// Sends a request as a client would; a path without a slash at its beginning is below the namespace.
pub async fn send(
    cluster: &Cluster,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<http::Response<Body>, ConnectionLost> {
    // A path that begins with a slash is a whole one.
    let path =
        if path.starts_with('/') { path.to_owned() } else { format!("/api/v1/namespaces/{NS}/{path}") };
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    cluster.service().oneshot(request).await
}

/// As [`send`], with the status and the JSON of the answer.
pub async fn call(cluster: &Cluster, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let answer = send(cluster, method, path, body).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

pub async fn get(cluster: &Cluster, path: &str) -> (u16, Value) {
    call(cluster, "GET", path, &Value::Null).await
}

pub async fn delete(cluster: &Cluster, path: &str) -> (u16, Value) {
    call(cluster, "DELETE", path, &Value::Null).await
}

/// Creates a Pod, which must succeed.
pub async fn create(cluster: &Cluster, pod: &Value) -> Value {
    let (status, made) = call(cluster, "POST", "pods", pod).await;
    assert_eq!(status, 201, "{made}");
    made
}

pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "deer-flow-sandbox", "sandbox-id": name}},
        "spec": {"containers": [{"name": "sandbox", "image": "img:1"}]},
    })
}

/// A Pod that behaves as its annotation says.
pub fn behaving(name: &str, behaviour: &str) -> Value {
    let mut pod = pod(name);
    pod["metadata"]["annotations"] = json!({simcluster::BEHAVIOUR_ANNOTATION: behaviour});
    pod
}

pub fn service(name: &str, sandbox: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"type": "NodePort", "selector": {"sandbox-id": sandbox}, "ports": [{"port": 8080}]},
    })
}

/// An open watch, read line by line.
pub struct Watch {
    body: Body,
    buffer: Vec<u8>,
}

impl Watch {
    /// Opens a watch on Pods.
    pub async fn open(cluster: &Cluster, query: &str) -> Self {
        let answer = send(cluster, "GET", &format!("pods?watch=true&{query}"), &Value::Null).await.unwrap();
        assert_eq!(answer.status(), 200);
        Self { body: answer.into_body(), buffer: Vec::new() }
    }

    /// The next event; `None` at the end of the stream, an error if the connection is lost.
    pub async fn next(&mut self) -> Option<Result<Value, ConnectionLost>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(Ok(serde_json::from_slice(&line).unwrap()));
            }
            match self.body.frame().await? {
                Ok(frame) => self.buffer.extend_from_slice(frame.data_ref().unwrap()),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The next event's type and the name of its object.
    pub async fn line(&mut self) -> (String, String) {
        let event = self.next().await.unwrap().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

/// Whether a Pod is ready.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|list| list.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}
