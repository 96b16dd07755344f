//! The control endpoint: what the handle can do, over HTTP, under a path that no Kubernetes client uses.
//!
//! It is answered by the same server, also while the cluster is away, and neither counted in the record of calls nor
//! struck by fault rules. Where rights are asked for, a caller needs one for the path, as for `/version`
//! (`nonResourceURLs: ["/simcluster/*"]`): an administrator's token has it. Bodies and answers are JSON; fields that are
//! not known are refused, and an error is `{"error": "one sentence"}`. Durations are written like `500ms` or `1m 30s`.
//!
//! | method and path, under `/simcluster/v1` | what it does |
//! | --- | --- |
//! | `GET /` | an overview |
//! | `GET /faults` | the [rules](crate::Rule) in force, with how many calls each has matched |
//! | `POST /faults` | puts a rule in force; answers its `id` |
//! | `DELETE /faults`, `DELETE /faults/{id}` | takes all rules back, or one |
//! | `PUT /server` | `{"away": true, "for": "30s"}`: takes the server away (`for` a while), or brings it back |
//! | `POST /server/restart` | cuts open watches and loses the watch window |
//! | `POST /snapshots` | keeps the present state; answers its `id` |
//! | `GET /snapshots`, `DELETE /snapshots/{id}` | lists them; forgets one |
//! | `POST /snapshots/{id}/restore` | `{"keep_counting": false}`: goes back to it; see [`Cluster::restore`] |
//! | `POST /watches/cut`, `POST /watches/expire` | cuts open watches; loses the watch window |
//! | `PUT /watches` | `{"stalled": true}`: makes all watches silent, or lets them go on |
//! | `GET /node`, `PUT /node` | `{"behaviour": "…", "capacity": {"cpu_millis", "memory_bytes", "pods"}, "lost": false}`, each if wanted |
//! | `GET /pods` | the behaviours chosen for single Pods |
//! | `PUT /pods/{namespace}/{name}/behaviour` | `{"behaviour": "crash-loop, failures=2"}`; see [`Behaviour`](crate::Behaviour) |
//! | `DELETE /pods/{namespace}/{name}/behaviour` | takes that back |
//! | `GET /pods/{namespace}/{name}/sessions` | the sessions in a sandbox |
//! | `POST /pods/{namespace}/{name}/sessions` | `{"kind": "bash", "session_id": "a"}`: begins one |
//! | `DELETE /pods/{namespace}/{name}/sessions/{kind}/{id}` | ends one |
//! | `GET /calls?since=N` | the record from call N on, and the `next` number to ask from |
//! | `DELETE /calls` | forgets the record |
//! | `GET /clock`, `POST /clock` | the time; `{"step": "1h"}` or `{"step": "-1h"}` puts it forward or back |
//!
//! ```sh
//! base=http://127.0.0.1:6443/simcluster/v1
//! # Every third create of a Pod fails for want of etcd, on average, and always the same ones.
//! curl $base/faults -d '{"when": {"verb": "create", "resource": "pods"},
//!                        "timing": {"share": {"share": 0.33, "seed": 7}}, "effect": {"refuse": "etcd-timeout"}}'
//! # The next deletion takes effect, and nobody learns of it.
//! curl $base/faults -d '{"when": {"verb": "delete"}, "timing": {"next": 1}, "effect": "drop-answer"}'
//! # Watches bring their events in another order.
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
use crate::query::{Query, decode};
#[cfg(feature = "rbac")]
use crate::reply::refuse;

/// Where the endpoint is; Kubernetes clients ask below `/api`, `/apis` and a few words of their own.
const ROOT: &str = "/simcluster/v1";
/// The largest body that is read, in bytes: many times what any request needs.
const BODY_LIMIT: usize = 64 << 10;
/// How long a connection may take to say what it wants while the cluster is away.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// A request to the endpoint that cannot be met.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum ControlError {
    #[error("there is no {path}; what there is stands in the documentation of simcluster's control endpoint")]
    NoSuchPath { path: String },
    #[error("{path} does not take {method}")]
    Method { method: Method, path: String },
    #[error("there is no {what} {name:?}")]
    Missing { what: &'static str, name: String },
    #[error("there is a {what} {name:?} already")]
    Exists { what: &'static str, name: String },
    #[error("the body cannot be read: {0}")]
    Body(String),
    #[error("{0}")]
    Invalid(String),
}

/// What a request is answered with.
type Answer = Result<(StatusCode, Value), ControlError>;

/// A request, taken apart.
struct Asked<'a> {
    cluster: &'a Cluster,
    method: &'a Method,
    path: &'a str,
    query: Query,
    body: Bytes,
}

/// Whether a request is for the endpoint.
pub(crate) fn is_meant(head: &Parts) -> bool {
    head.uri.path().strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether the first request on a connection is for the endpoint, by a look that takes nothing from it. It is asked
/// while the cluster is away: all other connections are to be closed unheard.
pub(crate) async fn is_meant_by(stream: &TcpStream) -> bool {
    // The longest method, the path, and spaces.
    let mut first = [0; 32];
    let Ok(Ok(length)) = timeout(PATIENCE, stream.peek(&mut first)).await else { return false };
    let text = String::from_utf8_lossy(&first[..length]);
    text.split_once(' ').is_some_and(|(_, path)| path.starts_with(ROOT))
}

/// Answers a request to the endpoint.
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
        Ok(body) => route(&Asked { cluster, method: &head.method, path, query, body: body.to_bytes() }),
        Err(error) => Err(ControlError::Body(error.to_string())),
    };
    let (status, body) = answer.unwrap_or_else(|error| (error.status(), json!({"error": error.to_string()})));
    let mut response = http::Response::new(Body::full(format!("{body:#}\n")));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn route(asked: &Asked<'_>) -> Answer {
    let rest = asked.path.strip_prefix(ROOT).unwrap_or("");
    let parts: Vec<String> =
        rest.split('/').filter(|part| !part.is_empty()).map(|p| decode(p, false)).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        [] => asked.only(&Method::GET, || server::overview(asked)),
        ["faults", rest @ ..] => server::faults(asked, rest),
        ["server", rest @ ..] => server::server(asked, rest),
        ["snapshots", rest @ ..] => server::snapshots(asked, rest),
        ["watches", rest @ ..] => server::watches(asked, rest),
        ["calls"] => server::calls(asked),
        ["clock"] => server::clock(asked),
        ["node"] => node::node(asked),
        ["pods"] => asked.only(&Method::GET, || node::list(asked)),
        ["pods", namespace, pod, "behaviour"] => node::behaviour(asked, namespace, pod),
        ["pods", namespace, pod, "sessions", rest @ ..] => node::sessions(asked, namespace, pod, rest),
        _ => Err(asked.no_such_path()),
    }
}

// === impl Asked ===

impl Asked<'_> {
    /// The body as what it has to be.
    fn read<T: DeserializeOwned>(&self) -> Result<T, ControlError> {
        serde_json::from_slice(&self.body).map_err(|error| ControlError::Body(error.to_string()))
    }

    /// Answers one method and refuses all others.
    fn only(&self, method: &Method, answer: impl FnOnce() -> Answer) -> Answer {
        if self.method == method { answer() } else { Err(self.no_such_method()) }
    }

    fn no_such_method(&self) -> ControlError {
        ControlError::Method { method: self.method.clone(), path: self.path.to_owned() }
    }

    fn no_such_path(&self) -> ControlError {
        ControlError::NoSuchPath { path: self.path.to_owned() }
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

/// Done, and there is nothing more to say.
#[expect(clippy::unnecessary_wraps, reason = "all routes have one shape")]
fn done() -> Answer {
    Ok((StatusCode::OK, json!({"ok": true})))
}
