//! The server on a listener: HTTP/1.1, as `kubectl` and other processes reach it.

use std::future::Future;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::control;
use crate::service::Service;

/// How long a client may take over its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait after an accept that failed, so that a lack of file handles does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves a cluster on a listener until `shutdown` ends; then all connections, open watches too, are cut.
///
/// While the cluster is [away](Cluster::set_away), connections are accepted and closed unheard, but for those to the
/// control endpoint: the listener stays, so that the port does too.
pub async fn serve(listener: TcpListener, cluster: Cluster, shutdown: impl Future<Output = ()> + Send) {
    let serve = move |stream: TcpStream| {
        let cluster = cluster.clone();
        async move {
            if !cluster.is_away() || control::is_meant_by(&stream).await {
                serve_connection(stream, cluster.service()).await;
            }
        }
    };
    accept(listener, serve, shutdown).await;
}

/// Accepts connections and serves each in a task of its own until `shutdown` ends.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F,
    shutdown: impl Future<Output = ()> + Send,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small answers must not wait for a delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        connections.spawn(serve(stream));
    }
}

/// Serves HTTP on one connection.
pub(crate) async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Service,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection ended");
    }
}
