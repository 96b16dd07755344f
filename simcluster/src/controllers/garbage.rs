//! The garbage collector: deletes or orphans dependents, as the propagation policy of the owner's deletion says.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::api::{self, FOREGROUND, ORPHAN};
use crate::clock::Clock;
use crate::fields::{has_finalizer, items, retain_in, without_finalizer};
use crate::resource::{RESOURCES, Resource};
use crate::shared::State;
use crate::store::{Change, Event, Key, Object, Store, key, text_at};

/// Deletes the objects that have lost their last owner by these events, or were created after it was deleted.
pub(super) fn collect_orphans(state: &mut State, clock: &Clock, events: &[Event]) {
    for event in events {
        match event.change {
            Change::Deleted => {
                for dependent in state.store.owned_by(event.object.uid()) {
                    collect_if_orphaned(state, clock, &dependent);
                }
            }
            Change::Added | Change::Modified => collect_if_orphaned(state, clock, &event.object),
        }
    }
}

/// Deletes all objects without an existing owner. Needed when events were missed.
pub(super) fn collect_all_orphans(state: &mut State, clock: &Clock) {
    let all: Vec<_> = RESOURCES.iter().flat_map(|resource| state.store.list(resource, None)).collect();
    for object in all {
        collect_if_orphaned(state, clock, &object);
    }
}

fn collect_if_orphaned(state: &mut State, clock: &Clock, object: &Object) {
    if object.owners().next().is_none() {
        return;
    }
    let Some(object) = state.store.get(object.resource, object.namespace(), object.name()) else { return };
    let mut owners = items(&object.value()["metadata"]["ownerReferences"]);
    if owners.len() > 0 && owners.all(|owner| is_gone(&state.store, owner, object.namespace())) {
        api::delete_object(state, clock, &object, None);
    }
}

/// Returns whether the object of a reference does not exist, or has a different uid. References to unknown kinds count
/// as valid.
fn is_gone(store: &Store, reference: &Value, namespace: &str) -> bool {
    let text = |key| text_at(reference, &[key]);
    let named =
        |resource: &&Resource| resource.kind == text("kind") && resource.api_version() == text("apiVersion");
    let Some(resource) = Resource::all().find(named).map(Resource::stored) else { return false };
    let namespace = if resource.namespaced { namespace } else { "" };
    store.get(resource, namespace, text("name")).is_none_or(|owner| owner.uid() != text("uid"))
}

/// Returns the key of a terminating object with a finalizer of the collector.
pub(super) fn pending_owner(event: &Event) -> Option<Key> {
    waiting(&event.object).filter(|_| event.change != Change::Deleted)
}

/// Returns the keys of all terminating objects with a finalizer of the collector.
pub(super) fn all_pending_owners(store: &Store) -> BTreeSet<Key> {
    RESOURCES
        .iter()
        .flat_map(|resource| store.list(resource, None))
        .filter_map(|object| waiting(&object))
        .collect()
}

fn waiting(object: &Object) -> Option<Key> {
    let waits = object.terminating()
        && (has_finalizer(object.value(), FOREGROUND) || has_finalizer(object.value(), ORPHAN));
    waits.then(|| key(object))
}

/// Processes terminating owners: deletes or orphans their dependents, then removes the finalizer.
pub(super) fn process_finalizers(state: &mut State, clock: &Clock, pending_owners: &mut BTreeSet<Key>) {
    pending_owners.retain(|key| {
        let found = state.store.find(key);
        let Some(owner) = found.filter(|owner| owner.terminating()) else { return false };
        if has_finalizer(owner.value(), ORPHAN) {
            remove_owner_references(state, &owner);
            api::commit_change(state, &owner, without_finalizer(owner.value(), ORPHAN));
            return false;
        }
        if !has_finalizer(owner.value(), FOREGROUND) {
            return false;
        }
        let dependents = state.store.owned_by(owner.uid());
        for dependent in dependents.iter().filter(|dependent| !dependent.terminating()) {
            api::delete_after_dependents(state, clock, dependent);
        }
        let left = state.store.owned_by(owner.uid());
        if left.iter().any(|dependent| blocks(dependent, owner.uid())) {
            return true;
        }
        api::commit_change(state, &owner, without_finalizer(owner.value(), FOREGROUND));
        false
    });
}

/// Removes an owner from the references of all its dependents.
fn remove_owner_references(state: &mut State, owner: &Object) {
    for dependent in state.store.owned_by(owner.uid()) {
        let mut value = dependent.value().clone();
        retain_in(&mut value["metadata"], "ownerReferences", |reference| reference["uid"] != owner.uid());
        api::commit_change(state, &dependent, value);
    }
}

/// Returns whether a dependent blocks the foreground deletion of its owner.
fn blocks(dependent: &Object, owner: &str) -> bool {
    items(&dependent.value()["metadata"]["ownerReferences"])
        .any(|reference| reference["uid"] == owner && reference["blockOwnerDeletion"] == true)
}
