//! A peer's socket, with limits that hyper does not have: on a peer that does not read, and on the close.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until},
};

/// The most that is discarded at the close, in bytes: more than a peer can have in flight. A peer that sends more does
/// not wait for the response.
const LINGER_MAX: usize = 16 << 20;

/// How long the close waits at a shutdown for a peer that may be sending a request, which is not answered. The peer
/// then sees a normal close and not a reset.
const CROSSING: Duration = Duration::from_millis(500);

/// How many closes may wait at once for peers that are still sending.
pub(super) const LINGERING: usize = 32;

/// The conditions under which the close waits.
pub(super) struct Lingers {
    /// Whether the peer may still be sending a request that was answered. The connection's service sets it.
    pub(super) unread: Arc<AtomicBool>,
    /// Whether the daemon shuts down and closes idle connections.
    pub(super) closing: Arc<AtomicBool>,
    /// Permits for lingering closes with unread data, see [`LINGERING`]. Without a permit the socket is closed
    /// immediately, or within [`CROSSING`] at shutdown.
    pub(super) places: Arc<Semaphore>,
}

/// A socket whose write fails if the peer does not read for too long, and whose close waits for a peer that is still
/// sending.
pub(super) struct Guarded<T> {
    inner: T,
    /// How long a write may wait.
    stall: Duration,
    /// How long the close may wait.
    linger: Duration,
    /// Runs while a write waits, or the close does.
    timer: Option<Pin<Box<Sleep>>>,
    lingers: Lingers,
    /// Set when our side is closed: how many bytes were discarded since.
    closed: Option<usize>,
    /// Its permit to wait.
    place: Option<OwnedSemaphorePermit>,
}

// === impl Guarded ===

impl<T> Guarded<T> {
    pub(super) fn new(inner: T, stall: Duration, linger: Duration, lingers: Lingers) -> Self {
        Self { inner, stall, linger, timer: None, lingers, closed: None, place: None }
    }

    /// Whether the timer has run out; it is started by the first call after a [`Self::at_ease`].
    fn poll_late(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        timer.as_mut().poll(cx)
    }

    fn at_ease(&mut self) {
        self.timer = None;
    }

    /// The result of a write, or a time-out.
    fn or_stalled<R>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if outcome.is_ready() {
            self.at_ease();
            return outcome;
        }
        let stall = self.stall;
        ready!(self.poll_late(cx, stall));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its answer")))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.or_stalled(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.or_stalled(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// A pending flush belongs to the same stall. A finished flush does not reset the timer, since a socket's flush
    /// does nothing.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closed.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            this.at_ease();
            this.closed = Some(0);
            if this.lingers.unread.load(Ordering::Relaxed) {
                this.place = Arc::clone(&this.lingers.places).try_acquire_owned().ok();
            }
        }
        let linger = if this.place.is_some() {
            this.linger
        } else if this.lingers.closing.load(Ordering::Relaxed) {
            this.linger.min(CROSSING)
        } else {
            return Poll::Ready(Ok(()));
        };
        let mut scrap = [0_u8; 4096];
        while this.closed.is_some_and(|thrown_away| thrown_away < LINGER_MAX) {
            let mut buf = ReadBuf::new(&mut scrap);
            match Pin::new(&mut this.inner).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    this.closed = this.closed.map(|thrown_away| thrown_away + buf.filled().len());
                }
                // The peer has closed its side too, or the connection is broken.
                Poll::Ready(Ok(()) | Err(_)) => break,
                Poll::Pending => {
                    ready!(this.poll_late(cx, linger));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::timeout,
    };

    use super::*;

    const STALL: Duration = Duration::from_secs(10);
    const LINGER: Duration = Duration::from_secs(2);

    fn lingers(unread: bool, closing: bool) -> Lingers {
        let places = Arc::new(Semaphore::new(LINGERING));
        Lingers { unread: Arc::new(unread.into()), closing: Arc::new(closing.into()), places }
    }

    fn guarded(unread: bool) -> (Guarded<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (ours, theirs) = duplex(64);
        (Guarded::new(ours, STALL, LINGER, lingers(unread, false)), theirs)
    }

    /// The connection of a peer that never reads fails after the limit, and no sooner.
    #[tokio::test(start_paused = true)]
    async fn a_reader_that_does_not_read_is_cut() {
        let (mut ours, _theirs) = guarded(false);
        let begun = Instant::now();
        let error = timeout(2 * STALL, ours.write_all(&[0; 65])).await.expect("it waits on").unwrap_err();
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, STALL));
    }

    /// A peer that reads slowly but steadily has no time limit.
    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_served() {
        let (mut ours, mut theirs) = guarded(false);
        let begun = Instant::now();
        let reading = async {
            let mut total = 0;
            while total < 640 {
                tokio::time::sleep(STALL * 9 / 10).await;
                total += theirs.read(&mut [0; 64]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(ours.write_all(&[0; 640]), reading);
        written.unwrap();
        assert!(begun.elapsed() > 5 * STALL);
    }

    /// After an early response the rest of the request is read until the peer closes.
    #[tokio::test(start_paused = true)]
    async fn the_close_waits_for_a_peer_that_sends() {
        let (mut ours, mut theirs) = guarded(true);
        let sending = async {
            theirs.write_all(&[0; 1000]).await.unwrap();
            drop(theirs);
        };
        let begun = Instant::now();
        let both = timeout(2 * LINGER, async { tokio::join!(ours.shutdown(), sending) });
        let (closed, ()) = both.await.expect("the peer was not heard out");
        closed.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    /// Of many peers that continue to send only some get a permit; the others are closed at once.
    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_not_heard_out() {
        let places = Arc::new(Semaphore::new(1));
        let one = || {
            let (ours, theirs) = duplex(64);
            let lingers = Lingers { places: Arc::clone(&places), ..lingers(true, false) };
            (Guarded::new(ours, STALL, LINGER, lingers), theirs)
        };
        let ((mut first, _sends), (mut second, _sends_too)) = (one(), one());
        let begun = Instant::now();
        let (waited, at_once) =
            tokio::join!(async { first.shutdown().await.map(|()| begun.elapsed()) }, async {
                second.shutdown().await.map(|()| begun.elapsed())
            },);
        assert_eq!((waited.unwrap(), at_once.unwrap()), (LINGER, Duration::ZERO));
        drop(first);
        let (mut third, _sends_as_well) = one();
        third.shutdown().await.unwrap();
        assert_eq!(begun.elapsed(), 2 * LINGER);
    }

    /// The wait ends after a limit if the peer does not close, a shorter one at a shutdown. Without unread input there
    /// is no wait.
    #[tokio::test(start_paused = true)]
    async fn the_close_does_not_wait_for_ever() {
        for (unread, closing, wait) in [
            (true, false, LINGER),
            (true, true, LINGER),
            (false, true, CROSSING),
            (false, false, Duration::ZERO),
        ] {
            let (ours, _theirs) = duplex(64);
            let mut ours = Guarded::new(ours, STALL, LINGER, lingers(unread, closing));
            let begun = Instant::now();
            ours.shutdown().await.unwrap();
            assert_eq!(begun.elapsed(), wait, "unread: {unread}, closing: {closing}");
        }
    }
}
