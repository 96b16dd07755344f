//! What a controller manager does, as far as it is needed: namespaces that end, owners that are gone, quotas.

use std::sync::Arc;

use tokio::sync::watch;

use crate::api;
use crate::resource::{NAMESPACES, QUOTAS, RESOURCES, Resource};
use crate::shared::{Shared, State};
use crate::store::{Change, Event, Object, text_at};

/// Runs the controllers until they are aborted.
pub(crate) async fn run(shared: Arc<Shared>) {
    let (mut changes, mut seen) = {
        let state = shared.state();
        let changes: Vec<watch::Receiver<u64>> = RESOURCES.iter().map(|r| state.store.subscribe(r)).collect();
        (changes, state.store.version())
    };
    loop {
        for change in &mut changes {
            change.borrow_and_update();
        }
        seen = step(&shared, seen);
        let any = changes.iter_mut().map(|change| Box::pin(change.changed()));
        if futures::future::select_all(any).await.0.is_err() {
            return;
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

/// Deletes what names a gone object as its only owner.
fn collect_orphans(state: &mut State, shared: &Shared, owner: &Object) {
    let uid = owner.uid();
    for resource in RESOURCES.iter().filter(|resource| resource.namespaced) {
        let orphans: Vec<_> = state
            .store
            .list(resource, Some(owner.namespace()))
            .filter(|object| {
                let owners = object.value["metadata"]["ownerReferences"].as_array();
                owners.is_some_and(|owners| !owners.is_empty() && owners.iter().all(|o| o["uid"] == uid))
            })
            .cloned()
            .collect();
        for orphan in orphans {
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
