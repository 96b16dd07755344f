//! Persistent volume claims: a deleted claim stays until no Pod uses it. Claims are never bound, because there are no
//! volumes.

use serde_json::Value;

use crate::api;
use crate::resource::{CLAIMS, PODS};
use crate::shared::State;
use crate::store::{Change, Event, Object, text_at};

const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// Removes the finalizer of terminating claims that no Pod uses any longer.
pub(super) fn release(state: &mut State, events: &[Event]) {
    let frees = |event: &Event| {
        event.object.resource == CLAIMS || (event.object.resource == PODS && has_ended(event))
    };
    let dying: Vec<_> = state.store.list(CLAIMS, None).filter(|claim| claim.terminating()).collect();
    if dying.is_empty() || !events.iter().any(frees) {
        return;
    }
    for claim in dying {
        let used = state.store.list(PODS, Some(claim.namespace())).any(|pod| uses(&pod, claim.name()));
        let finalizers = claim.value()["metadata"]["finalizers"].as_array();
        if used || !finalizers.is_some_and(|list| list.iter().any(|finalizer| finalizer == PROTECTION)) {
            continue;
        }
        let mut value = claim.value().clone();
        if let Some(list) = value["metadata"]["finalizers"].as_array_mut() {
            list.retain(|finalizer| finalizer != PROTECTION);
        }
        api::commit_change(state, &claim, value);
    }
}

fn has_ended(event: &Event) -> bool {
    event.change == Change::Deleted || ended(&event.object)
}

fn ended(pod: &Object) -> bool {
    matches!(text_at(pod.value(), &["status", "phase"]), "Succeeded" | "Failed")
}

fn uses(pod: &Object, claim: &str) -> bool {
    let volumes = pod.value()["spec"]["volumes"].as_array().into_iter().flatten();
    let names = |volume: &Value| text_at(volume, &["persistentVolumeClaim", "claimName"]) == claim;
    !ended(pod) && volumes.into_iter().any(names)
}
