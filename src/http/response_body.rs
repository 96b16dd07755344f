//! The body of a response.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;
use warp::reply::Response;

use super::{events::EventBody, logs::LogBody};

/// The body of a response.
#[derive(Debug)]
pub enum ResponseBody {
    /// A body that is complete.
    Whole(WarpBody),
    /// A stream of events, which ends when the client or the daemon ends it.
    Events(EventBody),
    /// A log that is followed, which ends with its container.
    Log(LogBody),
}

/// The body of a route's response. warp does not export its name.
pub type WarpBody = <Response as HasBody>::Body;

/// A response, for the name of its body.
pub trait HasBody {
    /// The body.
    type Body;
}

impl<B> HasBody for http::Response<B> {
    type Body = B;
}

// === impl ResponseBody ===

impl ResponseBody {
    /// Returns whether this is a stream, which may stay open for long.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self, Self::Events(_) | Self::Log(_))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Self::Log(body) => Pin::new(body).poll_frame(cx),
            Self::Events(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Events(body) => body.is_end_stream(),
            Self::Log(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Events(body) => body.size_hint(),
            Self::Log(body) => body.size_hint(),
        }
    }
}
