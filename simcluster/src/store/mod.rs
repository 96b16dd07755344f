//! The state of the cluster: one table a resource, one version counter, one watch window a resource.
//!
//! The store knows nothing of HTTP, validation or the node. It assigns versions, keeps order and tells watchers.

mod delta;
mod labels;
mod object;
mod snapshot;
mod window;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

pub(crate) use labels::Labels;
pub(crate) use object::{Object, Record, copy_field, text_at};
pub use snapshot::Snapshot;
pub(crate) use window::{Change, Event, Expired, WindowLimits};

use crate::resource::{RESOURCES, Resource};
use delta::Bases;
use window::Window;

/// All objects of a cluster.
#[derive(Debug)]
pub(crate) struct Store {
    /// The version of the last change anywhere.
    version: u64,
    /// Goes up when a snapshot is restored.
    epoch: u64,
    /// The version at which it last went up.
    epoch_start: u64,
    tables: Vec<Table>,
    /// The objects that name an owner in their `ownerReferences`, by its uid.
    owned: HashMap<String, BTreeSet<Key>>,
    /// The version of the last change of any resource, for tasks that wait for one.
    any: watch::Sender<u64>,
}

/// Objects by namespace (empty for cluster-wide kinds), then by name: the order of a list.
type Objects = BTreeMap<String, BTreeMap<String, Arc<Record>>>;

/// The place of an object: resource, namespace, name.
pub(crate) type Key = (usize, String, String);

#[derive(Debug)]
struct Table {
    objects: Objects,
    /// The texts with which new objects share their JSON.
    bases: Bases,
    window: Window,
    /// The version of the last change in this table; watchers wait on it.
    changed: watch::Sender<u64>,
}

/// The version a new cluster starts at, so that version 1 is "too old", as on a server that has lived a while.
const FIRST_VERSION: u64 = 1000;

// === impl Store ===

impl Store {
    /// An empty store whose watch windows keep so much each.
    pub fn new(window: WindowLimits) -> Self {
        let tables = RESOURCES
            .iter()
            .map(|_| Table {
                objects: BTreeMap::new(),
                bases: Bases::default(),
                window: Window::new(window, FIRST_VERSION),
                changed: watch::Sender::new(FIRST_VERSION),
            })
            .collect();
        Self {
            version: FIRST_VERSION,
            epoch: 0,
            epoch_start: FIRST_VERSION,
            tables,
            owned: HashMap::new(),
            any: watch::Sender::new(FIRST_VERSION),
        }
    }

    /// An empty store whose watch windows hold up to `events` events each.
    #[cfg(test)]
    pub fn with_window(events: usize) -> Self {
        Self::new(WindowLimits { events, bytes: usize::MAX })
    }

    /// The version of the last change anywhere.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Object> {
        self.tables[resource.index].objects.get(namespace)?.get(name).map(Object::from)
    }

    pub fn find(&self, (index, namespace, name): &Key) -> Option<Object> {
        self.get(&RESOURCES[*index], namespace, name)
    }

    /// The objects of one namespace, or of all, in order.
    pub fn list<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&str>,
    ) -> Box<dyn Iterator<Item = Object> + 'a> {
        let objects = &self.tables[resource.index].objects;
        match namespace {
            Some(namespace) => {
                Box::new(objects.get(namespace).into_iter().flat_map(BTreeMap::values).map(Object::from))
            }
            None => Box::new(objects.values().flat_map(BTreeMap::values).map(Object::from)),
        }
    }

    /// How many objects of a kind a namespace holds.
    pub fn count(&self, resource: &Resource, namespace: &str) -> usize {
        self.tables[resource.index].objects.get(namespace).map_or(0, BTreeMap::len)
    }

    /// Adds or replaces an object, which must have a name (and a namespace if its kind has them), under the next
    /// version.
    pub fn put(&mut self, resource: &'static Resource, mut value: Value) -> Object {
        self.version += 1;
        let version = self.version;
        object::set_version(&mut value, version);
        let place = |key| text_at(&value, &["metadata", key]);
        let before = self.get(resource, place("namespace"), place("name"));
        let table = &mut self.tables[resource.index];
        let object = Object::with(before.as_deref(), resource, version, value, |json| table.bases.keep(json));
        let names = table.objects.entry(object.namespace().to_owned()).or_default();
        names.insert(object.name().to_owned(), Arc::clone(object.record()));
        for owner in before.iter().flat_map(|before| before.owners()) {
            forget_owner(&mut self.owned, owner, &object);
        }
        for owner in object.owners() {
            self.owned.entry(owner.to_owned()).or_default().insert(key(&object));
        }
        let change = if before.is_some() { Change::Modified } else { Change::Added };
        table.announce(&Event { version, change, object: object.clone(), before });
        self.any.send_replace(version);
        object
    }

    /// Removes an object, and returns its last state under the version of the removal.
    pub fn remove(&mut self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Object> {
        let table = &mut self.tables[resource.index];
        let names = table.objects.get_mut(namespace)?;
        let before = names.remove(name)?;
        if names.is_empty() {
            table.objects.remove(namespace);
        }
        self.version += 1;
        let before = Object::from(&before);
        let mut value = before.value().clone();
        object::set_version(&mut value, self.version);
        let object =
            Object::with(Some(&before), resource, self.version, value, |json| table.bases.keep(json));
        for owner in object.owners() {
            forget_owner(&mut self.owned, owner, &object);
        }
        let event = Event {
            version: self.version,
            change: Change::Deleted,
            object: object.clone(),
            before: Some(before),
        };
        table.announce(&event);
        self.any.send_replace(self.version);
        Some(object)
    }

    /// The events of a kind after a version, oldest first.
    pub fn events_after(&self, resource: &Resource, version: u64) -> Result<Vec<Event>, Expired> {
        self.tables[resource.index].window.after(version)
    }

    /// The objects of a kind as they were at a version, in the order of a list; `None` if they still are so.
    pub fn past(&self, resource: &Resource, version: u64) -> Result<Option<Vec<Object>>, Expired> {
        let later = self.events_after(resource, version)?;
        if later.is_empty() {
            return Ok(None);
        }
        let place = |object: &Object| (object.namespace().to_owned(), object.name().to_owned());
        let mut past: BTreeMap<_, _> =
            self.list(resource, None).map(|object| (place(&object), object)).collect();
        // Undone one by one, the latest first.
        for event in later.iter().rev() {
            match &event.before {
                Some(before) => drop(past.insert(place(before), before.clone())),
                None => drop(past.remove(&place(&event.object))),
            }
        }
        Ok(Some(past.into_values().collect()))
    }

    /// Tells of every later change of a kind.
    pub fn subscribe(&self, resource: &Resource) -> watch::Receiver<u64> {
        self.tables[resource.index].changed.subscribe()
    }

    /// Returns a receiver of the version of each change of any kind. It is woken after those of the kind.
    pub fn subscribe_all(&self) -> watch::Receiver<u64> {
        self.any.subscribe()
    }

    /// Returns the objects that name an owner in their `ownerReferences`.
    pub fn owned_by(&self, uid: &str) -> Vec<Object> {
        let keys = self.owned.get(uid).into_iter().flatten();
        keys.filter_map(|key| self.find(key)).collect()
    }

    /// Drops all events: a watch from an earlier version is too old.
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
    fn announce(&mut self, event: &Event) {
        self.window.push(event);
        self.changed.send_replace(event.version);
    }
}

/// Returns the place of an object.
pub(crate) fn key(object: &Object) -> Key {
    (object.resource.index, object.namespace().to_owned(), object.name().to_owned())
}

fn forget_owner(index: &mut HashMap<String, BTreeSet<Key>>, owner: &str, object: &Object) {
    if let Some(keys) = index.get_mut(owner) {
        keys.remove(&key(object));
        if keys.is_empty() {
            index.remove(owner);
        }
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
        let mut store = Store::with_window(10);
        let first = store.put(PODS, pod("a"));
        let second = store.put(PODS, pod("a"));
        let gone = store.remove(PODS, "ns", "a").unwrap();
        assert_eq!((second.version, gone.version), (first.version + 1, first.version + 2));
        let kinds: Vec<_> =
            store.events_after(PODS, first.version - 1).unwrap().iter().map(|e| e.change).collect();
        assert_eq!(kinds, [Change::Added, Change::Modified, Change::Deleted]);
        assert!(store.get(PODS, "ns", "a").is_none());
    }

    proptest::proptest! {
        /// Guards what every watcher relies on: the state at any version still in the window, with the events after
        /// it played on top, is the present state.
        #[test]
        fn events_lead_from_any_version_to_the_present(
            steps in proptest::collection::vec((0..4_usize, proptest::bool::ANY), 1..40),
        ) {
            let mut store = Store::with_window(10);
            let mut states = vec![(store.version(), BTreeMap::new())];
            for (name, put) in steps {
                let name = ["a", "b", "c", "d"][name];
                if put {
                    store.put(PODS, pod(name));
                } else {
                    store.remove(PODS, "ns", name);
                }
                let present: BTreeMap<_, _> =
                    store.list(PODS, None).map(|o| (o.name().to_owned(), o.version)).collect();
                states.push((store.version(), present));
            }
            let (_, present) = states.last().cloned().unwrap();
            for (version, mut state) in states {
                let Ok(events) = store.events_after(PODS, version) else { continue };
                for event in events {
                    match event.change {
                        Change::Deleted => drop(state.remove(event.object.name())),
                        Change::Added | Change::Modified => {
                            state.insert(event.object.name().to_owned(), event.version);
                        }
                    }
                }
                assert_eq!(state, present);
            }
        }
    }

    #[test]
    fn what_names_an_owner_is_found_by_it() {
        let mut store = Store::with_window(10);
        let mut owned = pod("a");
        owned["metadata"]["ownerReferences"] = json!([{"uid": "o"}]);
        store.put(PODS, owned.clone());
        assert_eq!(store.owned_by("o").len(), 1);
        store.put(PODS, pod("a"));
        assert!(store.owned_by("o").is_empty());
        store.put(PODS, owned);
        store.remove(PODS, "ns", "a");
        assert!(store.owned_by("o").is_empty() && store.owned.is_empty());
    }

    #[test]
    fn a_watcher_older_than_the_window_is_told_so() {
        let mut store = Store::with_window(2);
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
