//! Admission control: limits concurrent requests, because ractor mailboxes are unbounded.
//!
//! ```text
//!  POST ──▸ permit ──▸ lock (one POST of an id at a time) ──▸ slot, if it will call the cluster ──▸ mailbox
//!  DELETE, PATCH, touch ──▸ permit of another queue ──────────────────────────────────────────────▸ mailbox
//! ```
//!
//! A request holds a *permit* until it is answered, even if its caller has disconnected. Requests over the limit are
//! rejected immediately. One sandbox can hold only a share of the permits, so that the others keep some. A POST holds
//! a *slot* while the actor works on it. Slots are given in order of arrival. The wait for a slot ends early enough
//! for the work to end within the caller's deadline. A POST that waits for its lock or its slot is in no mailbox yet,
//! so other requests for its sandbox overtake it.

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
use crate::state;

/// The retry delay after a rejection because of too many requests, and during shutdown.
pub(crate) const RETRY: Duration = Duration::from_secs(2);

/// A queue with a limited number of permits, for requests of one kind.
pub(crate) struct AdmissionQueue {
    counts: Mutex<Counts>,
}

/// A permit of a queue. It is released on drop.
pub struct Permit {
    queue: Arc<AdmissionQueue>,
    id: SandboxId,
    /// The lock of the sandbox, shared by all its permits: a semaphore with one permit.
    lock: Arc<Semaphore>,
}

/// The queue of creates, and the slots in which they are executed.
pub(crate) struct Creates {
    pub(crate) queue: Arc<AdmissionQueue>,
    slots: Arc<Semaphore>,
    /// The number of slots.
    at_once: usize,
    /// The moving average of how long a slot is held.
    held: Arc<Mutex<Duration>>,
}

/// The right to execute a create. It travels with the message and is dropped when the message has been handled.
pub(crate) struct CreatePermit {
    _lock: OwnedSemaphorePermit,
    _slot: Option<Slot>,
}

struct Slot {
    _permit: OwnedSemaphorePermit,
    since: Instant,
    held: Arc<Mutex<Duration>>,
}

// === impl AdmissionQueue ===

impl AdmissionQueue {
    pub(crate) fn new(limits: QueueLimits) -> Arc<Self> {
        Arc::new(Self { counts: Mutex::new(Counts::new(limits)) })
    }

    /// Takes a permit for a request about this sandbox.
    pub(crate) fn enter(self: &Arc<Self>, id: &SandboxId) -> Result<Permit, Rejected> {
        let lock = self.counts().enter(id)?;
        Ok(Permit { queue: self.clone(), id: id.clone(), lock })
    }

    /// Returns the number of requests in the queue, waiting or running.
    pub(crate) fn len(&self) -> usize {
        self.counts().len()
    }

    /// Rejects all requests from now on.
    pub(crate) fn close(&self) {
        self.counts().close();
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock()
    }
}

// === impl Permit ===

impl Permit {
    /// Returns the sandbox for which it was taken.
    #[must_use]
    pub fn id(&self) -> &SandboxId {
        &self.id
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.queue.counts().leave(&self.id);
    }
}

// === impl Creates ===

impl Creates {
    /// Creates `at_once` slots, and a queue with these limits.
    pub(crate) fn new(at_once: usize, limits: QueueLimits) -> Self {
        let at_once = at_once.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            queue: AdmissionQueue::new(limits),
            slots: Arc::new(Semaphore::new(at_once)),
            at_once,
            held: Arc::default(),
        }
    }

    /// Returns the creates in progress.
    pub(crate) fn state(&self) -> state::Creates {
        let taken = self.queue.len();
        // A permit without a slot waits, unless its sandbox is complete already.
        let running = self.at_once.saturating_sub(self.slots.available_permits()).min(taken);
        let room = self.queue.counts().room();
        state::Creates { running, waiting: taken - running, running_max: self.at_once, room }
    }

    /// Rejects all requests from now on, and also those that wait for a slot.
    pub(crate) fn close(&self) {
        self.queue.close();
        self.slots.close();
    }

    /// Waits for the sandbox's lock, then until `end` for a slot if `needs_slot` then returns true.
    pub(crate) async fn admit(
        &self,
        permit: &Permit,
        end: Instant,
        needs_slot: impl FnOnce() -> bool,
    ) -> Result<CreatePermit, SandboxError> {
        let lock = permit.lock.clone().acquire_owned().await.map_err(|_| closing())?;
        let slot = if needs_slot() { Some(self.slot(&permit.id, end).await?) } else { None };
        Ok(CreatePermit { _lock: lock, _slot: slot })
    }

    async fn slot(&self, id: &SandboxId, end: Instant) -> Result<Slot, SandboxError> {
        // A free slot is taken even after `end`: the remaining time may be enough.
        let permit = match self.slots.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => timeout_at(end, self.slots.clone().acquire_owned())
                .await
                .map_err(|_| self.overloaded(id, "could not be made in time", self.queue.counts().len()))?
                .map_err(|_| closing())?,
        };
        Ok(Slot { _permit: permit, since: Instant::now(), held: self.held.clone() })
    }

    /// Returns the error for a request without a permit.
    pub(crate) fn rejection(&self, id: &SandboxId, rejected: Rejected) -> SandboxError {
        match rejected {
            Rejected::All { taken } => self.overloaded(id, "cannot be made now", taken),
            other @ (Rejected::Closed | Rejected::PerSandbox { .. }) => other.into_failure(id),
        }
    }

    /// Returns the error for a sandbox that cannot be created because of too many other creates.
    fn overloaded(&self, id: &SandboxId, what: &str, permits: usize) -> SandboxError {
        let waiting = permits.saturating_sub(self.at_once);
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
    /// Returns the error for the caller of a request that does not need a slot.
    pub(crate) fn into_failure(self, id: &SandboxId) -> SandboxError {
        match self {
            Self::Closed => closing(),
            Self::All { .. } => SandboxError::Busy { retry_after: RETRY },
            Self::PerSandbox { taken } => SandboxError::Overloaded {
                what: format!("{taken} requests for sandbox '{id}' are waiting already"),
                retry_after: RETRY,
            },
        }
    }
}

#[cfg(test)]
mod tests;
