//! Response bodies: complete, a stream of watch events, or pending forever.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body::{Frame, SizeHint};

/// The body of a response.
pub struct Body(Kind);

/// The connection failed; there is no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionLost {
    /// The connection was refused: the call had no effect.
    #[error("connection refused")]
    Refused,
    /// The connection was reset: the call may have had an effect.
    #[error("connection reset by peer")]
    Reset,
}

enum Kind {
    Full(Option<Bytes>),
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, ConnectionLost>> + Send>>),
}

// === impl Body ===

impl Body {
    /// Creates a complete body.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Full(Some(bytes.into())))
    }

    /// Creates a streamed body.
    pub(crate) fn stream(stream: impl Stream<Item = Result<Bytes, ConnectionLost>> + Send + 'static) -> Self {
        Self(Kind::Stream(Box::pin(stream)))
    }
}

impl Body {
    /// Ends the body with a connection error after a number of bytes, or at its end if it is shorter.
    pub(crate) fn cut_after(self, limit: u64) -> Self {
        let pieces: Pin<Box<dyn Stream<Item = Result<Bytes, ConnectionLost>> + Send>> = match self.0 {
            Kind::Full(bytes) => Box::pin(stream::iter(bytes.map(Ok))),
            Kind::Stream(pieces) => pieces,
        };
        Self::stream(stream::unfold(Some((pieces, limit)), |rest| async move {
            let (mut pieces, limit) = rest?;
            if limit == 0 {
                return Some((Err(ConnectionLost::Reset), None));
            }
            match pieces.next().await {
                Some(Ok(mut bytes)) => {
                    bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                    let left = limit - bytes.len() as u64;
                    Some((Ok(bytes), Some((pieces, left))))
                }
                Some(Err(_)) | None => Some((Err(ConnectionLost::Reset), None)),
            }
        }))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = ConnectionLost;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ConnectionLost>>> {
        match &mut self.get_mut().0 {
            Kind::Full(bytes) => {
                Poll::Ready(bytes.take().filter(|b| !b.is_empty()).map(|b| Ok(Frame::data(b))))
            }
            Kind::Stream(stream) => {
                stream.as_mut().poll_next(cx).map(|item| item.map(|bytes| bytes.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Kind::Full(bytes) if bytes.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Full(bytes) => f.debug_tuple("Full").field(bytes).finish(),
            Kind::Stream(_) => f.write_str("Stream"),
        }
    }
}
