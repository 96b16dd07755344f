//! A close that waits for a peer that is still sending, as nginx's `lingering_close` does.
//!
//! If a socket closes while it has unread data, the kernel resets the connection, and the peer may lose the response.

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
    time::{Sleep, sleep},
};

/// The most that is discarded at the close, in bytes: more than a peer can have in flight. A peer that sends more does
/// not wait for the response.
const DISCARDED_MAX: usize = 16 << 20;

/// How long the close waits at a shutdown for a peer that may be sending a request, which is not answered. The peer
/// then sees a normal close and not a reset.
const SHUTDOWN_LINGER: Duration = Duration::from_millis(500);

/// How many closes may wait at once for peers that are still sending.
pub(super) const LINGERING_MAX: usize = 32;

/// When the close waits, and how long.
pub(super) struct LingerPolicy {
    /// Whether the peer may still be sending a request that was answered. The connection's service sets it.
    pub(super) unread: Arc<AtomicBool>,
    /// Whether the daemon shuts down and closes idle connections.
    pub(super) closing: Arc<AtomicBool>,
    /// Permits for closes with unread data, see [`LINGERING_MAX`]. Without a permit the socket is closed immediately,
    /// or within [`SHUTDOWN_LINGER`] at shutdown.
    pub(super) permits: Arc<Semaphore>,
    /// How long a close with unread data waits.
    pub(super) limit: Duration,
}

/// A stream whose close waits for a peer that is still sending.
pub(super) struct LingeringClose<T> {
    inner: T,
    policy: LingerPolicy,
    /// Exists once our side is closed.
    linger: Option<Linger>,
}

/// The wait for the peer to close its side.
struct Linger {
    end: Pin<Box<Sleep>>,
    discarded: usize,
    _permit: Option<OwnedSemaphorePermit>,
}

// === impl LingerPolicy ===

impl LingerPolicy {
    /// Begins to wait. Returns `None` if the connection closes immediately.
    fn start(&self) -> Option<Linger> {
        let permits = self.unread.load(Ordering::Relaxed).then(|| Arc::clone(&self.permits));
        let permit = permits.and_then(|permits| permits.try_acquire_owned().ok());
        let time = match &permit {
            Some(_) => self.limit,
            None if self.closing.load(Ordering::Relaxed) => self.limit.min(SHUTDOWN_LINGER),
            None => return None,
        };
        Some(Linger { end: Box::pin(sleep(time)), discarded: 0, _permit: permit })
    }
}

// === impl LingeringClose ===

impl<T> LingeringClose<T> {
    pub(super) fn new(inner: T, policy: LingerPolicy) -> Self {
        Self { inner, policy, linger: None }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for LingeringClose<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LingeringClose<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { inner, policy, linger } = &mut *self;
        if linger.is_none() {
            ready!(Pin::new(&mut *inner).poll_shutdown(cx))?;
            *linger = policy.start();
        }
        let Some(Linger { end, discarded, .. }) = linger else { return Poll::Ready(Ok(())) };
        let mut buffer = [0_u8; 4096];
        while *discarded < DISCARDED_MAX {
            let mut buffer = ReadBuf::new(&mut buffer);
            match Pin::new(&mut *inner).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => *discarded += buffer.filled().len(),
                // The peer has closed its side too, or the connection is broken.
                Poll::Ready(Ok(()) | Err(_)) => break,
                Poll::Pending => {
                    ready!(end.as_mut().poll(cx));
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
        io::{AsyncWriteExt, DuplexStream, duplex},
        time::{Instant, timeout},
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    fn policy(unread: bool, closing: bool) -> LingerPolicy {
        let permits = Arc::new(Semaphore::new(LINGERING_MAX));
        LingerPolicy {
            unread: Arc::new(unread.into()),
            closing: Arc::new(closing.into()),
            permits,
            limit: LIMIT,
        }
    }

    fn stream(policy: LingerPolicy) -> (LingeringClose<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(64);
        (LingeringClose::new(ours, policy), theirs)
    }

    /// Guards that after an early response the rest of the request is read until the peer closes.
    #[tokio::test(start_paused = true)]
    async fn the_close_waits_for_a_peer_that_sends() {
        let (mut ours, mut theirs) = stream(policy(true, false));
        let sending = async {
            theirs.write_all(&[0; 1000]).await.unwrap();
            drop(theirs);
        };
        let start = Instant::now();
        let both = timeout(2 * LIMIT, async { tokio::join!(ours.shutdown(), sending) });
        let (closed, ()) = both.await.expect("the rest of the request was not read");
        closed.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    /// Guards that of many peers that continue to send only some get a permit, and that the other connections close
    /// immediately.
    #[tokio::test(start_paused = true)]
    async fn the_number_of_lingering_closes_is_limited() {
        let permits = Arc::new(Semaphore::new(1));
        let one = || stream(LingerPolicy { permits: Arc::clone(&permits), ..policy(true, false) });
        let ((mut first, _first_peer), (mut second, _second_peer)) = (one(), one());
        let start = Instant::now();
        let (waited, immediate) =
            tokio::join!(async { first.shutdown().await.map(|()| start.elapsed()) }, async {
                second.shutdown().await.map(|()| start.elapsed())
            },);
        assert_eq!((waited.unwrap(), immediate.unwrap()), (LIMIT, Duration::ZERO));
        drop(first);
        let (mut third, _third_peer) = one();
        third.shutdown().await.unwrap();
        assert_eq!(start.elapsed(), 2 * LIMIT);
    }

    /// Guards that the wait ends after a limit if the peer does not close, after a shorter one at a shutdown, and at
    /// once without unread data.
    #[tokio::test(start_paused = true)]
    async fn the_close_does_not_wait_forever() {
        for (unread, closing, wait) in [
            (true, false, LIMIT),
            (true, true, LIMIT),
            (false, true, SHUTDOWN_LINGER),
            (false, false, Duration::ZERO),
        ] {
            let (mut ours, _theirs) = stream(policy(unread, closing));
            let start = Instant::now();
            ours.shutdown().await.unwrap();
            assert_eq!(start.elapsed(), wait, "unread: {unread}, closing: {closing}");
        }
    }
}
