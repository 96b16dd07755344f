//! The cluster's wall clock, which follows tokio's so that it also runs under a paused one.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Wall-clock time as a start plus what tokio says has gone by since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall: Timestamp,
    start: Instant,
}

// === impl Clock ===

impl Clock {
    /// A clock that shows `wall` now.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { wall, start: Instant::now() }
    }

    /// How long the cluster has been running.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The wall-clock time.
    pub fn now(&self) -> Timestamp {
        let gone = SignedDuration::try_from(self.elapsed()).unwrap_or(SignedDuration::MAX);
        self.wall.saturating_add(gone).unwrap_or(Timestamp::MAX)
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
