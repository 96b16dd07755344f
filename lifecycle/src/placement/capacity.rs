//! Whether the next cluster is asked after a create has failed.

use crate::error::{ClusterErrorKind, SandboxError};

/// Returns whether a create failed because this cluster cannot take another sandbox now, and certainly made nothing that
/// lives on. Another cluster may take it then.
///
/// After an outcome that is not known, this is false: the sandbox may exist, and a second one would be its twin. An error
/// alone does not show everything: the caller also looks whether the cluster shows an object of the sandbox.
#[must_use]
#[expect(clippy::match_same_arms, reason = "equal arms have different reasons")]
pub const fn is_capacity_error(error: &SandboxError) -> bool {
    match error {
        SandboxError::Refused { fault, .. } | SandboxError::Unavailable { fault, .. } => {
            refuses_all(fault.kind)
        }
        // The queue of creates is full.
        SandboxError::Busy { .. } | SandboxError::Overloaded { .. } => true,
        // A create checks both before it writes anything.
        SandboxError::Stale { .. } | SandboxError::NetworkNotEnforced { .. } => true,
        // The request, or an object that exists, is in the way. Another cluster does not help.
        SandboxError::BadRequest(_)
        | SandboxError::MountOutsideState { .. }
        | SandboxError::LarkBrokerNotConfigured
        | SandboxError::LarkBrokerRequired
        | SandboxError::Mismatch(_)
        | SandboxError::NotOurs { .. }
        | SandboxError::StillTerminating { .. }
        | SandboxError::Owned { .. } => false,
        // The outcome is not known.
        SandboxError::TimedOut { .. } | SandboxError::Unanswered { .. } | SandboxError::Restarting { .. } => {
            false
        }
        // All clusters of this process shut down.
        SandboxError::ShuttingDown { .. } => false,
        // No create fails so on one cluster.
        SandboxError::ResizeNotSupported
        | SandboxError::ResizeRefused(_)
        | SandboxError::AfterResize(_)
        | SandboxError::LogNotReady { .. }
        | SandboxError::NoPreviousLog { .. }
        | SandboxError::LogForbidden { .. }
        | SandboxError::ClusterAway { .. }
        | SandboxError::MoveRefused { .. }
        | SandboxError::NoCluster { .. } => false,
    }
}

/// Returns whether a cluster refuses with such an error whatever is created, and has certainly not created it.
#[must_use]
#[expect(clippy::match_same_arms, reason = "equal arms have different reasons")]
pub const fn refuses_all(kind: ClusterErrorKind) -> bool {
    match kind {
        ClusterErrorKind::QuotaExceeded
        | ClusterErrorKind::NodePortsExhausted
        | ClusterErrorKind::NamespaceMissing
        | ClusterErrorKind::NamespaceTerminating
        | ClusterErrorKind::TooManyRequests
        | ClusterErrorKind::Unreachable
        | ClusterErrorKind::Unauthorized
        | ClusterErrorKind::Forbidden
        // A policy of this cluster.
        | ClusterErrorKind::Denied => true,
        // The outcome is not known.
        ClusterErrorKind::ServerError | ClusterErrorKind::TimedOut => false,
        ClusterErrorKind::AlreadyExists
        | ClusterErrorKind::Terminating
        | ClusterErrorKind::Conflict
        | ClusterErrorKind::NotFound
        | ClusterErrorKind::Invalid
        | ClusterErrorKind::NotSupported
        | ClusterErrorKind::ContainerWaiting
        | ClusterErrorKind::NoPreviousContainer
        | ClusterErrorKind::Mutated
        | ClusterErrorKind::Other => false,
        // A workspace does not move to another cluster.
        ClusterErrorKind::WorkspaceTerminating
        | ClusterErrorKind::WorkspacePending
        | ClusterErrorKind::WorkspaceLost
        | ClusterErrorKind::WorkspaceMismatch
        | ClusterErrorKind::WorkspaceNotOurs
        | ClusterErrorKind::WorkspaceInUse
        | ClusterErrorKind::WorkspaceNotExpandable => false,
    }
}

#[cfg(test)]
mod tests;
