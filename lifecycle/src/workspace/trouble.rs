//! Why a sandbox does not start because of the claim of its workspace. Pure.
//!
//! A Pod whose claim has no volume is `Pending`. Its status has no reason while a provisioner works, and the scheduler's
//! message otherwise. The claim itself tells more.

use std::{sync::Arc, time::Duration};

use super::{
    WhenDeleted, WorkspaceId,
    claim::{ClaimPhase, ObservedClaim},
};
use crate::{observed::Status, phase::Phase, phase::Reason};

/// How long a Pod waits for its claim before that is a reason. Provisioners need seconds, and some need half a minute.
pub const LONG: Duration = Duration::from_secs(60);

/// The part of a claim that the answers about its sandboxes show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimState {
    /// The requested size.
    pub size: Arc<str>,
    /// Whether it is kept or deleted after the last sandbox.
    pub when_deleted: WhenDeleted,
    /// The phase.
    pub phase: ClaimPhase,
    /// Whether it is terminating.
    pub terminating: bool,
    /// The storage class.
    pub storage_class: Option<Arc<str>>,
}

/// The reasons of Pods that may be about a volume, whatever their message says: they name no cause, or that a volume
/// is missing.
const OF_VOLUMES: [&str; 5] =
    ["ContainerCreating", "PodInitializing", "ContainersNotReady", "FailedMount", "FailedAttachVolume"];

/// The reasons of the scheduler.
const OF_THE_SCHEDULER: [&str; 3] = ["Unschedulable", "FailedScheduling", "SchedulerError"];

/// The words, in lower case, by which a sentence of the scheduler is about a claim. Without them the claim may wait for
/// a node, and not the other way round.
const WORDS: [&str; 5] =
    ["persistentvolumeclaim", "persistent volume", "volumebinding", "binding volumes", "free storage"];

// === impl ClaimState ===

impl From<&ObservedClaim> for ClaimState {
    fn from(claim: &ObservedClaim) -> Self {
        Self {
            size: claim.size.text.clone(),
            when_deleted: claim.when_deleted,
            phase: claim.phase,
            terminating: claim.terminating,
            storage_class: claim.storage_class.clone(),
        }
    }
}

/// Returns the reason why a sandbox does not start, if it is its workspace. `claim` is `None` if there is no claim, and
/// `age` is that of the Pod.
#[must_use]
pub fn explain(
    id: &WorkspaceId,
    claim: Option<&ClaimState>,
    status: &Status,
    age: Duration,
) -> Option<Reason> {
    let reason = status.reason.as_deref();
    if status.phase != Phase::Pending || !reason.is_none_or(may_be_the_claim) {
        return None;
    }
    let name = format!("PersistentVolumeClaim \"workspace-{id}\"");
    let new = |reason, why: &str| Some(Reason::new(reason, Some(&format!("{name} {why}"))));
    match claim {
        None if age < LONG => None,
        None => new("WorkspaceMissing", "does not exist any more"),
        Some(claim) if claim.terminating => new("WorkspaceTerminating", "is being deleted"),
        Some(claim) => match (claim.phase, claim.storage_class.as_deref()) {
            (ClaimPhase::Bound, _) => None,
            (ClaimPhase::Lost, _) => new("WorkspaceLost", "has lost its volume, and its data with it"),
            (ClaimPhase::Pending, _) if age < LONG => None,
            (ClaimPhase::Pending, class) => {
                let class = class.map_or_else(
                    || "without a storage class".to_owned(),
                    |class| format!("of the storage class {class:?}"),
                );
                let says = reason.filter(|reason| OF_THE_SCHEDULER.contains(&&*reason.name));
                let says = says.and_then(|reason| reason.message.as_deref());
                let says = says.map(|says| format!("; the scheduler says: {says}")).unwrap_or_default();
                let long = LONG.as_secs();
                new(
                    "WorkspacePending",
                    &format!("{class} has no volume, and the Pod has waited for more than {long} s{says}"),
                )
            }
        },
    }
}

/// Returns whether the reason of a Pod's status may have the claim as its cause.
fn may_be_the_claim(reason: &Reason) -> bool {
    let message = || reason.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    OF_VOLUMES.contains(&&*reason.name)
        || (OF_THE_SCHEDULER.contains(&&*reason.name) && {
            let message = message();
            WORDS.iter().any(|words| message.contains(words))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::ClusterName, observed::Uid, spec::ObservedSpec};

    fn id() -> WorkspaceId {
        WorkspaceId::of_hash(7)
    }

    fn claim(phase: ClaimPhase) -> ClaimState {
        ClaimState {
            size: "10Gi".into(),
            when_deleted: WhenDeleted::Keep,
            phase,
            terminating: false,
            storage_class: Some("fast".into()),
        }
    }

    fn status(phase: Phase, reason: Option<(&str, &str)>) -> Status {
        Status {
            cluster: ClusterName::DEFAULT,
            url: "http://h:1".into(),
            phase,
            ready: false,
            reason: reason.map(|(name, message)| Reason::new(name, Some(message)).into()),
            pod: Uid("p".into()),
            created: None,
            spec: ObservedSpec::default(),
            expiry: None,
        }
    }

    /// Guards which claim is a reason, from when on, and that each has a hint.
    #[test]
    fn a_claim_that_cannot_be_used_is_a_reason() {
        let (young, old) = (Duration::from_secs(59), Duration::from_secs(60));
        let terminating = ClaimState { terminating: true, ..claim(ClaimPhase::Bound) };
        let pending = Some(claim(ClaimPhase::Pending));
        let plain = Some(ClaimState { storage_class: None, ..claim(ClaimPhase::Pending) });
        for (claim, age, expected) in [
            (None, young, None),
            (None, old, Some(("WorkspaceMissing", "does not exist any more"))),
            (Some(terminating), young, Some(("WorkspaceTerminating", "is being deleted"))),
            (Some(claim(ClaimPhase::Lost)), young, Some(("WorkspaceLost", "has lost its volume"))),
            (Some(claim(ClaimPhase::Bound)), old, None),
            (pending.clone(), young, None),
            (pending, old, Some(("WorkspacePending", "of the storage class \"fast\" has no volume"))),
            (plain, old, Some(("WorkspacePending", "without a storage class has no volume"))),
        ] {
            let found = explain(&id(), claim.as_ref(), &status(Phase::Pending, None), age);
            let name = found.as_ref().map(|reason| &*reason.name);
            assert_eq!(name, expected.map(|(name, _)| name), "{claim:?} {age:?}");
            if let (Some(found), Some((_, words))) = (found, expected) {
                let message = found.message.as_deref().unwrap();
                assert!(message.contains(words) && message.contains(id().as_str()), "{message}");
                assert!(found.hint().is_some(), "{found:?}");
            }
        }
    }

    /// Guards that a cause that is not the claim stays: a claim that waits for the first consumer has no volume because
    /// no node fits.
    #[test]
    fn other_causes_stay() {
        let old = Duration::from_secs(600);
        let pending = claim(ClaimPhase::Pending);
        let scheduler = |message| (Phase::Pending, Some(("Unschedulable", message)));
        for ((phase, reason), expected) in [
            (scheduler("0/3 nodes are available: 3 Insufficient cpu."), false),
            (scheduler("0/3 nodes are available: 3 Insufficient ephemeral-storage."), false),
            (scheduler("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."), true),
            (scheduler("0/1 nodes are available: persistentvolumeclaim \"workspace-0\" not found."), true),
            (scheduler("0/1 nodes are available: 1 node(s) did not have enough free storage."), true),
            (
                scheduler(
                    "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind.",
                ),
                true,
            ),
            ((Phase::Pending, Some(("SchedulerError", "running PreBind plugin \"VolumeBinding\""))), true),
            (
                (Phase::Pending, Some(("FailedScheduling", "binding volumes: context deadline exceeded"))),
                true,
            ),
            ((Phase::Pending, Some(("FailedMount", "volume \"workspace\""))), true),
            ((Phase::Pending, Some(("ContainerCreating", ""))), true),
            ((Phase::Pending, Some(("ImagePullBackOff", "persistentvolumeclaim"))), false),
            ((Phase::Running, None), false),
            ((Phase::Terminating, None), false),
            ((Phase::Failed, None), false),
            ((Phase::Unknown, None), false),
        ] {
            let found = explain(&id(), Some(&pending), &status(phase, reason), old);
            assert_eq!(found.is_some(), expected, "{phase} {reason:?}");
        }
        let says = Some(("Unschedulable", "1 node(s) did not have enough free storage"));
        let found = explain(&id(), Some(&pending), &status(Phase::Pending, says), old).unwrap();
        assert!(found.message.unwrap().contains("the scheduler says: 1 node(s)"));
    }
}
