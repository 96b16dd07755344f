//! The protection of claims: a deleted claim stays until no Pod that has a node uses it.

use crate::api;
use crate::fields::{has_ended, has_finalizer, without_finalizer};
use crate::resource::{CLAIM_PROTECTION, CLAIMS, PODS};
use crate::shared::State;
use crate::storage::uses_claim;
use crate::store::{Change, Event, text_at};

/// Removes the finalizer of terminating claims that no Pod uses any longer.
pub(super) fn release(state: &mut State, events: &[Event]) {
    let frees = |event: &Event| match event.object.resource {
        resource if resource == PODS => event.change == Change::Deleted || has_ended(event.object.value()),
        resource => resource == CLAIMS,
    };
    let dying: Vec<_> = state.store.list(CLAIMS, None).filter(|claim| claim.terminating()).collect();
    if dying.is_empty() || !events.iter().any(frees) {
        return;
    }
    for claim in dying {
        // A Pod that has ended keeps a claim until it is deleted; one without a node does not keep it.
        let used = state.store.list(PODS, Some(claim.namespace())).any(|pod| {
            let is_scheduled = !text_at(pod.value(), &["spec", "nodeName"]).is_empty();
            is_scheduled && uses_claim(pod.value(), claim.name())
        });
        if !used && has_finalizer(claim.value(), CLAIM_PROTECTION) {
            api::commit_change(state, &claim, without_finalizer(claim.value(), CLAIM_PROTECTION));
        }
    }
}
