use std::time::Duration;

use super::*;
use crate::{error::ClusterError, ids::SandboxId, network::NetworkMode, operation::Operation};

const LATER: Duration = Duration::from_secs(2);

fn unavailable(kind: ClusterErrorKind) -> SandboxError {
    let fault = ClusterError::new(kind, "");
    SandboxError::Unavailable { operation: Operation::CreatePod, fault, retry_after: LATER }
}

/// Guards that no error with an unknown outcome leads to another cluster, and that the usual refusals do.
#[test]
fn only_definite_refusals_lead_to_the_next_cluster() {
    let id = SandboxId::parse("a").unwrap();
    let operation = Operation::CreatePod;
    for (error, wanted) in [
        (SandboxError::TimedOut { operation, after: LATER }, false),
        (SandboxError::Unanswered { operation, after: LATER }, false),
        (SandboxError::Restarting { id: id.clone() }, false),
        (SandboxError::ShuttingDown { retry_after: LATER }, false),
        (SandboxError::StillTerminating { id, retry_after: LATER }, false),
        (SandboxError::BadRequest(String::new()), false),
        (unavailable(ClusterErrorKind::ServerError), false),
        (unavailable(ClusterErrorKind::TimedOut), false),
        (unavailable(ClusterErrorKind::Conflict), false),
        (unavailable(ClusterErrorKind::WorkspaceTerminating), false),
        (unavailable(ClusterErrorKind::QuotaExceeded), true),
        (unavailable(ClusterErrorKind::NodePortsExhausted), true),
        (unavailable(ClusterErrorKind::Unreachable), true),
        (unavailable(ClusterErrorKind::TooManyRequests), true),
        (SandboxError::Refused { operation, fault: ClusterError::new(ClusterErrorKind::Denied, "") }, true),
        (SandboxError::Refused { operation, fault: ClusterError::new(ClusterErrorKind::Invalid, "") }, false),
        (SandboxError::Busy { retry_after: LATER }, true),
        (SandboxError::Overloaded { what: String::new(), retry_after: LATER }, true),
        (SandboxError::Stale { why: String::new(), retry_after: LATER }, true),
        (
            SandboxError::NetworkNotEnforced {
                mode: NetworkMode::Isolated,
                why: String::new(),
                retry_after: None,
            },
            true,
        ),
    ] {
        assert_eq!(is_capacity_error(&error), wanted, "{error:?}");
    }
}
