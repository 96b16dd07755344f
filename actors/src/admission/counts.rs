//! The counts of permits, without a clock or a lock.

use std::{collections::HashMap, sync::Arc, time::Duration};

use lifecycle::ids::SandboxId;
use tokio::sync::Semaphore;

/// The shortest and the longest retry delay that callers are given. Clients of this API give up after 30 s.
const RETRY_BOUNDS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The maximum number of permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// The maximum for all sandboxes together.
    pub(crate) all: usize,
    /// The maximum for one sandbox.
    pub(crate) per_sandbox: usize,
}

/// The reason for a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// The queue is closed.
    Closed,
    /// All permits are in use.
    All {
        /// The number of permits in use.
        taken: usize,
    },
    /// All permits that one sandbox may have are in use.
    PerSandbox {
        /// The number of permits in use.
        taken: usize,
    },
}

/// The permits in use.
pub(super) struct Counts {
    limits: QueueLimits,
    taken: usize,
    closed: bool,
    by_id: HashMap<SandboxId, SandboxPermits>,
}

/// The permits in use of one sandbox: at least one.
struct SandboxPermits {
    taken: usize,
    lock: Arc<Semaphore>,
}

// === impl Counts ===

impl Counts {
    pub(super) fn new(limits: QueueLimits) -> Self {
        Self { limits, taken: 0, closed: false, by_id: HashMap::new() }
    }

    /// Takes a permit. Returns the lock that all permits of this sandbox share.
    pub(super) fn enter(&mut self, id: &SandboxId) -> Result<Arc<Semaphore>, Rejected> {
        if self.closed {
            return Err(Rejected::Closed);
        }
        let per_sandbox = self.by_id.get(id).map_or(0, |permits| permits.taken);
        if per_sandbox >= self.limits.per_sandbox {
            return Err(Rejected::PerSandbox { taken: per_sandbox });
        }
        if self.taken >= self.limits.all {
            return Err(Rejected::All { taken: self.taken });
        }
        self.taken += 1;
        let permits = self
            .by_id
            .entry(id.clone())
            .or_insert_with(|| SandboxPermits { taken: 0, lock: Arc::new(Semaphore::new(1)) });
        permits.taken += 1;
        Ok(permits.lock.clone())
    }

    /// Releases a permit.
    pub(super) fn leave(&mut self, id: &SandboxId) {
        let Some(permits) = self.by_id.get_mut(id) else { return };
        permits.taken -= 1;
        self.taken -= 1;
        if permits.taken == 0 {
            self.by_id.remove(id);
        }
    }

    /// Returns the number of permits in use.
    pub(super) fn len(&self) -> usize {
        self.taken
    }

    /// Returns how many more permits can be taken.
    pub(super) fn room(&self) -> usize {
        if self.closed { 0 } else { self.limits.all.saturating_sub(self.taken) }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }
}

/// Estimates when a slot becomes free after all waiting requests, from the average time that a slot is held.
pub(super) fn retry_after(waiting: usize, at_once: usize, held: Duration) -> Duration {
    let rounds = u32::try_from(waiting / at_once.max(1)).unwrap_or(u32::MAX).saturating_add(1);
    let [least, most] = RETRY_BOUNDS;
    held.saturating_mul(rounds).clamp(least, most)
}

/// Updates a moving average, which follows a change within about ten values.
pub(super) fn average(so_far: Duration, one_more: Duration) -> Duration {
    if so_far.is_zero() { one_more } else { (so_far * 7 + one_more) / 8 }
}
