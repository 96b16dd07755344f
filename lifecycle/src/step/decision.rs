//! Code that all decisions share: the step in progress, and the answers to callers.

use std::time::Duration;

use super::{
    context::Context,
    lifetime_state::LifetimeState,
    types::{Action, Reply, Stage},
};
use crate::{
    error::{ClusterError, SandboxError},
    observed::Status,
    operation::Operation,
};

/// The retry delay while a sandbox is terminating: about half of its Pod's grace period.
pub(super) const TERMINATING_RETRY: Duration = Duration::from_secs(5);

/// The retry delay while the view is stale.
pub(super) const STALE_RETRY: Duration = Duration::from_secs(5);

/// The retry delay while a short operation is in progress.
pub(super) const BUSY_RETRY: Duration = Duration::from_secs(1);

/// A step in progress: its inputs and the lifetime of the Pod. Its methods return final decisions.
pub(super) struct Step<'a> {
    pub(super) ctx: Context<'a>,
    pub(super) lifetime: Option<LifetimeState>,
}

/// The next stage, and the actions that lead to it.
pub(super) type Decision<W> = (Stage<W>, Vec<Action<W>>);

// === impl Step ===

impl Step<'_> {
    /// Returns the status that a GET would show.
    pub(super) fn status(&self) -> Option<Status> {
        let status = self.ctx.seen.status()?;
        Some(Status {
            expiry: self.lifetime.as_ref().and_then(|lifetime| lifetime.expiry(self.ctx)),
            ..status
        })
    }

    /// Returns the error for a sandbox with a terminating object.
    pub(super) fn still_terminating(&self) -> SandboxError {
        SandboxError::StillTerminating { id: self.ctx.id.clone(), retry_after: TERMINATING_RETRY }
    }
}

/// Returns the actions that give these callers the same answer.
pub(super) fn answer<W>(
    waiters: impl IntoIterator<Item = W>,
    reply: &Result<Reply, SandboxError>,
) -> Vec<Action<W>> {
    waiters.into_iter().map(|waiter| Action::Answer(waiter, reply.clone())).collect()
}

/// Puts actions before those of a decision.
pub(super) fn after<W>(mut first: Vec<Action<W>>, (stage, actions): Decision<W>) -> Decision<W> {
    first.extend(actions);
    (stage, first)
}

/// Returns the error for a stale view.
pub(super) fn stale() -> SandboxError {
    SandboxError::Stale { why: "the watch on the cluster is behind".to_owned(), retry_after: STALE_RETRY }
}

/// Converts a cluster error into the error for the caller of the operation.
pub(super) fn failure_of(operation: Operation, fault: ClusterError) -> SandboxError {
    if fault.kind.is_passing() {
        let retry_after = fault.retry_after.unwrap_or(Duration::from_secs(5)).max(Duration::from_secs(1));
        SandboxError::Unavailable { operation, fault, retry_after }
    } else {
        SandboxError::Refused { operation, fault }
    }
}
