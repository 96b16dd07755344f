//! The body of a log that is followed.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use lifecycle::log::LogStream;
use parking_lot::Mutex;
use tower::BoxError;

/// The lines as they arrive. An error of the cluster breaks the connection: the client must not take it for the end.
pub struct LogBody(LogStream);

/// A log in the extensions of a response, from which the front end makes the body. Extensions can be cloned, and a log
/// cannot.
#[derive(Clone)]
pub(in crate::http) struct LogReader(Arc<Mutex<Option<LogStream>>>);

// === impl LogReader ===

impl LogReader {
    pub(super) fn new(log: LogStream) -> Self {
        Self(Arc::new(Mutex::new(Some(log))))
    }

    /// Returns the body, once.
    pub(in crate::http) fn take(self) -> Option<LogBody> {
        self.0.lock().take().map(LogBody)
    }
}

// === impl LogBody ===

impl Body for LogBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let part = self.get_mut().0.as_mut().poll_next(cx);
        part.map(|part| part.map(|part| part.map(|bytes| Frame::data(bytes.into())).map_err(Into::into)))
    }
}

impl fmt::Debug for LogBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogBody").finish_non_exhaustive()
    }
}
