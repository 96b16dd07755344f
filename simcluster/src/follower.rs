//! Follows the changes of some kinds of objects, for the tasks that act on them.

use futures::future::select_all;
use tokio::sync::watch;

use crate::resource::{RESOURCES, Resource};
use crate::store::{Event, Store};

/// A task's position in the changes of some kinds.
#[derive(Debug)]
pub(crate) struct Follower {
    kinds: Vec<&'static Resource>,
    changed: Vec<watch::Receiver<u64>>,
    version: u64,
    epoch: u64,
}

/// The changes since the last time.
#[derive(Debug)]
pub(crate) struct Changes {
    /// In the order of their versions.
    pub events: Vec<Event>,
    /// Whether events are missing, because they left the watch window.
    pub missed: bool,
    /// Whether the store was restored since; all events are later.
    pub restored: bool,
}

// === impl Follower ===

impl Follower {
    /// Follows the changes from now on.
    pub fn new(store: &Store, kinds: impl IntoIterator<Item = &'static Resource>) -> Self {
        let kinds: Vec<_> = kinds.into_iter().collect();
        let changed = kinds.iter().map(|kind| store.subscribe(kind)).collect();
        Self { kinds, changed, version: store.version(), epoch: store.epoch() }
    }

    /// Follows the changes of all kinds from now on.
    pub fn all(store: &Store) -> Self {
        let kinds = RESOURCES.iter().collect();
        Self { kinds, changed: vec![store.subscribe_all()], version: store.version(), epoch: store.epoch() }
    }

    /// Returns the changes since the last call.
    pub fn take(&mut self, store: &Store) -> Changes {
        let restored = self.epoch != store.epoch();
        if restored {
            // An old state was restored, maybe with old versions: only later events count.
            (self.epoch, self.version) = (store.epoch(), store.epoch_start());
        }
        let mut changes = Changes { events: Vec::new(), missed: false, restored };
        for changed in &mut self.changed {
            changed.borrow_and_update();
        }
        for kind in &self.kinds {
            match store.events_after(kind, self.version) {
                Ok(events) => changes.events.extend(events),
                Err(_) => changes.missed = true,
            }
        }
        changes.events.sort_by_key(|event| event.version);
        self.version = store.version();
        changes
    }

    /// Waits for a change. The store must outlive this, as it does for the tasks of a cluster.
    pub async fn changed(&mut self) {
        // An error would mean that the store is gone.
        let _ = select_all(self.changed.iter_mut().map(|changed| Box::pin(changed.changed()))).await;
    }
}

// === impl Changes ===

impl Changes {
    /// Whether the objects have to be listed, because the events do not tell of all changes.
    pub fn need_list(&self) -> bool {
        self.missed || self.restored
    }
}
