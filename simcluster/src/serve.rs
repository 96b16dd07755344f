//! The HTTP/1.1 server on a listener, for `kubectl` and other processes.

use std::future::Future;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::accept::accept;
use crate::cluster::Cluster;
use crate::control;
use crate::service::Service;

/// The timeout for the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

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
    accept(&listener, serve, shutdown).await;
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
