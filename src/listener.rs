//! The accept loop: HTTP/1 connections, with limits on every resource that a peer could exhaust.
//!
//! | Behaviour of a peer | Limit |
//! | --- | --- |
//! | sends nothing, sends its headers slowly, or keeps an idle connection open | [`Limits::head_time`] |
//! | sends many or long headers | hyper's 100 headers and [`Limits::head_bytes`]: 431 |
//! | never reads its response | [`Limits::stall`] |
//! | continues to send after the response | [`Limits::linger`] |
//! | opens too many connections | [`Limits::connections`]: an inactive one is closed, otherwise the new one is answered 503 |
//!
//! [`crate::http`] limits bodies and response times. The daemon does not terminate TLS.

mod connections;
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

use futures::FutureExt as _;
use http::{HeaderValue, Request, Response, header::CONNECTION};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

pub use self::request_body::RequestBody;
use self::{
    connections::{ConnectionGuard, Connections},
    guarded::{Guarded, LINGERING, Lingers},
};

/// How many 503 responses to surplus connections are written at once. Further ones are closed without a response.
const REFUSALS: usize = 64;

/// The largest read buffer of a connection, in bytes. hyper's default of 400 KiB would be 400 MiB for the full number
/// of connections. This is more than the largest head and far more than a usual body.
const BUFFER: usize = 64 << 10;

/// How long the last accepted connections have to send their request after the stop.
const LATE_COMERS: Duration = Duration::from_millis(100);

/// How long accepting pauses if the process or the machine is out of file descriptors or memory. Long enough to avoid
/// a busy loop, short enough not to delay clients noticeably.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The limits of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The number of open connections. For a further one an inactive connection is closed. If there is none, the new
    /// one is answered 503 with `Retry-After` and closed: a client with a deadline gets the reason at once.
    pub connections: usize,
    /// How long the headers of a request may take to arrive, from the moment at which the connection is ready for
    /// them. This is also how long a connection may be idle.
    pub head_time: Duration,
    /// The largest request line and headers, in bytes; at most 64 KiB.
    pub head_bytes: usize,
    /// How long a write may wait for the peer to read.
    pub stall: Duration,
    /// After a response that was sent before the end of its request: how long the rest of the request is read and
    /// discarded. If the connection closed at once, the peer's kernel would discard the response.
    pub linger: Duration,
    /// How long connections are still accepted after the stop. Every response after the stop closes its connection, so
    /// that clients reconnect elsewhere.
    pub delay: Duration,
    /// How long connections have to finish after that before they are closed.
    pub drain: Duration,
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Connections that were still busy after [`Limits::drain`] and were closed.
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
            delay: Duration::ZERO,
            drain: Duration::from_secs(28),
        }
    }
}

/// Serves until `stop` completes and [`Limits::delay`] has passed, then waits for connections to finish, at most
/// [`Limits::drain`].
///
/// `app` answers one request; its future is dropped if the peer disconnects. Dropping the future of this function
/// closes every connection.
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
    let slots = Arc::new(Semaphore::new(limits.connections));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let lingering = Arc::new(Semaphore::new(LINGERING));
    let (connections, closing) = (Connections::new(), Arc::new(AtomicBool::new(false)));
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let accept = |tasks: &mut JoinSet<()>, stream: TcpStream, peer: SocketAddr| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
        }
        let slot = Arc::clone(&slots).try_acquire_owned().ok();
        if slot.is_some() || connections.evict_idle() {
            let setting = Setting {
                http: http.clone(),
                limits,
                peer,
                member: connections.enter(),
                closing: Arc::clone(&closing),
                lingering: Arc::clone(&lingering),
                // The receiver is created before the task is spawned, so that a stop in between is not missed.
                watcher: graceful.watcher(),
            };
            let (slots, app) = (Arc::clone(&slots), app.clone());
            tasks.spawn(async move {
                // The permit of the closed connection becomes free within a moment.
                let slot = match slot {
                    Some(slot) => Ok(slot),
                    None => slots.acquire_owned().await,
                };
                if let Ok(_slot) = slot {
                    connection(stream, app, setting).await;
                }
            });
        } else if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
            tracing::warn!(%peer, connections = limits.connections, "refused a connection: too many are open");
            tasks.spawn(refusal::write(stream, limits.linger, permit));
        }
    };
    let mut stop = std::pin::pin!(async {
        stop.await;
        closing.store(true, Ordering::Relaxed);
        sleep(limits.delay).await;
    });
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = tasks.join_next() => note_end(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => accept(&mut tasks, stream, peer),
                Err(error) => after_failed_accept(&error).await,
            },
        }
    }
    // A connection in the accept queue would be reset.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        accept(&mut tasks, stream, peer);
    }
    drop(listener);
    let finished = timeout(limits.drain, async {
        sleep(LATE_COMERS.min(limits.delay)).await;
        graceful.shutdown().await;
        while let Some(ended) = tasks.join_next().await {
            note_end(ended);
        }
    });
    let cut = if finished.await.is_ok() { 0 } else { tasks.len() };
    tasks.shutdown().await;
    Drained { cut }
}

/// The parameters and shared state of one connection.
struct Setting {
    http: http1::Builder,
    limits: Limits,
    peer: SocketAddr,
    member: ConnectionGuard,
    /// Set after the stop.
    closing: Arc<AtomicBool>,
    /// Permits for connections whose peer continues to send after the response.
    lingering: Arc<Semaphore>,
    watcher: Watcher,
}

/// Serves one connection to its end.
async fn connection<A, F, B>(stream: TcpStream, app: A, setting: Setting)
where
    A: Fn(Request<RequestBody>, SocketAddr) -> F,
    F: Future<Output = Response<B>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Setting { http, limits, peer, member, closing, lingering, watcher } = setting;
    // Initially true: hyper itself answers a head that it cannot parse, without calling this service.
    let unread = Arc::new(AtomicBool::new(true));
    let lingers = Lingers { unread: Arc::clone(&unread), closing: Arc::clone(&closing), places: lingering };
    let io = TokioIo::new(Guarded::new(stream, limits.stall, limits.linger, lingers));
    let service = service_fn(|request: Request<Incoming>| {
        member.asks();
        let request = request.map(|body| RequestBody::new(body, Arc::clone(&unread)));
        let answer = app(request, peer);
        let (unread, closing, member) = (&unread, &closing, &member);
        async move {
            let mut response = answer.await;
            if unread.load(Ordering::Relaxed) || closing.load(Ordering::Relaxed) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            member.is_answered();
            Ok::<_, Infallible>(response)
        }
    });
    tokio::select! {
        biased;
        ended = watcher.watch(http.serve_connection(io, service)) => if let Err(error) = ended {
            // Errors caused by the peer: time-outs, resets, invalid HTTP.
            tracing::debug!(%peer, error = &error as &dyn Error, "a connection ended early");
        },
        () = member.evicted() => tracing::debug!(%peer, "a connection that did nothing made room for another"),
    }
}

/// The task of a connection ends normally or is aborted. A panic (those of routes are caught before) is a bug.
fn note_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// An accept fails if a connection was reset while it waited, which is harmless, or if a resource is exhausted. Then
/// accepting again at once would be a busy loop.
async fn after_failed_accept(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if !matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        tracing::warn!(%error, "connections cannot be accepted; trying again shortly");
        sleep(ACCEPT_PAUSE).await;
    }
}
