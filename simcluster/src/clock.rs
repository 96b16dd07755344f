//! The cluster's wall clock, which follows tokio's so that it also runs under a paused one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Wall-clock time as a start plus what tokio says has gone by since, plus what it was put forward. Clones are the same
/// clock.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    wall: Timestamp,
    start: Instant,
    /// Milliseconds that the wall clock was put forward (or, below zero, back) by hand.
    stepped: Arc<AtomicI64>,
}

// === impl Clock ===

impl Clock {
    /// A clock that shows `wall` now.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { wall, start: Instant::now(), stepped: Arc::default() }
    }

    /// How long the cluster has been running. No step changes that.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Puts the wall clock forward, or back.
    pub fn step(&self, by: SignedDuration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(if by.is_negative() { i64::MIN } else { i64::MAX });
        let sum = self.stepped.load(Ordering::Relaxed).saturating_add(by);
        self.stepped.store(sum, Ordering::Relaxed);
    }

    /// The wall-clock time.
    pub fn now(&self) -> Timestamp {
        let gone = SignedDuration::try_from(self.elapsed()).unwrap_or(SignedDuration::MAX);
        let gone = gone.saturating_add(SignedDuration::from_millis(self.stepped.load(Ordering::Relaxed)));
        let end = if gone.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
        self.wall.checked_add(gone).unwrap_or(end)
    }

    /// The time as HTTP writes it in a `Date` header.
    pub fn date(&self) -> Option<HeaderValue> {
        self.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string().try_into().ok()
    }

    /// The time as Kubernetes writes it in objects: whole seconds, UTC.
    pub fn stamp(&self) -> String {
        stamp(self.now())
    }
}

/// A time as Kubernetes writes it in objects: whole seconds, UTC.
pub(crate) fn stamp(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
