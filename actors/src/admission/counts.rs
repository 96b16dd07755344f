//! Who has a seat: the decision, without a clock or a lock.

use std::{collections::HashMap, sync::Arc, time::Duration};

use lifecycle::ids::SandboxId;
use tokio::sync::Semaphore;

/// The shortest and the longest wait that callers are asked for: clients of this API give up after 30 s.
const RETRY_BOUNDS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// How many seats there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// For all sandboxes together.
    pub(crate) all: usize,
    /// For one sandbox.
    pub(crate) per_sandbox: usize,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// Nobody is, any more.
    Closed,
    /// All seats are taken.
    All {
        /// How many that are.
        taken: usize,
    },
    /// All seats are taken that one sandbox may have.
    OfOne {
        /// How many that are.
        taken: usize,
    },
}

/// Who has a seat.
pub(super) struct Counts {
    seats: QueueLimits,
    taken: usize,
    closed: bool,
    by_id: HashMap<SandboxId, Of>,
}

/// Who has a seat for one sandbox: at least one request.
struct Of {
    taken: usize,
    turn: Arc<Semaphore>,
}

// === impl Counts ===

impl Counts {
    pub(super) fn new(seats: QueueLimits) -> Self {
        Self { seats, taken: 0, closed: false, by_id: HashMap::new() }
    }

    /// Takes a seat; gives back what those share who have one for this sandbox.
    pub(super) fn enter(&mut self, id: &SandboxId) -> Result<Arc<Semaphore>, Rejected> {
        if self.closed {
            return Err(Rejected::Closed);
        }
        let per_sandbox = self.by_id.get(id).map_or(0, |of| of.taken);
        if per_sandbox >= self.seats.per_sandbox {
            return Err(Rejected::OfOne { taken: per_sandbox });
        }
        if self.taken >= self.seats.all {
            return Err(Rejected::All { taken: self.taken });
        }
        self.taken += 1;
        let of = self
            .by_id
            .entry(id.clone())
            .or_insert_with(|| Of { taken: 0, turn: Arc::new(Semaphore::new(1)) });
        of.taken += 1;
        Ok(of.turn.clone())
    }

    /// Gives a seat back.
    pub(super) fn leave(&mut self, id: &SandboxId) {
        let Some(of) = self.by_id.get_mut(id) else { return };
        of.taken -= 1;
        self.taken -= 1;
        if of.taken == 0 {
            self.by_id.remove(id);
        }
    }

    /// How many seats are taken.
    pub(super) fn len(&self) -> usize {
        self.taken
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }
}

/// When there will be a place for somebody who comes after all of these, if places are held for as long as lately.
pub(super) fn retry_after(waiting: usize, at_once: usize, held: Duration) -> Duration {
    let rounds = u32::try_from(waiting / at_once.max(1)).unwrap_or(u32::MAX).saturating_add(1);
    let [least, most] = RETRY_BOUNDS;
    held.saturating_mul(rounds).clamp(least, most)
}

/// The average of lately, with one more: it follows a change within some ten.
pub(super) fn average(so_far: Duration, one_more: Duration) -> Duration {
    if so_far.is_zero() { one_more } else { (so_far * 7 + one_more) / 8 }
}
