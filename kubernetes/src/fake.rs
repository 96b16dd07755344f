//! A scripted API server for tests. A function of the request returns the answer, and all requests are recorded.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::{BoxError, service_fn};

use crate::connect::{Connection, Limits};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    pub at: Duration,
    pub method: String,
    pub path: String,
    pub query: String,
    pub accept_encoding: Option<String>,
    pub body: Value,
}

/// The answer to a request.
pub enum Answer {
    /// A status and a JSON body. It is an object of Kubernetes; [`Answer::Text`] may be anything.
    Json(u16, Value),
    /// A status and a JSON body, after this time.
    Late(Duration, u16, Value),
    /// A status, headers and any other body.
    Text(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// No answer, ever.
    Silence,
    /// An error of the connection instead of an answer.
    Broken(io::ErrorKind),
    /// A watch: lines, each after a pause, and then the end.
    Watch(Vec<(Duration, String)>, End),
}

/// How a watch ends.
pub enum End {
    InOrder,
    /// In order, after a silence.
    InOrderAfter(Duration),
    /// With an error of the connection.
    Broken(io::ErrorKind),
    /// In order, after the start of another line.
    Torn(&'static str),
    Never,
}

/// The requests so far.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Asked>>>);

impl Log {
    pub fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Returns the requests as `GET /path`, in order.
    pub fn lines(&self) -> Vec<String> {
        self.all().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }
}

impl Asked {
    pub fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }
}

/// Creates a connection to a server that answers with `script`, a function of the number of earlier requests and of the
/// request.
pub fn server(script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> (Connection, Log) {
    limited(script, Limits::default())
}

pub fn limited(
    script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
    limits: Limits,
) -> (Connection, Log) {
    let log = Log::default();
    let begun = Instant::now();
    let (script, written) = (Arc::new(script), log.clone());
    let service = service_fn(move |request: Request<Body>| {
        let (script, log) = (Arc::clone(&script), written.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(BoxError::from)?.to_bytes();
            let accept_encoding = parts.headers.get(http::header::ACCEPT_ENCODING);
            let asked = Asked {
                at: begun.elapsed(),
                method: parts.method.to_string(),
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                accept_encoding: accept_encoding.map(|value| value.to_str().unwrap().to_owned()),
                body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            };
            let before = log.len();
            log.0.lock().unwrap().push(asked.clone());
            respond(script(before, &asked)).await
        }
    });
    (Connection::from_service(service, "rec", limits), log)
}

async fn respond(answer: Answer) -> Result<Response<UnsyncBoxBody<Bytes, BoxError>>, BoxError> {
    let full = |text: String| Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {});
    match answer {
        Answer::Json(code, body) => {
            let body = with_kind(code, body);
            Ok(Response::builder().status(code).body(full(body.to_string()).boxed_unsync())?)
        }
        Answer::Late(wait, code, body) => {
            tokio::time::sleep(wait).await;
            Ok(Response::builder()
                .status(code)
                .body(full(with_kind(code, body).to_string()).boxed_unsync())?)
        }
        Answer::Text(code, headers, body) => {
            let mut response = Response::builder().status(code);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(full(body.to_owned()).boxed_unsync())?)
        }
        Answer::Silence => std::future::pending().await,
        Answer::Broken(kind) => Err(io::Error::from(kind).into()),
        Answer::Watch(lines, end) => {
            let lines = futures::stream::iter(lines).then(|(pause, line)| async move {
                tokio::time::sleep(pause).await;
                Ok(Frame::data(Bytes::from(line + "\n")))
            });
            let last = futures::stream::once(async move {
                match end {
                    End::InOrder => None,
                    End::InOrderAfter(silence) => {
                        tokio::time::sleep(silence).await;
                        None
                    }
                    End::Broken(kind) => Some(Err(BoxError::from(io::Error::from(kind)))),
                    End::Torn(start) => Some(Ok(Frame::data(Bytes::from_static(start.as_bytes())))),
                    End::Never => std::future::pending().await,
                }
            });
            Ok(Response::new(
                StreamBody::new(lines.chain(last.filter_map(std::future::ready))).boxed_unsync(),
            ))
        }
    }
}

/// Adds the kind, which the API server names in each object.
fn with_kind(code: u16, mut body: Value) -> Value {
    let kind = if code < 400 { "Any" } else { "Status" };
    if let Some(object) = body.as_object_mut() {
        object.entry("kind").or_insert(kind.into());
    }
    body
}

/// Returns a Kubernetes `Status` of a failure.
pub fn failure(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    Answer::Json(code, status)
}

/// Returns a Pod of a sandbox as the API server does.
pub fn pod(id: &str, uid: &str, version: u64, phase: &str) -> Value {
    json!({
        "metadata": {
            "name": format!("sandbox-{id}"), "namespace": "rec", "uid": uid, "resourceVersion": version.to_string(),
            "labels": {"app": "deer-flow-sandbox", "sandbox-id": id},
        },
        "spec": {"containers": [{"name": "sandbox"}]},
        "status": {"phase": phase},
    })
}

/// Returns a Service of a sandbox as the API server does.
pub fn service(id: &str, uid: &str, version: u64, node_port: u16) -> Value {
    json!({
        "metadata": {
            "name": format!("sandbox-{id}-svc"), "namespace": "rec", "uid": uid,
            "resourceVersion": version.to_string(),
            "labels": {"app": "deer-flow-sandbox", "sandbox-id": id},
        },
        "spec": {
            "type": "NodePort",
            "selector": {"sandbox-id": id},
            "ports": [
                {"name": "http", "port": 8080, "targetPort": 8080, "protocol": "TCP", "nodePort": node_port},
            ],
        },
    })
}

/// Returns a page of a list.
pub fn list(version: u64, next: &str, items: &[Value]) -> Answer {
    let metadata = json!({"resourceVersion": version.to_string(), "continue": next});
    Answer::Json(200, json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}))
}
