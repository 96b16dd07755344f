//! What the cluster remembers: one table a resource, one version counter, one watch window a resource.
//!
//! The store knows nothing of HTTP, validation or the node. It assigns versions, keeps order and tells watchers.

mod object;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

pub(crate) use object::{Object, text_at};
pub(crate) use window::{Change, Event, Expired};

use crate::resource::{RESOURCES, Resource};
use window::Window;

/// All objects of a cluster.
#[derive(Debug)]
pub(crate) struct Store {
    /// The version of the last change anywhere.
    version: u64,
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    /// By namespace (empty for cluster-wide kinds), then by name: the order of a list.
    objects: BTreeMap<String, BTreeMap<String, Arc<Object>>>,
    window: Window,
    /// The version of the last change in this table; watchers wait on it.
    changed: watch::Sender<u64>,
}

/// The version a new cluster starts at, so that version 1 is "too old", as on a server that has lived a while.
const FIRST_VERSION: u64 = 1000;

// === impl Store ===

impl Store {
    /// An empty store whose watch windows hold up to `window` events each.
    pub fn new(window: usize) -> Self {
        let tables = RESOURCES
            .iter()
            .map(|_| Table {
                objects: BTreeMap::new(),
                window: Window::new(window, FIRST_VERSION),
                changed: watch::Sender::new(FIRST_VERSION),
            })
            .collect();
        Self { version: FIRST_VERSION, tables }
    }

    /// The version of the last change anywhere.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.tables[resource.index].objects.get(namespace)?.get(name)
    }

    /// The objects of one namespace, or of all, in order.
    pub fn list<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&str>,
    ) -> Box<dyn Iterator<Item = &'a Arc<Object>> + 'a> {
        let objects = &self.tables[resource.index].objects;
        match namespace {
            Some(namespace) => Box::new(objects.get(namespace).into_iter().flat_map(BTreeMap::values)),
            None => Box::new(objects.values().flat_map(BTreeMap::values)),
        }
    }

    /// How many objects of a kind a namespace holds.
    pub fn count(&self, resource: &Resource, namespace: &str) -> usize {
        self.tables[resource.index].objects.get(namespace).map_or(0, BTreeMap::len)
    }

    /// Adds or replaces an object, which must have a name (and a namespace if its kind has them), under the next
    /// version.
    pub fn put(&mut self, resource: &'static Resource, mut value: Value) -> Arc<Object> {
        self.version += 1;
        let version = self.version;
        object::set_version(&mut value, version);
        let object = Arc::new(Object::new(resource, version, value));
        let table = &mut self.tables[resource.index];
        let names = table.objects.entry(object.namespace().to_owned()).or_default();
        let before = names.insert(object.name().to_owned(), Arc::clone(&object));
        let change = if before.is_some() { Change::Modified } else { Change::Added };
        table.announce(Event { version, change, object: Arc::clone(&object), before });
        object
    }

    /// Removes an object; what is returned is its last state, under the version of the removal.
    pub fn remove(
        &mut self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Object>> {
        let table = &mut self.tables[resource.index];
        let names = table.objects.get_mut(namespace)?;
        let before = names.remove(name)?;
        if names.is_empty() {
            table.objects.remove(namespace);
        }
        self.version += 1;
        let object = Arc::new(before.at_version(self.version));
        let event = Event {
            version: self.version,
            change: Change::Deleted,
            object: Arc::clone(&object),
            before: Some(before),
        };
        table.announce(event);
        Some(object)
    }

    /// The events of a kind after a version, oldest first.
    pub fn events_after(&self, resource: &Resource, version: u64) -> Result<Vec<Arc<Event>>, Expired> {
        self.tables[resource.index].window.after(version)
    }

    /// Tells of every later change of a kind.
    pub fn subscribe(&self, resource: &Resource) -> watch::Receiver<u64> {
        self.tables[resource.index].changed.subscribe()
    }

    /// Forgets all events: whoever asks for anything before now is too late.
    pub fn forget_events(&mut self) {
        for table in &mut self.tables {
            table.window.forget(self.version);
            // Watchers that were behind must notice that they are.
            table.changed.send_replace(self.version);
        }
    }
}

// === impl Table ===

impl Table {
    fn announce(&mut self, event: Event) {
        let version = event.version;
        self.window.push(Arc::new(event));
        self.changed.send_replace(version);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::PODS;

    fn pod(name: &str) -> Value {
        json!({"metadata": {"namespace": "ns", "name": name}})
    }

    #[test]
    fn versions_grow_over_every_change_and_a_removal_has_its_own() {
        let mut store = Store::new(10);
        let first = store.put(PODS, pod("a"));
        let second = store.put(PODS, pod("a"));
        let gone = store.remove(PODS, "ns", "a").unwrap();
        assert_eq!((second.version, gone.version), (first.version + 1, first.version + 2));
        let kinds: Vec<_> =
            store.events_after(PODS, first.version - 1).unwrap().iter().map(|e| e.change).collect();
        assert_eq!(kinds, [Change::Added, Change::Modified, Change::Deleted]);
        assert!(store.get(PODS, "ns", "a").is_none());
    }

    #[test]
    fn a_watcher_older_than_the_window_is_told_so() {
        let mut store = Store::new(2);
        let start = store.version();
        for name in ["a", "b", "c"] {
            store.put(PODS, pod(name));
        }
        assert!(store.events_after(PODS, start).is_err());
        assert_eq!(store.events_after(PODS, start + 1).unwrap().len(), 2);
        store.forget_events();
        assert!(store.events_after(PODS, start + 2).is_err());
        assert_eq!(store.events_after(PODS, store.version()).unwrap().len(), 0);
    }
}
