//! What a controller manager does, as far as it is needed: namespaces that end, owners that are gone, quotas.

use std::sync::Arc;

use crate::api;
use crate::resource::{NAMESPACES, QUOTAS, RESOURCES, Resource};
use crate::shared::{Shared, State};
use crate::store::{Change, Event, Object, text_at};

/// Runs the controllers until they are aborted. What happens from the call on is seen, not from the first poll on.
pub(crate) fn run(shared: Arc<Shared>) -> impl Future<Output = ()> {
    let (mut changed, mut seen, mut epoch) = {
        let state = shared.state();
        (state.store.subscribe_all(), state.store.version(), state.store.epoch())
    };
    async move {
        loop {
            changed.borrow_and_update();
            let now = shared.state().store.epoch();
            if now != epoch {
                // An old state has come back, under old versions perhaps: only what followed it counts.
                (epoch, seen) = (now, shared.state().store.begun());
            }
            seen = step(&shared, seen);
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Acts on all that happened after a version.
fn step(shared: &Shared, seen: u64) -> u64 {
    let mut state = shared.state();
    let version = state.store.version();
    let mut gone: Vec<Arc<Event>> = Vec::new();
    for resource in &RESOURCES {
        // What has left the window is missed; a namespace that ends is found again below.
        let events = state.store.events_after(resource, seen).unwrap_or_default();
        gone.extend(events.into_iter().filter(|event| event.change == Change::Deleted));
    }
    for event in &gone {
        collect_orphans(&mut state, shared, &event.object);
    }
    let ending: Vec<_> = state.store.list(NAMESPACES, None).filter(|n| n.terminating()).cloned().collect();
    for namespace in ending {
        empty_namespace(&mut state, shared, namespace.name());
    }
    update_quotas(&mut state);
    version
}

/// Deletes what named a gone object as its owner, once none of its owners is left.
fn collect_orphans(state: &mut State, shared: &Shared, owner: &Object) {
    for orphan in state.store.owned_by(owner.uid()) {
        if orphan.owners().all(|other| other == owner.uid()) {
            api::delete_object(state, &shared.clock, &orphan, None);
        }
    }
}

/// Deletes all that is left in a namespace that ends, and the namespace once nothing is.
fn empty_namespace(state: &mut State, shared: &Shared, name: &str) {
    let mut left = 0;
    for resource in RESOURCES.iter().filter(|resource| resource.namespaced) {
        let objects: Vec<_> = state.store.list(resource, Some(name)).cloned().collect();
        for object in objects.iter().filter(|object| !object.terminating()) {
            api::delete_object(state, &shared.clock, object, None);
        }
        left += count(state, resource, name);
    }
    if left == 0 {
        state.remove(NAMESPACES, "", name);
    }
}

fn count(state: &State, resource: &Resource, namespace: &str) -> usize {
    state.store.count(resource, namespace)
}

/// Writes into each quota how much of it is used.
fn update_quotas(state: &mut State) {
    let quotas: Vec<_> = state.store.list(QUOTAS, None).cloned().collect();
    for quota in quotas {
        let namespace = text_at(&quota.value, &["metadata", "namespace"]);
        let status = api::quota_status(&state.store, namespace, &quota.value);
        if quota.value["status"] != status {
            let mut value = quota.value.clone();
            value["status"] = status;
            state.store.put(QUOTAS, value);
        }
    }
}
