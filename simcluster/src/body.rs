//! Response bodies: complete, a stream of watch events, or pending forever.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};

/// The body of a response.
#[derive(Debug)]
pub struct Body(UnsyncBoxBody<Bytes, ConnectionLost>);

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

// === impl Body ===

impl Body {
    /// Creates a complete body.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync())
    }

    /// Creates a streamed body.
    pub(crate) fn stream(stream: impl Stream<Item = Result<Bytes, ConnectionLost>> + Send + 'static) -> Self {
        Self(StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync())
    }

    /// Ends the body with a connection error after a number of bytes, or at its end if it is shorter.
    pub(crate) fn cut_after(self, limit: u64) -> Self {
        let pieces = self.0.into_data_stream();
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
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ConnectionLost>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
