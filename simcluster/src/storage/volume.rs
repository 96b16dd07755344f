//! The next step of a volume. Pure.

use std::time::Duration;

use serde_json::Value;

use super::names::PROVISIONED_BY;
use crate::fields::has_finalizer;
use crate::resource::VOLUME_PROTECTION;
use crate::store::text_at;

/// How long a provisioner takes to delete a volume.
const MOMENT: Duration = Duration::from_millis(100);

/// A change of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is new, and no claim has it.
    Offer,
    /// Its claim is gone.
    Release,
    /// Delete it, with all data.
    Delete,
    /// Let a deleted one go, because no claim has it.
    Unprotect,
}

/// Returns the next step of a volume and the time until then. `claimed` is whether its claim exists.
pub(super) fn next(volume: &Value, claimed: bool) -> Option<(Duration, Step)> {
    let now = Duration::ZERO;
    let meta = &volume["metadata"];
    let referred = volume["spec"]["claimRef"].is_object();
    let reserved = text_at(volume, &["spec", "claimRef", "uid"]).is_empty();
    match text_at(volume, &["status", "phase"]) {
        "Bound" if !claimed => return Some((now, Step::Release)),
        "Bound" => return None,
        "" | "Pending" if !referred || reserved => return Some((now, Step::Offer)),
        _ => {}
    }
    if meta.get("deletionTimestamp").is_some() {
        return has_finalizer(volume, VOLUME_PROTECTION).then_some((now, Step::Unprotect));
    }
    let deleted = volume["status"]["phase"] == "Released"
        && volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        && meta["annotations"].get(PROVISIONED_BY).is_some();
    deleted.then_some((MOMENT, Step::Delete))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Guards the reclaim policies and the protection of a volume that a claim has.
    #[test]
    fn a_volume_goes_with_its_claim_only_if_its_policy_says_so() {
        let now = Duration::ZERO;
        for (phase, policy, claimed, terminating, expected) in [
            ("Bound", "Delete", true, false, None),
            ("Bound", "Delete", true, true, None),
            ("Bound", "Delete", false, false, Some((now, Step::Release))),
            ("Bound", "Retain", false, false, Some((now, Step::Release))),
            ("Released", "Delete", false, false, Some((MOMENT, Step::Delete))),
            ("Released", "Retain", false, false, None),
            ("Released", "Retain", false, true, Some((now, Step::Unprotect))),
            ("Available", "Retain", false, false, None),
        ] {
            let mut volume = json!({
                "metadata": {"annotations": {PROVISIONED_BY: "p"}, "finalizers": [VOLUME_PROTECTION]},
                "spec": {"persistentVolumeReclaimPolicy": policy, "claimRef": {"uid": "u"}},
                "status": {"phase": phase},
            });
            if terminating {
                volume["metadata"]["deletionTimestamp"] = "t".into();
            }
            assert_eq!(next(&volume, claimed), expected, "{phase} {policy} {claimed} {terminating}");
        }
        assert_eq!(next(&json!({"status": {"phase": "Pending"}}), false), Some((now, Step::Offer)));
    }
}
