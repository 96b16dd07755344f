//! Whether a workspace can grow to a size. Pure.

use super::{
    Size,
    claim::{ClaimPhase, ObservedClaim},
};
use crate::error::{ClusterError, ClusterErrorKind};

/// The decision about a wish to enlarge a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Growth {
    /// It has this size already.
    Done,
    /// The cluster can be asked.
    Ask,
    /// The size is smaller. The text is written for the client.
    Smaller(String),
    /// The claim is in a state in which Kubernetes refuses it.
    Refuse(ClusterError),
}

/// Decides about a wish to enlarge a claim.
pub fn decide(claim: &ObservedClaim, wanted: &Size) -> Growth {
    let refuse = |kind, why| Growth::Refuse(ClusterError::new(kind, why));
    if claim.terminating {
        return refuse(ClusterErrorKind::WorkspaceTerminating, "the workspace is being deleted");
    }
    if claim.phase == ClaimPhase::Lost {
        return refuse(ClusterErrorKind::WorkspaceLost, "the workspace has lost its volume");
    }
    if wanted.bytes < claim.size.bytes {
        let (wanted, has) = (&wanted.text, &claim.size.text);
        let why = format!("size: {wanted} is below {has}, the size of the workspace, which can only grow");
        return Growth::Smaller(why);
    }
    if wanted.bytes == claim.size.bytes {
        return Growth::Done;
    }
    if claim.phase == ClaimPhase::Pending {
        return refuse(ClusterErrorKind::WorkspacePending, "the workspace has no volume yet");
    }
    Growth::Ask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::claim::fixture::claim;

    fn size(text: &str, gib: u64) -> Size {
        Size { text: text.into(), bytes: gib << 30 }
    }

    /// Guards the decision for every state of a claim and for each direction.
    #[test]
    fn only_a_bound_claim_grows() {
        use ClaimPhase::{Bound, Lost, Pending};
        use ClusterErrorKind::{WorkspaceLost, WorkspacePending, WorkspaceTerminating};
        for (phase, terminating, gib, expected) in [
            (Bound, false, 20, Ok(Growth::Ask)),
            (Bound, false, 10, Ok(Growth::Done)),
            (Pending, false, 10, Ok(Growth::Done)),
            (Pending, false, 20, Err(WorkspacePending)),
            (Lost, false, 20, Err(WorkspaceLost)),
            (Lost, false, 10, Err(WorkspaceLost)),
            (Bound, true, 20, Err(WorkspaceTerminating)),
            (Lost, true, 5, Err(WorkspaceTerminating)),
        ] {
            let claim = ObservedClaim { phase, terminating, size: size("10Gi", 10), ..claim() };
            let found = match decide(&claim, &size("?", gib)) {
                Growth::Refuse(fault) => Err(fault.kind),
                other => Ok(other),
            };
            assert_eq!(found, expected, "{phase:?} {terminating} {gib}");
        }
        let claim = ObservedClaim { phase: Bound, size: size("10Gi", 10), ..claim() };
        let Growth::Smaller(why) = decide(&claim, &size("5Gi", 5)) else { panic!() };
        assert_eq!(why, "size: 5Gi is below 10Gi, the size of the workspace, which can only grow");
    }
}
