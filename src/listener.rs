//! The accept loop: HTTP/1 connections, with limits on every resource that a peer could exhaust.
//!
//! | Behaviour of a peer | Limit |
//! | --- | --- |
//! | sends nothing, sends its headers slowly, or keeps an idle connection open | [`Limits::head_time`] |
//! | sends many or long headers | hyper's 100 headers and [`Limits::head_bytes`]: 431 |
//! | never reads its response | [`Limits::stall`] |
//! | continues to send after the response | [`Limits::linger`] |
//! | closes its sending side, or the whole connection, after a request | the deadline of the request |
//! | opens too many connections | [`Limits::connections`]: an inactive one is closed, otherwise the new one is answered 503 |
//! | keeps streams of events open | a limit of their own, instead of [`Limits::connections`] |
//!
//! [`crate::http`] limits bodies and response times. The daemon does not terminate TLS.

mod connections;
mod event_stream;
mod lingering_close;
mod refusal;
mod request_body;
mod shared_stream;

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use http::{HeaderValue, Request, Version, header::CONNECTION};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

pub use self::request_body::RequestBody;
use self::{
    connections::Connections,
    event_stream::Handover,
    lingering_close::{LINGERING_MAX, LingerPolicy, LingeringClose},
    shared_stream::SharedStream,
};
use crate::http::{frontend::Frontend, response_body::ResponseBody};

/// How many 503 responses to surplus connections are written at once. Further ones are closed without a response.
const REFUSALS: usize = 64;

/// The largest read buffer of a connection, in bytes. hyper's default of 400 KiB would be 400 MiB for the full number
/// of connections. This is more than the largest head and far more than a usual body.
const BUFFER: usize = 64 << 10;

/// How long the last accepted connections have to send their request after the stop.
const LAST_REQUEST_WAIT: Duration = Duration::from_millis(100);

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
    /// The number of connections that were still busy after [`Limits::drain`] and were aborted.
    pub aborted: usize,
}

// === impl Limits ===

impl Default for Limits {
    /// Ten seconds for headers is twice the idle time of DeerFlow's provisioner, which existing clients are used to. 28 s of drain let a create run to its deadline of 25 s, and stay under Kubernetes' grace of 30 s.
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
/// If a peer resets its connection, the future of its request is dropped. A peer that closes its connection cannot be
/// told from one that closes only its sending side and waits for the response, so its request is answered. Dropping
/// the future of this function closes every connection.
pub async fn serve(
    listener: TcpListener,
    limits: Limits,
    frontend: Frontend,
    stop: impl Future<Output = ()>,
) -> Drained {
    let mut server = Server::new(limits, frontend);
    let closing = Arc::clone(&server.closing);
    let mut stop = std::pin::pin!(stop.then(|()| {
        closing.store(true, Ordering::Relaxed);
        sleep(limits.delay)
    }));
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = server.tasks.join_next() => log_panic(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => server.accept(stream, peer),
                Err(error) => after_failed_accept(&error).await,
            },
        }
    }
    // A connection in the accept queue would be reset.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        server.accept(stream, peer);
    }
    drop(listener);
    let Server { stopping, mut tasks, .. } = server;
    let finished = timeout(limits.drain, async {
        sleep(LAST_REQUEST_WAIT.min(limits.delay)).await;
        stopping.cancel();
        while let Some(ended) = tasks.join_next().await {
            log_panic(ended);
        }
    });
    let aborted = if finished.await.is_ok() { 0 } else { tasks.len() };
    tasks.shutdown().await;
    Drained { aborted }
}

/// The state of the accept loop.
struct Server {
    frontend: Frontend,
    limits: Limits,
    http: http1::Builder,
    connections: Arc<Connections>,
    /// Permits for open connections.
    slots: Arc<Semaphore>,
    /// Permits for 503 responses to surplus connections.
    refusals: Arc<Semaphore>,
    /// Permits for connections whose peer continues to send after the response.
    lingering: Arc<Semaphore>,
    /// Set after the stop.
    closing: Arc<AtomicBool>,
    /// Is cancelled when connections have to end after their present request.
    stopping: CancellationToken,
    tasks: JoinSet<()>,
}

// === impl Server ===

impl Server {
    fn new(limits: Limits, frontend: Frontend) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .half_close(true)
            .max_header_size(limits.head_bytes)
            .max_buf_size(BUFFER);
        let permits = |count| Arc::new(Semaphore::new(count));
        Self {
            frontend,
            limits,
            http,
            connections: Connections::new(),
            slots: permits(limits.connections),
            refusals: permits(REFUSALS),
            lingering: permits(LINGERING_MAX),
            closing: Arc::default(),
            stopping: CancellationToken::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Serves a new connection, or refuses it if too many are open.
    fn accept(&mut self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
        }
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok();
        if slot.is_some() || self.connections.evict_idle() {
            let connection = self.connection(stream, peer, slot);
            self.tasks.spawn(connection);
        } else if let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() {
            let connections = self.limits.connections;
            tracing::warn!(%peer, connections, "refused a connection: too many are open");
            self.tasks.spawn(refusal::write(stream, self.limits.linger, permit));
        }
    }

    /// Serves one connection to its end. Without a slot it waits for one first.
    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        slot: Option<OwnedSemaphorePermit>,
    ) -> impl Future<Output = ()> + use<> {
        let (frontend, guard) = (self.frontend.clone(), self.connections.enter());
        let closing = Arc::clone(&self.closing);
        let (http, limits, lingering) = (self.http.clone(), self.limits, Arc::clone(&self.lingering));
        let stopping = self.stopping.clone();
        let slots = Arc::clone(&self.slots);
        async move {
            // The permit of a closed connection becomes free within a moment.
            let slot = match slot {
                Some(slot) => Some(slot),
                None => slots.acquire_owned().await.ok(),
            };
            let slot = Mutex::new(slot);
            // Initially true: hyper itself answers a head that it cannot parse, without calling this service.
            let unread = Arc::new(AtomicBool::new(true));
            let policy = LingerPolicy {
                unread: Arc::clone(&unread),
                closing: Arc::clone(&closing),
                permits: lingering,
                limit: limits.linger,
            };
            let (stream, observer) = SharedStream::new(stream);
            let stream = LingeringClose::new(with_write_timeout(stream, limits.stall), policy);
            let (handover, is_first) = (Handover::default(), AtomicBool::new(true));
            let service = service_fn(|request: Request<Incoming>| {
                guard.start_request();
                let request = request.map(|body| RequestBody::new(body, Arc::clone(&unread)));
                let is_first = is_first.swap(false, Ordering::Relaxed);
                let is_http_1_1 = request.version() == Version::HTTP_11;
                let (frontend, unread, closing, guard) = (&frontend, &unread, &closing, &guard);
                let (slot, handover) = (&slot, &handover);
                async move {
                    // Boxed, because hyper keeps the memory of this future for the whole connection, which a stream of
                    // events does not need after its beginning.
                    let mut response = Box::pin(frontend.answer(request, Some(peer))).await;
                    let is_stream = response.body().is_stream();
                    if is_stream || unread.load(Ordering::Relaxed) || closing.load(Ordering::Relaxed) {
                        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    if is_stream {
                        // Streams have a limit of their own, and leave the slots for other requests. The connection
                        // stays busy, and ends with the stream.
                        slot.lock().take();
                        // Before the first response there is nothing that hyper still has to write or read.
                        if is_first && is_http_1_1 && !unread.load(Ordering::Relaxed) {
                            return handover.give(response).await;
                        }
                    } else {
                        guard.end_request();
                    }
                    Ok::<_, Infallible>(response)
                }
            });
            let served = async {
                // Boxed, so that a stream does not keep its memory.
                let mut connection = Box::new(http.serve_connection(TokioIo::new(stream), service));
                let response = tokio::select! {
                    biased;
                    ended = serve_until(&mut connection, &stopping) => return ended.map_err(Into::into),
                    response = handover.take() => response,
                };
                let stream = connection.into_parts().io.into_inner();
                event_stream::write(response, stream).await.map_err(Into::into)
            };
            tokio::select! {
                biased;
                ended = served => {
                    if let Err(error) = ended {
                        let error: Box<dyn Error + Send + Sync> = error;
                        // Errors caused by the peer: time-outs, resets, invalid HTTP.
                        tracing::debug!(%peer, error = &*error, "a connection ended early");
                    }
                }
                () = observer.reset() => tracing::debug!(%peer, "the peer reset the connection"),
                () = guard.evicted() => tracing::debug!(%peer, "an idle connection was evicted"),
            }
        }
    }
}

/// Serves a connection to its end, which is that of its present request once `stopping` is cancelled.
async fn serve_until<I, S>(
    connection: &mut http1::Connection<I, S>,
    stopping: &CancellationToken,
) -> hyper::Result<()>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = ResponseBody> + Unpin,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    tokio::select! {
        biased;
        ended = &mut *connection => return ended,
        () = stopping.cancelled() => {}
    }
    Pin::new(&mut *connection).graceful_shutdown();
    connection.await
}

/// Limits how long a write may wait for the peer to read.
fn with_write_timeout<T: AsyncRead + AsyncWrite>(stream: T, limit: Duration) -> Pin<Box<TimeoutStream<T>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limit));
    Box::pin(stream)
}

/// The task of a connection ends normally or is aborted. A panic (those of routes are caught before) is a bug.
fn log_panic(ended: Result<(), tokio::task::JoinError>) {
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

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::Instant,
    };

    use super::*;

    const STALL: Duration = Duration::from_secs(10);

    /// Guards that the connection of a peer that never reads fails after the limit, and no sooner.
    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_times_out() {
        let (ours, _theirs) = duplex(64);
        let start = Instant::now();
        let writing = timeout(2 * STALL, with_write_timeout(ours, STALL).write_all(&[0; 65])).await;
        let error = writing.expect("the write still waits").unwrap_err();
        assert_eq!((error.kind(), start.elapsed()), (io::ErrorKind::TimedOut, STALL));
    }

    /// Guards that a peer that reads slowly but steadily has no time limit.
    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_served() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = with_write_timeout(ours, STALL);
        let start = Instant::now();
        let reading = async {
            let mut total = 0;
            while total < 640 {
                sleep(STALL * 9 / 10).await;
                total += theirs.read(&mut [0; 64]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(ours.write_all(&[0; 640]), reading);
        written.unwrap();
        assert!(start.elapsed() > 5 * STALL);
    }
}
