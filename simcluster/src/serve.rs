//! The server on a listener: HTTP/1.1, as `kubectl` and other processes reach it.

use std::future::Future;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::access::tls::Tls;
use crate::cluster::Cluster;
use crate::control;
use crate::service::Service;

/// How long a client may take over its side of the TLS handshake: as long as `kubectl` gives the server.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take over its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait after an accept that failed, so that a lack of file handles does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves a cluster on a listener until `shutdown` ends; then all connections, open watches too, are cut.
///
/// While the cluster is [away](Cluster::set_away), connections are accepted and closed unheard, but for those to the
/// control endpoint: the listener stays, so that the port does too.
pub async fn serve(listener: TcpListener, cluster: Cluster, shutdown: impl Future<Output = ()> + Send) {
    accept(listener, cluster, None, shutdown).await;
}

/// As [`serve`], over TLS. What a connection wants is not seen before it is made; so while the cluster is away, one is
/// made and then closed.
pub async fn serve_tls(
    listener: TcpListener,
    cluster: Cluster,
    tls: Tls,
    shutdown: impl Future<Output = ()> + Send,
) {
    accept(listener, cluster, Some(tls), shutdown).await;
}

async fn accept(
    listener: TcpListener,
    cluster: Cluster,
    tls: Option<Tls>,
    shutdown: impl Future<Output = ()> + Send,
) {
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
        let service = cluster.service();
        if cluster.is_away() && tls.is_none() {
            connections.spawn(async move {
                if control::is_meant_by(&stream).await {
                    converse(stream, service).await;
                }
            });
            continue;
        }
        let Some(tls) = &tls else {
            connections.spawn(converse(stream, service));
            continue;
        };
        let handshake = timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream));
        connections.spawn(async move {
            match handshake.await {
                Ok(Ok(stream)) => converse(stream, service).await,
                Ok(Err(error)) => tracing::debug!(%error, "no TLS connection came about"),
                Err(_) => tracing::debug!("a client took too long over its TLS handshake"),
            }
        });
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: Service) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection ended");
    }
}
