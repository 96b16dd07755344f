//! The wall clock of a test.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use lifecycle::traits::Clock;
use tokio::time::Instant;

/// A wall clock that follows tokio's clock and can be stepped. Clones are one clock.
#[derive(Debug, Clone)]
pub struct WallClock {
    begin: Instant,
    /// The seconds by which it was stepped.
    offset: Arc<AtomicI64>,
}

impl WallClock {
    /// Starts a clock.
    pub fn start() -> Self {
        Self { begin: Instant::now(), offset: Arc::default() }
    }

    /// Steps the clock by this number of seconds.
    pub fn step(&self, seconds: i64) {
        self.offset.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Returns the time as Kubernetes writes it, in whole seconds.
    pub(crate) fn second(&self) -> Timestamp {
        Timestamp::from_second(self.wall().as_second()).unwrap()
    }
}

impl Clock for WallClock {
    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
            + SignedDuration::from_hours(400_000)
            + SignedDuration::try_from(self.begin.elapsed()).unwrap()
            + SignedDuration::from_secs(self.offset.load(Ordering::SeqCst))
    }
}
