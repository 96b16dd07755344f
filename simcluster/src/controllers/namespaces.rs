//! Namespace deletion: deletes the contents, then the namespace. Its conditions list the remaining objects.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api;
use crate::clock::Clock;
use crate::fields::{items, transition_time};
use crate::resource::{NAMESPACES, RESOURCES, Resource};
use crate::shared::State;
use crate::store::Object;

/// The remaining objects of a namespace, by kind and by finalizer.
#[derive(Debug, Default)]
struct Remaining {
    objects: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
}

/// Continues the deletion of all terminating namespaces.
pub(super) fn end(state: &mut State, clock: &Clock) {
    let ending: Vec<_> = state.store.list(NAMESPACES, None).filter(|n| n.terminating()).collect();
    for namespace in ending {
        let remaining = empty(state, clock, namespace.name());
        let held = items(&namespace.value()["metadata"]["finalizers"]).len() > 0;
        if remaining.objects.is_empty() && !held {
            state.remove(NAMESPACES, "", namespace.name());
            continue;
        }
        report(state, clock, &namespace, &remaining);
    }
}

/// Deletes the contents of a namespace. Returns the remaining objects.
fn empty(state: &mut State, clock: &Clock, name: &str) -> Remaining {
    let mut remaining = Remaining::default();
    for resource in RESOURCES.iter().filter(|resource| resource.namespaced) {
        let objects: Vec<_> = state.store.list(resource, Some(name)).collect();
        for object in objects.iter().filter(|object| !object.terminating()) {
            api::delete_object(state, clock, object, None);
        }
        for object in state.store.list(resource, Some(name)) {
            remaining.count(resource, &object);
        }
    }
    remaining
}

fn report(state: &mut State, clock: &Clock, namespace: &Object, remaining: &Remaining) {
    let list = |counts: &BTreeMap<String, usize>, words: fn(&str, usize) -> String| {
        counts.iter().map(|(name, count)| words(name, *count)).collect::<Vec<_>>().join(", ")
    };
    let objects = list(&remaining.objects, |name, count| format!("{name} has {count} resource instances"));
    let finalizers =
        list(&remaining.finalizers, |name, count| format!("{name} in {count} resource instances"));
    let (remain, held) = (
        format!("Some resources are remaining: {objects}"),
        format!("Some content in the namespace has finalizers remaining: {finalizers}"),
    );
    let content = if remaining.objects.is_empty() {
        ("False", "ContentRemoved", "All content successfully removed")
    } else {
        ("True", "SomeResourcesRemain", remain.as_str())
    };
    let finalizing = if remaining.finalizers.is_empty() {
        ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished")
    } else {
        ("True", "SomeFinalizersRemain", held.as_str())
    };
    let found = ("False", "ResourcesDiscovered", "All resources successfully discovered");
    let parsed = ("False", "ParsedGroupVersions", "All legacy kube types successfully parsed");
    let why = "All content successfully deleted, may be waiting on finalization";
    let conditions = [
        ("NamespaceDeletionDiscoveryFailure", found),
        ("NamespaceDeletionGroupVersionParsingFailure", parsed),
        ("NamespaceDeletionContentFailure", ("False", "ContentDeleted", why)),
        ("NamespaceContentRemaining", content),
        ("NamespaceFinalizersRemaining", finalizing),
    ];
    let (before, now) = (namespace.value(), clock.stamp());
    let written: Vec<_> = conditions
        .into_iter()
        .map(|(kind, (status, reason, message))| {
            json!({"type": kind, "status": status, "reason": reason, "message": message,
                "lastTransitionTime": transition_time(before, kind, status, &now)})
        })
        .collect();
    let mut value = namespace.value().clone();
    value["status"]["conditions"] = written.into();
    if value != *namespace.value() {
        state.store.put(NAMESPACES, value);
    }
}

// === impl Remaining ===

impl Remaining {
    fn count(&mut self, resource: &Resource, object: &Object) {
        *self.objects.entry(format!("{}.{}", resource.plural, resource.group)).or_default() += 1;
        let finalizers = items(&object.value()["metadata"]["finalizers"]);
        for finalizer in finalizers.filter_map(Value::as_str) {
            *self.finalizers.entry(finalizer.to_owned()).or_default() += 1;
        }
    }
}
