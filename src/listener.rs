//! The accept loop: HTTP/1 connections with a limit on everything that a peer could use up.
//!
//! | what a peer may do | what ends it |
//! | --- | --- |
//! | connect and say nothing; send its headers slowly; keep an idle connection open | [`Limits::head_time`] |
//! | send many or long headers | hyper's 100 headers and [`Limits::head_bytes`]: 431 |
//! | never read its answer | [`Limits::stall`] |
//! | go on sending what nobody reads | [`Limits::linger`] |
//! | open connections without end | [`Limits::connections`]: a 503 that says so, then a close |
//!
//! Bodies and answering times are limited in [`crate::http`]. TLS ends in front of the daemon.

mod guarded;
mod refusal;
mod request_body;

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Request, Response, header::CONNECTION};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};

use self::guarded::Guarded;
pub use self::request_body::RequestBody;

/// How many refusals of surplus connections are written at once; beyond, such a connection is just closed.
const REFUSALS: usize = 64;

/// Most that is buffered of what one peer sends, in bytes; hyper's own 400 KiB would be 400 MiB for the full number
/// of connections. Above the largest head, far above a usual body.
const BUFFER: usize = 64 << 10;

/// How long accepting pauses when the process or the machine is out of file descriptors or memory: long
/// enough not to spin, short enough that nobody waits noticeably once some are free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a peer may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once. One more is answered 503 with `Retry-After` and closed, rather than left to
    /// wait: a probe or a client with a deadline learns at once what is the matter.
    pub connections: usize,
    /// How long a request's headers may take to arrive, counted from the moment at which the connection is
    /// ready for them: so also how long a connection may be silent or idle.
    pub head_time: Duration,
    /// The largest request line and headers, in bytes; at most 64 KiB.
    pub head_bytes: usize,
    /// How long a peer may leave us without room to write.
    pub stall: Duration,
    /// How long, after an answer that came before the end of its request, the rest of the request is read and
    /// thrown away. Closing at once would make the peer's kernel drop the answer.
    pub linger: Duration,
    /// How long connections have to end after the stop before they are cut.
    pub drain: Duration,
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Connections that were still busy after [`Limits::drain`], and were cut.
    pub cut: usize,
}

// === impl Limits ===

impl Default for Limits {
    /// Ten seconds for headers is twice the idle time of the original's server, which existing clients are
    /// used to. 28 s of drain let a create run to its deadline of 25 s, and stay under Kubernetes' grace of 30 s.
    fn default() -> Self {
        Self {
            connections: 1024,
            head_time: Duration::from_secs(10),
            head_bytes: 32 << 10,
            stall: Duration::from_secs(10),
            linger: Duration::from_secs(2),
            drain: Duration::from_secs(28),
        }
    }
}

/// Serves until `stop` ends, then lets connections finish what they are at, within [`Limits::drain`].
///
/// `app` answers one request; its future is dropped when the peer goes away. Dropping this future cuts every
/// connection.
pub async fn serve<A, F, B>(
    listener: TcpListener,
    limits: Limits,
    app: A,
    stop: impl Future<Output = ()>,
) -> Drained
where
    A: Fn(Request<RequestBody>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_header_size(limits.head_bytes)
        .max_buf_size(BUFFER);
    let room = Arc::new(Semaphore::new(limits.connections));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = tasks.join_next() => {
                note_end(ended);
                continue;
            }
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    after_failed_accept(&error).await;
                    continue;
                }
            },
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
        }
        if let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
            // The watcher is taken before the task is spawned: a stop in between is not missed.
            let watcher = graceful.watcher();
            tasks.spawn(connection(http.clone(), limits, stream, peer, app.clone(), watcher, permit));
        } else if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
            tracing::warn!(%peer, connections = limits.connections, "refused a connection: too many are open");
            tasks.spawn(refusal::write(stream, limits.linger, permit));
        }
    }
    drop(listener);
    let finished = timeout(limits.drain, async {
        graceful.shutdown().await;
        while let Some(ended) = tasks.join_next().await {
            note_end(ended);
        }
    });
    let cut = if finished.await.is_ok() { 0 } else { tasks.len() };
    tasks.shutdown().await;
    Drained { cut }
}

/// Serves one connection to its end.
async fn connection<A, F, B>(
    http: http1::Builder,
    limits: Limits,
    stream: TcpStream,
    peer: SocketAddr,
    app: A,
    watcher: Watcher,
    _permit: OwnedSemaphorePermit,
) where
    A: Fn(Request<RequestBody>, SocketAddr) -> F,
    F: Future<Output = Response<B>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    // True at first: an answer to a head that could not be parsed is hyper's own, and never comes by here.
    let unread = Arc::new(AtomicBool::new(true));
    let io = TokioIo::new(Guarded::new(stream, limits.stall, limits.linger, Arc::clone(&unread)));
    let service = service_fn(|request: Request<Incoming>| {
        let request = request.map(|body| RequestBody::new(body, Arc::clone(&unread)));
        let answer = app(request, peer);
        let unread = &unread;
        async move {
            let mut response = answer.await;
            if unread.load(Ordering::Relaxed) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    if let Err(error) = watcher.watch(http.serve_connection(io, service)).await {
        // The peer's doing, all of it: time-outs, resets, what is no HTTP.
        tracing::debug!(%peer, error = &error as &dyn Error, "a connection ended early");
    }
}

/// A connection's task ends well, or is cut; a panic in it (the routes' own are caught before) is our fault.
fn note_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// An accept fails for a connection that was reset while it waited, which concerns nobody, or for want of
/// something that only time brings: then accepting again at once would spin.
async fn after_failed_accept(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if !matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        tracing::warn!(%error, "connections cannot be accepted; trying again shortly");
        sleep(ACCEPT_PAUSE).await;
    }
}
