//! The HTTP/1.1 server on a listener, for `kubectl` and other processes.

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

/// The timeout for the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// The delay after a failed accept, so that a lack of file descriptors does not cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves a cluster on a listener until `shutdown` completes. Then all connections are closed, including open watches.
///
/// While the cluster is [unavailable](Cluster::set_away), connections are accepted and closed immediately, except
/// those to the control endpoint. The listener stays open to keep the port.
pub async fn serve(listener: TcpListener, cluster: Cluster, shutdown: impl Future<Output = ()> + Send) {
    let serve = move |stream: TcpStream| {
        let cluster = cluster.clone();
        async move {
            if !cluster.is_away() || control::is_control_connection(&stream).await {
                serve_connection(stream, cluster.service()).await;
            }
        }
    };
    accept(listener, serve, shutdown).await;
}

/// Accepts connections and serves each in its own task, until `shutdown` completes.
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
        // Small responses must not wait for a delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        connections.spawn(serve(stream));
    }
}

/// Serves HTTP on a connection.
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
