//! The protection of claims: a deleted claim stays until no Pod that has a node uses it.

use crate::api;
use crate::resource::{CLAIM_PROTECTION, CLAIMS, PODS};
use crate::shared::State;
use crate::storage::claims_of;
use crate::store::{Change, Event, Object, text_at};

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
        if used || !finalizers.is_some_and(|list| list.iter().any(|finalizer| finalizer == CLAIM_PROTECTION))
        {
            continue;
        }
        let mut value = claim.value().clone();
        if let Some(list) = value["metadata"]["finalizers"].as_array_mut() {
            list.retain(|finalizer| finalizer != CLAIM_PROTECTION);
        }
        api::commit_change(state, &claim, value);
    }
}

fn has_ended(event: &Event) -> bool {
    let phase = text_at(event.object.value(), &["status", "phase"]);
    event.change == Change::Deleted || matches!(phase, "Succeeded" | "Failed")
}

/// Whether a Pod keeps a claim. One that has ended does so too, until it is deleted; one without a node does not.
fn uses(pod: &Object, claim: &str) -> bool {
    let scheduled = !text_at(pod.value(), &["spec", "nodeName"]).is_empty();
    scheduled && claims_of(pod.value()).any(|name| name == claim)
}
