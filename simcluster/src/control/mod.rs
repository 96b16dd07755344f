//! The control endpoint: the methods of [`Cluster`] over HTTP, under a path that Kubernetes clients do not use.
//!
//! The same server handles it, also while the API is unavailable. Its requests are not recorded, and fault rules do
//! not apply to them. With RBAC it needs a permission for the path, as `/version` does (`nonResourceURLs:
//! ["/simcluster/*"]`); an administrator has it. Requests and responses are JSON. Unknown fields are rejected, and an
//! error is `{"error": "text"}`. Durations are written like `500ms` or `1m 30s`.
//!
//! | method and path, under `/simcluster/v1` | effect |
//! | --- | --- |
//! | `GET /` | an overview |
//! | `GET /faults` | lists the active [rules](crate::Rule) and how many calls each has matched |
//! | `POST /faults` | adds a rule; returns its `id` |
//! | `DELETE /faults`, `DELETE /faults/{id}` | removes all rules, or one |
//! | `PUT /server` | `{"away": true, "for": "30s"}`: makes the server unavailable (`for` a time), or available again |
//! | `POST /server/restart` | cuts open watches and clears the watch window |
//! | `POST /snapshots` | takes a snapshot; returns its `id` |
//! | `GET /snapshots`, `DELETE /snapshots/{id}` | lists snapshots; deletes one |
//! | `POST /snapshots/{id}/restore` | `{"keep_counting": false}`: restores it; see [`Cluster::restore`] |
//! | `POST /watches/cut`, `POST /watches/expire` | cuts open watches; clears the watch window |
//! | `PUT /watches` | `{"stalled": true}`: stalls all watches, or resumes them |
//! | `GET /node`, `PUT /node` | `{"behaviour": "…", "capacity": {"cpu_millis", "memory_bytes", "pods"}, "lost": false}`, each optional |
//! | `GET /pods` | lists the behaviours of single Pods |
//! | `PUT /pods/{namespace}/{name}/behaviour` | `{"behaviour": "crash-loop, failures=2"}`; see [`Behaviour`](crate::Behaviour) |
//! | `DELETE /pods/{namespace}/{name}/behaviour` | removes it |
//! | `GET /pods/{namespace}/{name}/sessions` | lists the sessions in a sandbox |
//! | `POST /pods/{namespace}/{name}/sessions` | `{"kind": "bash", "session_id": "a"}`: starts one |
//! | `DELETE /pods/{namespace}/{name}/sessions/{kind}/{id}` | ends one |
//! | `GET /calls?since=N` | lists the recorded calls from N on, and the `next` N |
//! | `DELETE /calls` | clears the record |
//! | `GET /clock`, `POST /clock` | the time; `{"step": "1h"}` or `{"step": "-1h"}` steps it forward or back |
//!
//! ```sh
//! base=http://127.0.0.1:6443/simcluster/v1
//! # On average every third create of a Pod fails with an etcd timeout. The seed makes it reproducible.
//! curl $base/faults -d '{"when": {"verb": "create", "resource": "pods"},
//!                        "timing": {"share": {"share": 0.33, "seed": 7}}, "effect": {"refuse": "etcd-timeout"}}'
//! # The next deletion takes effect, but its response is lost.
//! curl $base/faults -d '{"when": {"verb": "delete"}, "timing": {"next": 1}, "effect": "drop-answer"}'
//! # Watches get events in a different order.
//! curl $base/faults -d '{"effect": {"watch": {"reorder": {"among": 4, "seed": 1}}}}'
//! curl -X PUT $base/server -d '{"away": true, "for": "30s"}'
//! curl -X PUT $base/node -d '{"behaviour": "pull=20s"}'
//! curl -X PUT $base/pods/deer-flow/sandbox-a/behaviour -d '{"behaviour": "oom"}'
//! curl $base/pods/deer-flow/sandbox-a/sessions -d '{"kind": "bash", "session_id": "a"}'
//! curl -X POST $base/clock -d '{"step": "-1h"}'
//! curl "$base/calls?since=0"
//! ```

mod node;
mod server;

use bytes::Bytes;
use http::{Method, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[cfg(feature = "rbac")]
use crate::access;
use crate::body::Body;
use crate::cluster::Cluster;
use crate::query::{Query, segments};
#[cfg(feature = "rbac")]
use crate::reply::refuse;

/// The path of the endpoint. Kubernetes clients do not use it.
const ROOT: &str = "/simcluster/v1";
/// The maximum size of a request body, in bytes.
const BODY_LIMIT: usize = 64 << 10;
/// The timeout for the first bytes of a connection while the API is unavailable.
const PEEK_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

/// Why a request to the endpoint failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum ControlError {
    #[error("unknown path {path}; see the documentation of simcluster's control endpoint")]
    NoSuchPath { path: String },
    #[error("{path} does not support {method}")]
    Method { method: Method, path: String },
    #[error("unknown {what} {name:?}")]
    Missing { what: &'static str, name: String },
    #[error("{what} {name:?} already exists")]
    Exists { what: &'static str, name: String },
    #[error("invalid body: {0}")]
    Body(String),
    #[error("{0}")]
    Invalid(String),
}

type Answer = Result<(StatusCode, Value), ControlError>;

/// A parsed request.
struct ControlRequest<'a> {
    cluster: &'a Cluster,
    method: &'a Method,
    path: &'a str,
    query: Query,
    body: Bytes,
}

/// Returns whether a request is for the endpoint.
pub(crate) fn is_control_request(head: &Parts) -> bool {
    head.uri.path().strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns whether the first request on a connection is for the endpoint, without consuming it. While the API is
/// unavailable all other connections are closed unread.
pub(crate) async fn is_control_connection(stream: &TcpStream) -> bool {
    // Enough for the longest method, the path and the spaces.
    let mut first = [0; 32];
    let Ok(Ok(length)) = timeout(PEEK_TIMEOUT, stream.peek(&mut first)).await else { return false };
    let text = String::from_utf8_lossy(&first[..length]);
    text.split_once(' ').is_some_and(|(_, path)| path.starts_with(ROOT))
}

/// Handles a request to the endpoint.
pub(crate) async fn answer<B>(cluster: &Cluster, head: &Parts, body: B) -> http::Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let query = Query::parse(head.uri.query().unwrap_or(""));
    #[cfg(feature = "rbac")]
    if let Err(refusal) = access::admit(cluster.shared(), head, &query) {
        return refuse(&refusal);
    }
    let path = head.uri.path();
    let answer = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => {
            route(&ControlRequest { cluster, method: &head.method, path, query, body: body.to_bytes() })
        }
        Err(error) => Err(ControlError::Body(error.to_string())),
    };
    let (status, body) = answer.unwrap_or_else(|error| (error.status(), json!({"error": error.to_string()})));
    let mut response = http::Response::new(Body::full(format!("{body:#}\n")));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn route(request: &ControlRequest<'_>) -> Answer {
    let rest = request.path.strip_prefix(ROOT).unwrap_or("");
    let parts = segments(rest);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let cluster = request.cluster;
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", []) => found(server::overview(cluster)),
        ("GET", ["faults"]) => found(json!({"faults": cluster.faults()})),
        ("POST", ["faults"]) => server::add_fault(request),
        ("DELETE", ["faults"]) => done(|| cluster.clear_faults()),
        ("DELETE", ["faults", id]) => server::remove_fault(request, id),
        ("PUT", ["server"]) => server::set_away(request),
        ("POST", ["server", "restart"]) => done(|| cluster.restart()),
        ("GET", ["snapshots"]) => found(json!({"snapshots": server::snapshots(cluster)})),
        ("POST", ["snapshots"]) => created(json!({"id": server::take_snapshot(cluster)})),
        ("DELETE", ["snapshots", id]) => server::delete_snapshot(request, id),
        ("POST", ["snapshots", id, "restore"]) => server::restore(request, id),
        ("PUT", ["watches"]) => server::stall_watches(request),
        ("POST", ["watches", "cut"]) => done(|| cluster.cut_watches()),
        ("POST", ["watches", "expire"]) => done(|| cluster.expire_watch_window()),
        ("GET", ["calls"]) => server::calls(request),
        ("DELETE", ["calls"]) => done(|| cluster.reset_calls()),
        ("GET", ["clock"]) => found(json!({"now": cluster.now()})),
        ("POST", ["clock"]) => server::step_clock(request),
        ("GET", ["node"]) => found(node::state(cluster)),
        ("PUT", ["node"]) => node::change(request),
        ("GET", ["pods"]) => found(node::pods(cluster)),
        ("PUT", ["pods", namespace, pod, "behaviour"]) => node::set_behaviour(request, namespace, pod),
        ("DELETE", ["pods", namespace, pod, "behaviour"]) => {
            done(|| cluster.set_pod_behaviour(namespace, pod, None))
        }
        ("GET", ["pods", namespace, pod, "sessions"]) => {
            found(json!({"sessions": cluster.sessions(namespace, pod)}))
        }
        ("POST", ["pods", namespace, pod, "sessions"]) => node::begin_session(request, namespace, pod),
        ("DELETE", ["pods", namespace, pod, "sessions", kind, id]) => {
            node::end_session(request, namespace, pod, kind, id)
        }
        (_, parts) if is_path(parts) => {
            Err(ControlError::Method { method: request.method.clone(), path: request.path.to_owned() })
        }
        _ => Err(ControlError::NoSuchPath { path: request.path.to_owned() }),
    }
}

/// Returns whether a path supports any method.
fn is_path(parts: &[&str]) -> bool {
    matches!(
        parts,
        [] | ["faults" | "server" | "snapshots" | "watches" | "calls" | "clock" | "node" | "pods"]
            | ["faults" | "snapshots", _]
            | ["server", "restart"]
            | ["watches", "cut" | "expire"]
            | ["snapshots", _, "restore"]
            | ["pods", _, _, "behaviour" | "sessions"]
            | ["pods", _, _, "sessions", _, _]
    )
}

// === impl ControlRequest ===

impl ControlRequest<'_> {
    /// Parses the body.
    fn read<T: DeserializeOwned>(&self) -> Result<T, ControlError> {
        serde_json::from_slice(&self.body).map_err(|error| ControlError::Body(error.to_string()))
    }
}

// === impl ControlError ===

impl ControlError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchPath { .. } | Self::Missing { .. } => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Exists { .. } => StatusCode::CONFLICT,
            Self::Body(_) | Self::Invalid(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Returns an answer with a body.
#[expect(clippy::unnecessary_wraps, reason = "all routes have one shape")]
fn found(what: Value) -> Answer {
    Ok((StatusCode::OK, what))
}

/// Returns an answer with a new object.
#[expect(clippy::unnecessary_wraps, reason = "all routes have one shape")]
fn created(what: Value) -> Answer {
    Ok((StatusCode::CREATED, what))
}

/// Has an effect that cannot fail, and returns an empty success.
#[expect(clippy::unnecessary_wraps, reason = "all routes have one shape")]
fn done(effect: impl FnOnce()) -> Answer {
    effect();
    Ok((StatusCode::OK, json!({"ok": true})))
}

/// Returns an empty success, or that nothing has this name.
fn done_if(exists: bool, what: &'static str, name: &str) -> Answer {
    if exists { done(|| ()) } else { Err(ControlError::Missing { what, name: name.to_owned() }) }
}
