//! The claims of workspaces. No test changes one.

use futures::future::{BoxFuture, pending};
use jiff::Timestamp;
use lifecycle::{
    error::SandboxError,
    ids::ProfileName,
    observed::{ResourceVersion, Uid},
    traits::{Deletion, Outcome, Preconditions, Workspaces},
    workspace::{
        Scope, ScopeIds, Size, WhenDeleted, WorkspaceId,
        claim::{ClaimPhase, ObservedClaim},
        retention::DeleteReason,
    },
};

use crate::FakeCluster;

pub(crate) fn claim() -> ObservedClaim {
    ObservedClaim {
        uid: Uid("claim".into()),
        version: ResourceVersion(1),
        ids: ScopeIds { scope: Scope::Sandbox, sandbox_id: None, thread_id: None, user_id: None },
        phase: ClaimPhase::Bound,
        terminating: false,
        size: Size { text: "1Gi".into(), bytes: 1 << 30 },
        capacity: None,
        storage_class: None,
        access_modes: vec![],
        when_deleted: WhenDeleted::Keep,
        keep_for: None,
        profile: None,
        created: None,
        last_used: None,
        unused_since: None,
    }
}

impl Workspaces for FakeCluster {
    fn delete_claim(
        &self,
        _: WorkspaceId,
        _: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedClaim>>> {
        Box::pin(pending())
    }

    fn mark_unused(
        &self,
        _: WorkspaceId,
        _: Preconditions,
        _: Timestamp,
    ) -> BoxFuture<'_, Outcome<ObservedClaim>> {
        Box::pin(pending())
    }

    fn check_size(&self, _: Option<&ProfileName>, _: &str) -> Result<Size, SandboxError> {
        Ok(claim().size)
    }

    fn enlarge(&self, _: WorkspaceId, _: Preconditions, _: Size) -> BoxFuture<'_, Outcome<ObservedClaim>> {
        Box::pin(pending())
    }

    fn record_claim_event(&self, _: &WorkspaceId, _: &Uid, _: DeleteReason, _: bool) {}
}
