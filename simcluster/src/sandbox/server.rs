//! One node port of the host: refusing, or answering for a sandbox.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::endpoints::Sandbox;
use super::sessions::SessionKind;
use crate::accept::accept;
use crate::network;
use crate::ports::ReservedPort;
use crate::shared::Shared;

/// A node port.
#[derive(Debug)]
pub(super) enum Port {
    /// Bound; connections are refused.
    Idle(ReservedPort),
    Serving(Server),
}

/// A listener with a task that answers on it.
#[derive(Debug)]
pub(super) struct Server {
    /// The sandbox that the answers describe.
    about: watch::Sender<Arc<Sandbox>>,
    /// Stops the task, also by being dropped.
    stop: DropGuard,
    /// Gives the port back.
    task: JoinHandle<io::Result<ReservedPort>>,
}

// === impl Port ===

impl Port {
    /// Answers for a sandbox from now on.
    pub fn serve(self, shared: &Arc<Shared>, sandbox: Arc<Sandbox>) -> io::Result<Self> {
        match self {
            Self::Idle(held) => {
                let (about, reader) = watch::channel(sandbox);
                let stop = CancellationToken::new();
                let task = tokio::spawn(run(Arc::clone(shared), held.listen()?, reader, stop.clone()));
                Ok(Self::Serving(Server { about, stop: stop.drop_guard(), task }))
            }
            Self::Serving(server) => {
                server.about.send_replace(sandbox);
                Ok(Self::Serving(server))
            }
        }
    }

    /// Refuses connections from now on; those that are open are cut.
    pub async fn refuse(self) -> io::Result<Self> {
        match self {
            Self::Idle(held) => Ok(Self::Idle(held)),
            Self::Serving(Server { stop, task, .. }) => {
                drop(stop);
                task.await.map_err(io::Error::other)?.map(Self::Idle)
            }
        }
    }
}

/// Answers on a port until it is stopped, and gives the port back.
async fn run(
    shared: Arc<Shared>,
    listener: TcpListener,
    about: watch::Receiver<Arc<Sandbox>>,
    stop: CancellationToken,
) -> io::Result<ReservedPort> {
    let serve = move |stream| {
        let (shared, about) = (Arc::clone(&shared), about.clone());
        async move {
            let is_reachable = {
                let about = about.borrow();
                network::from_host(&shared, &about.namespace, &about.pod)
            };
            if !is_reachable {
                // A network plugin would drop the packets; the host has no way to do that.
                return;
            }
            let service = service_fn(move |request: Request<Incoming>| {
                let response = answer(&shared, request.method(), request.uri().path(), &about.borrow());
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a sandbox ended");
            }
        }
    };
    accept(&listener, serve, stop.cancelled()).await;
    ReservedPort::resume(listener)
}

fn answer(shared: &Shared, method: &Method, path: &str, about: &Sandbox) -> Response<Full<Bytes>> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let (status, body) = if path == "/v1/sandbox" && reads {
        (StatusCode::OK, json!({"success": true, "message": "Sandbox is running", "data": about.to_json()}))
    } else if let Some(kind) = SessionKind::listed_at(path).filter(|_| reads) {
        (StatusCode::OK, shared.sessions.lock().listed(&about.namespace, &about.pod, kind))
    } else {
        (
            StatusCode::NOT_FOUND,
            json!({"success": false, "message": format!("{path} is not simulated"), "data": null}),
        )
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
