//! Who may come in: bounds on what is under way, before the mailboxes, which have none.
//!
//! ```text
//!  POST ──▸ seat ──▸ turn (one POST of an id at a time) ──▸ place, if it will call the cluster ──▸ mailbox
//!  DELETE, PATCH, touch ──▸ seat of their own kind ──────────────────────────────────────────────▸ mailbox
//! ```
//!
//! A *seat* is held until its caller is answered, whether or not the caller is still there; who finds none is told
//! so at once. One sandbox gets a share of the seats only, so that it leaves some to all others. A *place* is held
//! while the POST is worked on; the wait for one is first come, first served, and ends early enough for what is
//! then begun to end within its caller's deadline. A POST that waits for its turn or its place has reached no
//! mailbox: whatever else is asked of its sandbox goes before it.

mod counts;

use std::{sync::Arc, time::Duration};

use lifecycle::{error::SandboxError, ids::SandboxId};
use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use self::counts::{Counts, retry_after};
pub(crate) use self::counts::{QueueLimits, Rejected};

/// When to ask again after a refusal for want of a seat, and while shutting down.
pub(crate) const RETRY: Duration = Duration::from_secs(2);

/// Seats for requests of one kind.
pub(crate) struct AdmissionQueue {
    counts: Mutex<Counts>,
}

/// A seat in a room; it is left when this is dropped.
pub(crate) struct Permit {
    room: Arc<AdmissionQueue>,
    id: SandboxId,
    /// Shared by all who have a seat for this sandbox: one permit, for the one whose turn it is.
    turn: Arc<Semaphore>,
}

/// Room for creates, and the places in which they are worked on.
pub(crate) struct Creates {
    pub(crate) room: Arc<AdmissionQueue>,
    places: Arc<Semaphore>,
    /// How many places there are.
    at_once: usize,
    /// How long a place was held lately, on average.
    held: Arc<Mutex<Duration>>,
}

/// Leave to work on a create: goes with the message, and is dropped when that has been handled.
pub(crate) struct CreatePermit {
    _turn: OwnedSemaphorePermit,
    _place: Option<Slot>,
}

struct Slot {
    _permit: OwnedSemaphorePermit,
    since: Instant,
    held: Arc<Mutex<Duration>>,
}

// === impl AdmissionQueue ===

impl AdmissionQueue {
    pub(crate) fn new(seats: QueueLimits) -> Arc<Self> {
        Arc::new(Self { counts: Mutex::new(Counts::new(seats)) })
    }

    /// A seat for a request that concerns this sandbox.
    pub(crate) fn enter(self: &Arc<Self>, id: &SandboxId) -> Result<Permit, Rejected> {
        let turn = self.counts().enter(id)?;
        Ok(Permit { room: self.clone(), id: id.clone(), turn })
    }

    /// Lets nobody in from now on.
    pub(crate) fn close(&self) {
        self.counts().close();
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock()
    }
}

// === impl Permit ===

impl Drop for Permit {
    fn drop(&mut self) {
        self.room.counts().leave(&self.id);
    }
}

// === impl Creates ===

impl Creates {
    /// Places for `at_once` creates, and these seats.
    pub(crate) fn new(at_once: usize, seats: QueueLimits) -> Self {
        let at_once = at_once.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            room: AdmissionQueue::new(seats),
            places: Arc::new(Semaphore::new(at_once)),
            at_once,
            held: Arc::default(),
        }
    }

    /// Lets nobody in from now on, and sends those away who wait for a place.
    pub(crate) fn close(&self) {
        self.room.close();
        self.places.close();
    }

    /// Waits for the sandbox's turn, then for a place until `end`, if `needs_place` says so by then.
    pub(crate) async fn pass(
        &self,
        permit: &Permit,
        end: Instant,
        needs_place: impl FnOnce() -> bool,
    ) -> Result<CreatePermit, SandboxError> {
        let turn = permit.turn.clone().acquire_owned().await.map_err(|_| closing())?;
        let place = if needs_place() { Some(self.place(&permit.id, end).await?) } else { None };
        Ok(CreatePermit { _turn: turn, _place: place })
    }

    async fn place(&self, id: &SandboxId, end: Instant) -> Result<Slot, SandboxError> {
        // A free place is taken however late it is: it may be enough.
        let permit = match self.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => timeout_at(end, self.places.clone().acquire_owned())
                .await
                .map_err(|_| self.crowded(id, "could not be made in time", self.room.counts().len()))?
                .map_err(|_| closing())?,
        };
        Ok(Slot { _permit: permit, since: Instant::now(), held: self.held.clone() })
    }

    /// What to tell a caller for whom there is no seat.
    pub(crate) fn refusal(&self, id: &SandboxId, full: Rejected) -> SandboxError {
        match full {
            Rejected::All { taken } => self.crowded(id, "cannot be made now", taken),
            other @ (Rejected::Closed | Rejected::OfOne { .. }) => other.into_failure(id),
        }
    }

    /// That this sandbox could not be made beside so many others.
    fn crowded(&self, id: &SandboxId, what: &str, seats: usize) -> SandboxError {
        let waiting = seats.saturating_sub(self.at_once);
        let held = *self.held.lock();
        SandboxError::Overloaded {
            what: format!("Sandbox '{id}' {what}: {} others are being made and {waiting} wait", self.at_once),
            retry_after: retry_after(waiting, self.at_once, held),
        }
    }
}

// === impl Slot ===

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        *held = counts::average(*held, self.since.elapsed());
    }
}

fn closing() -> SandboxError {
    SandboxError::ShuttingDown { retry_after: RETRY }
}

impl Rejected {
    /// What to tell the caller of a request that would not have waited for a place.
    pub(crate) fn into_failure(self, id: &SandboxId) -> SandboxError {
        match self {
            Self::Closed => closing(),
            Self::All { .. } => SandboxError::Busy { retry_after: RETRY },
            Self::OfOne { taken } => SandboxError::Overloaded {
                what: format!("{taken} requests for sandbox '{id}' are waiting already"),
                retry_after: RETRY,
            },
        }
    }
}

#[cfg(test)]
mod tests;
