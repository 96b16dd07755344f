//! The state of a store at one moment, to go back to.

use super::{Objects, Store, key};
use crate::resource::RESOURCES;

/// The state of a cluster at one moment, as a backup of its etcd: all objects and their version. Objects are shared
/// with the store, so a snapshot is small.
#[derive(Debug, Clone)]
pub struct Snapshot {
    version: u64,
    /// By the place of the kind, then by namespace, then by name.
    objects: Vec<Objects>,
}

// === impl Store ===

impl Store {
    /// The present state.
    pub fn snapshot(&self) -> Snapshot {
        let objects = self.tables.iter().map(|table| table.objects.clone()).collect();
        Snapshot { version: self.version, objects }
    }

    /// Counts how often the store was restored. A client that follows the store by versions lists everything again when
    /// this changes.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The first version of this epoch.
    pub fn epoch_start(&self) -> u64 {
        self.epoch_start
    }

    /// Restores a state without its events. With `keep_counting` versions continue; without, they go back too, and the
    /// store assigns versions again that it has already used.
    pub fn restore(&mut self, snapshot: &Snapshot, keep_counting: bool) {
        self.epoch += 1;
        self.version = if keep_counting { self.version + 1 } else { snapshot.version };
        self.epoch_start = self.version;
        self.owned.clear();
        for (table, objects) in self.tables.iter_mut().zip(&snapshot.objects) {
            table.objects.clone_from(objects);
        }
        for resource in &RESOURCES {
            let objects: Vec<_> = self.list(resource, None).collect();
            for object in objects {
                for owner in object.owners() {
                    self.owned.entry(owner.to_owned()).or_default().insert(key(&object));
                }
            }
        }
        self.forget_events();
        self.any.send_replace(self.version);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::PODS;

    #[test]
    fn an_old_state_comes_back_whole_and_its_versions_too_unless_they_go_on() {
        for keep_counting in [true, false] {
            let mut store = Store::with_window(10);
            let pod = |name: &str| json!({"metadata": {"namespace": "ns", "name": name, "ownerReferences": [{"uid": "o"}]}});
            store.put(PODS, pod("a"));
            let snapshot = store.snapshot();
            let then = store.version();
            store.remove(PODS, "ns", "a");
            store.put(PODS, pod("b"));
            let (late, epoch) = (store.version(), store.epoch());
            store.restore(&snapshot, keep_counting);
            let names: Vec<_> = store.list(PODS, None).map(|o| o.name().to_owned()).collect();
            assert_eq!(names, ["a"]);
            assert_eq!(store.owned_by("o").len(), 1);
            assert_eq!(store.version(), if keep_counting { late + 1 } else { then });
            assert_ne!(store.epoch(), epoch);
            // A client that saw the lost objects finds out, unless versions went back too.
            assert_eq!(store.events_after(PODS, late).is_err(), keep_counting);
        }
    }
}
