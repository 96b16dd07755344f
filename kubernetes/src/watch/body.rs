//! Observes the body of a watch's answer. Each line is an event in JSON.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use memchr::memchr_iter;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::BoxError;

use super::{
    END_EARLY, SILENCE_MAX,
    connection_state::{ConnectionState, Recorded},
};
use crate::{
    connect::WATCH_TIMEOUT,
    fault::{CallError, Verb},
};

/// Body that records when everything the server sent has been received.
///
/// Two things prove that: a frame that ends with the end of an event, and the orderly end of the watch at its timeout.
/// `kube` reports neither, and takes some broken bodies for an orderly end. Here an early end, half an event, an event
/// that is too long and [`SILENCE_MAX`] without a proof are errors.
pub struct WatchBody<B> {
    body: B,
    state: Arc<ConnectionState>,
    opened: Instant,
    /// Ends when the watch has been silent for too long.
    silence: Pin<Box<Sleep>>,
    /// The number of bytes of the incomplete last event.
    unfinished: usize,
    /// The maximum length of an event, in bytes.
    ///
    /// `kube` itself buffers an event of any length. With this limit it buffers at most this much and one frame, and
    /// briefly a copy of it as text.
    max: usize,
}

// === impl WatchBody ===

impl<B> WatchBody<B> {
    /// Wraps the body of a watch that was requested at this time and whose events have at most `max` bytes.
    pub fn new(body: B, max: usize, opened: Instant, state: Arc<ConnectionState>) -> Self {
        let silence = Box::pin(sleep_until(Instant::now() + SILENCE_MAX));
        Self { body, state, opened, silence, unfinished: 0, max }
    }

    fn received(&mut self, data: &[u8]) -> Result<(), CallError> {
        let mut start = 0;
        for newline in memchr_iter(b'\n', data) {
            self.grown(newline - start)?;
            self.unfinished = 0;
            start = newline + 1;
        }
        self.grown(data.len() - start)?;
        // A frame with the start of another event proves nothing, because that event is not passed on yet.
        if data.ends_with(b"\n") {
            self.silence.as_mut().reset(Instant::now() + SILENCE_MAX);
            self.state.set_synced();
        }
        Ok(())
    }

    /// Counts further bytes of the last event.
    fn grown(&mut self, bytes: usize) -> Result<(), CallError> {
        self.unfinished = self.unfinished.saturating_add(bytes);
        if self.unfinished > self.max {
            return Err(CallError::TooLarge { max: self.max });
        }
        Ok(())
    }

    fn ended(&self) -> Result<(), CallError> {
        if self.unfinished > 0 {
            return Err(CallError::Unreadable);
        }
        // An API server that shuts down ends its watches like this, and so does a proxy that loses its server.
        if self.opened.elapsed() + END_EARLY < WATCH_TIMEOUT {
            return Err(CallError::Closed);
        }
        self.state.set_synced();
        Ok(())
    }
}

impl<B> Body for WatchBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Recorded;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Recorded>>> {
        let this = self.get_mut();
        let frame = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.received(frame.data_ref().map_or(&[], |data| data)).map(|()| Some(frame))
            }
            Poll::Ready(Some(Err(error))) => Err(kube::Error::Service(error.into()).into()),
            Poll::Ready(None) => this.ended().map(|()| None),
            Poll::Pending => {
                ready!(this.silence.as_mut().poll(cx));
                Err(CallError::TimedOut { after: SILENCE_MAX })
            }
        };
        Poll::Ready(frame.map_err(|error| this.state.fail(Verb::Watch, error)).transpose())
    }
}

#[cfg(test)]
mod tests;
