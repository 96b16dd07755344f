//! The creates in progress: one placement at a time per id, and the sandboxes that a cluster is about to get.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use lifecycle::ids::{ClusterName, SandboxId};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedMutexGuard, watch},
    time::Instant,
};

/// The creates in progress of all clusters.
#[derive(Debug, Default)]
pub(crate) struct Placements {
    ids: Mutex<HashMap<SandboxId, Arc<Entry>>>,
    /// The sandboxes that each cluster is about to get.
    reserved: Mutex<BTreeMap<ClusterName, Reserved>>,
    /// The sandboxes that move.
    moving: Mutex<HashSet<SandboxId>>,
}

/// The sandboxes that a cluster is about to get, and since when.
pub(crate) type Reserved = HashMap<SandboxId, Instant>;

/// The requests for one id.
#[derive(Debug)]
struct Entry {
    lock: Arc<tokio::sync::Mutex<()>>,
    /// The number of DELETEs that arrived while there were requests.
    deletes: watch::Sender<u64>,
}

/// A request that makes a sandbox. A DELETE that arrives later ends it.
pub(crate) struct Ticket {
    placements: Arc<Placements>,
    id: SandboxId,
    entry: Arc<Entry>,
    deletes: watch::Receiver<u64>,
}

/// The right to place a sandbox. No other request with the same id has it at the same time.
pub(crate) struct Turn {
    _lock: OwnedMutexGuard<()>,
}

/// A sandbox that a cluster is about to get.
pub(crate) struct Reservation {
    placements: Arc<Placements>,
    cluster: ClusterName,
    id: SandboxId,
}

/// A sandbox that moves.
pub(crate) struct Moving {
    placements: Arc<Placements>,
    id: SandboxId,
}

// === impl Placements ===

impl Placements {
    /// Registers a request that makes a sandbox.
    pub(crate) fn enter(self: &Arc<Self>, id: &SandboxId) -> Ticket {
        let entry = self.ids.lock().entry(id.clone()).or_default().clone();
        let deletes = entry.deletes.subscribe();
        Ticket { placements: self.clone(), id: id.clone(), entry, deletes }
    }

    /// Ends the requests that make this sandbox, as far as they have not been sent to a cluster.
    pub(crate) fn cancel(&self, id: &SandboxId) {
        if let Some(entry) = self.ids.lock().get(id) {
            entry.deletes.send_modify(|count| *count += 1);
        }
    }

    /// Reserves a sandbox on a cluster; `None` if `is_full` says so for the ids that are reserved by others.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        cluster: &ClusterName,
        id: &SandboxId,
        is_full: impl FnOnce(&Reserved) -> bool,
    ) -> Option<Reservation> {
        let mut reserved = self.reserved.lock();
        let ids = reserved.entry(cluster.clone()).or_default();
        if is_full(ids) {
            return None;
        }
        ids.insert(id.clone(), Instant::now());
        Some(Reservation { placements: self.clone(), cluster: cluster.clone(), id: id.clone() })
    }

    /// Begins a move; `None` if the sandbox moves already.
    pub(crate) fn begin_move(self: &Arc<Self>, id: &SandboxId) -> Option<Moving> {
        let is_first = self.moving.lock().insert(id.clone());
        is_first.then(|| Moving { placements: self.clone(), id: id.clone() })
    }

    /// Counts the sandboxes that a cluster is about to get and that are not counted elsewhere.
    pub(crate) fn reserved(&self, cluster: &ClusterName, is_counted: impl Fn(&SandboxId) -> bool) -> u64 {
        let reserved = self.reserved.lock();
        let ids = reserved.get(cluster).into_iter().flat_map(Reserved::keys);
        ids.filter(|id| !is_counted(id)).count().try_into().unwrap_or(u64::MAX)
    }

    /// Returns for how long a cluster has been about to get a sandbox; zero if it is about to get none.
    pub(crate) fn longest(&self, cluster: &ClusterName) -> Duration {
        let reserved = self.reserved.lock();
        let begins = reserved.get(cluster).into_iter().flat_map(Reserved::values);
        begins.min().map_or(Duration::ZERO, Instant::elapsed)
    }
}

// === impl Entry ===

impl Default for Entry {
    fn default() -> Self {
        Self { lock: Arc::default(), deletes: watch::Sender::new(0) }
    }
}

// === impl Ticket ===

impl Ticket {
    /// Waits for the requests with the same id that came earlier.
    pub(crate) async fn turn(&self) -> Turn {
        Turn { _lock: self.entry.lock.clone().lock_owned().await }
    }

    /// Returns whether a DELETE has arrived since.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.deletes.has_changed().unwrap_or(true)
    }

    /// Waits for a DELETE.
    pub(crate) async fn cancelled(&mut self) {
        // The sender is in the entry, which outlives the ticket.
        let _ = self.deletes.changed().await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut ids = self.placements.ids.lock();
        // All references are made while the map is locked: this one, and that of the map.
        if Arc::strong_count(&self.entry) <= 2 {
            ids.remove(&self.id);
        }
    }
}

// === impl Reservation ===

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut reserved = self.placements.reserved.lock();
        if let Some(ids) = reserved.get_mut(&self.cluster) {
            ids.remove(&self.id);
            if ids.is_empty() {
                reserved.remove(&self.cluster);
            }
        }
    }
}

// === impl Moving ===

impl Drop for Moving {
    fn drop(&mut self) {
        self.placements.moving.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
