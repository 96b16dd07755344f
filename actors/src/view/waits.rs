//! The requests that wait for changes of a row. They cost a change of another row one look into a map.

use std::{collections::HashMap, sync::Arc};

use lifecycle::ids::SandboxId;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The waiting requests, by the sandbox for which they wait.
#[derive(Debug, Default)]
pub(super) struct Waits {
    by_id: Mutex<HashMap<SandboxId, Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    changed: Arc<Notify>,
    requests: usize,
}

/// A waiting request. It is removed on drop.
#[derive(Debug)]
pub(super) struct Wait {
    waits: Arc<Waits>,
    id: SandboxId,
    /// Is notified after each change.
    pub(super) changed: Arc<Notify>,
}

// === impl Waits ===

impl Waits {
    /// Adds a request that waits for changes of this sandbox's row.
    pub(super) fn add(self: &Arc<Self>, id: &SandboxId) -> Wait {
        let mut by_id = self.by_id.lock();
        let waiting = by_id.entry(id.clone()).or_default();
        waiting.requests += 1;
        Wait { waits: self.clone(), id: id.clone(), changed: waiting.changed.clone() }
    }

    /// Wakes the requests that wait for this sandbox. Call it after each change of the row, without its lock.
    pub(super) fn changed(&self, id: &SandboxId) {
        if let Some(waiting) = self.by_id.lock().get(id) {
            waiting.changed.notify_waiters();
        }
    }

    /// Wakes all requests.
    pub(super) fn wake_all(&self) {
        for waiting in self.by_id.lock().values() {
            waiting.changed.notify_waiters();
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.lock().is_empty()
    }
}

// === impl Wait ===

impl Wait {
    /// Returns the sandbox for which it waits.
    pub(super) fn id(&self) -> &SandboxId {
        &self.id
    }

    /// Returns the first value that `look` finds. It looks now, and again after each change.
    pub(super) async fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        loop {
            // Enabled before the look, so that a change after the look is not missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            changed.await;
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut by_id = self.waits.by_id.lock();
        if let Some(waiting) = by_id.get_mut(&self.id) {
            waiting.requests -= 1;
            if waiting.requests == 0 {
                by_id.remove(&self.id);
            }
        }
    }
}
