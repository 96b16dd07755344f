//! The accept loop: HTTP/1 connections with a limit on everything that a peer could use up.
//!
//! | what a peer may do | what ends it |
//! | --- | --- |
//! | connect and say nothing; send its headers slowly; keep an idle connection open | [`Limits::head_time`] |
//! | send many or long headers | hyper's 100 headers and [`Limits::head_bytes`]: 431 |
//! | never read its answer | [`Limits::stall`] |
//! | go on sending what nobody reads | [`Limits::linger`] |
//! | open connections without end | [`Limits::connections`]: one that does nothing has to go, or else the new one, with a 503 that says so |
//!
//! Bodies and answering times are limited in [`crate::http`]. TLS ends in front of the daemon.

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

/// How many refusals of surplus connections are written at once; beyond, such a connection is just closed.
const REFUSALS: usize = 64;

/// Most that is buffered of what one peer sends, in bytes; hyper's own 400 KiB would be 400 MiB for the full number
/// of connections. Above the largest head, far above a usual body.
const BUFFER: usize = 64 << 10;

/// How long connections that came at the last moment have to send their request after the stop.
const LATE_COMERS: Duration = Duration::from_millis(100);

/// How long accepting pauses when the process or the machine is out of file descriptors or memory: long
/// enough not to spin, short enough that nobody waits noticeably once some are free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a peer may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once. For one more, one has to go that does nothing; where there is none, the new one is
    /// answered 503 with `Retry-After` and closed, rather than left to wait: a probe or a client with a deadline
    /// learns at once what is the matter.
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
    /// For how long connections are still taken after the stop. Every answer says from the stop on that its
    /// connection ends with it, so that clients turn elsewhere before they find us gone.
    pub delay: Duration,
    /// How long connections have to end after that before they are cut.
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
            delay: Duration::ZERO,
            drain: Duration::from_secs(28),
        }
    }
}

/// Serves until `stop` ends and [`Limits::delay`] has passed, then lets connections finish what they are at, within
/// [`Limits::drain`].
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
                // The watcher is taken before the task is spawned: a stop in between is not missed.
                watcher: graceful.watcher(),
            };
            let (slots, app) = (Arc::clone(&slots), app.clone());
            tasks.spawn(async move {
                // The slot of the one who had to go comes free in a moment.
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
    // Whoever is connected already, and only waits to be accepted, would find its connection reset.
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

/// What a connection is served with.
struct Setting {
    http: http1::Builder,
    limits: Limits,
    peer: SocketAddr,
    member: ConnectionGuard,
    /// Set from the stop on.
    closing: Arc<AtomicBool>,
    /// Places for those whose peer goes on sending after its answer.
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
    // True at first: an answer to a head that could not be parsed is hyper's own, and never comes by here.
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
            // The peer's doing, all of it: time-outs, resets, what is no HTTP.
            tracing::debug!(%peer, error = &error as &dyn Error, "a connection ended early");
        },
        () = member.evicted() => tracing::debug!(%peer, "a connection that did nothing made room for another"),
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
