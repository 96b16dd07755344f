//! A TCP stream that hyper owns and whose errors another future observes.
//!
//! A client may close its sending side after its request and still read the response (RFC 9112, section 9.6). hyper then
//! does not read while a request is answered, so it does not notice a reset either.

use std::{
    io,
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// The stream. It shares the half that writes: tokio's own `poll_read` needs the other half as its own, and makes one
/// system call for a request where reads of a shared half make two.
pub(super) struct SharedStream {
    read: OwnedReadHalf,
    write: Arc<OwnedWriteHalf>,
}

/// Observes the stream.
pub(super) struct Observer(Arc<OwnedWriteHalf>);

// === impl SharedStream ===

impl SharedStream {
    pub(super) fn new(stream: TcpStream) -> (Self, Observer) {
        let (read, write) = stream.into_split();
        let write = Arc::new(write);
        (Self { read, write: Arc::clone(&write) }, Observer(write))
    }

    /// Writes as soon as the socket takes bytes.
    fn poll_with<T>(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let stream: &TcpStream = (*self.write).as_ref();
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match write(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl AsyncRead for SharedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl AsyncWrite for SharedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |stream| stream.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |stream| stream.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A socket has no buffer of its own to flush.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream: &TcpStream = (*self.write).as_ref();
        Poll::Ready(match SockRef::from(stream).shutdown(Shutdown::Write) {
            // The peer was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            ended => ended,
        })
    }
}

// === impl Observer ===

impl Observer {
    /// Completes when the peer has reset the connection.
    pub(super) async fn reset(&self) {
        // The wait fails only if the runtime shuts down.
        let _ = self.0.ready(Interest::ERROR).await;
    }
}
