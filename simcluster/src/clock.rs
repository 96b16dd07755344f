//! The cluster's wall clock. It is based on tokio's clock, so it also works when that is paused.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A wall clock: a start time, plus the time elapsed on tokio's clock, plus manual steps. Clones share one clock.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    wall: Timestamp,
    start: Instant,
    /// The sum of manual steps, in milliseconds; may be negative.
    stepped: Arc<AtomicI64>,
}

// === impl Clock ===

impl Clock {
    /// Creates a clock that shows `wall` now.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { wall, start: Instant::now(), stepped: Arc::default() }
    }

    /// Returns how long the cluster has been running. It is monotonic: steps do not change it.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Steps the wall clock forward or back.
    pub fn step(&self, by: SignedDuration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(if by.is_negative() { i64::MIN } else { i64::MAX });
        let sum = self.stepped.load(Ordering::Relaxed).saturating_add(by);
        self.stepped.store(sum, Ordering::Relaxed);
    }

    /// Returns the wall-clock time.
    pub fn now(&self) -> Timestamp {
        let gone = SignedDuration::try_from(self.elapsed()).unwrap_or(SignedDuration::MAX);
        let gone = gone.saturating_add(SignedDuration::from_millis(self.stepped.load(Ordering::Relaxed)));
        let end = if gone.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
        self.wall.checked_add(gone).unwrap_or(end)
    }

    /// Returns the time in the format of an HTTP `Date` header.
    pub fn date(&self) -> Option<HeaderValue> {
        self.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string().try_into().ok()
    }

    /// Returns the time in the format of Kubernetes' objects: whole seconds, UTC.
    pub fn stamp(&self) -> String {
        stamp(self.now())
    }
}

/// Returns a time in the format of Kubernetes' objects: whole seconds, UTC.
pub(crate) fn stamp(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
