//! Finds the cluster of a request about one sandbox.

use std::time::Duration;

use actors::view::STALE_RETRY;
use futures::future::join_all;
use lifecycle::{
    budget,
    error::SandboxError,
    ids::SandboxId,
    observed::Status,
    placement::{
        route::{self, Read, State},
        twins::{self, Twin},
    },
};
use tokio::time::timeout;

use super::Fleet;
use crate::member::Member;

// === impl Fleet ===

impl Fleet {
    /// Returns which of the clusters shows the sandbox to callers; `None` if none has it. Soon after the start it waits for
    /// the first lists of the clusters that may have it.
    ///
    /// # Errors
    /// If a cluster that may have it is away. The error names the cluster.
    pub(super) async fn find<'a>(
        &self,
        members: &'a [Member],
        id: &SandboxId,
    ) -> Result<Option<&'a Member>, SandboxError> {
        // A single cluster answers for itself, also while it is away.
        if let [only] = members {
            return Ok(Some(only));
        }
        let mut read = route::read(&self.states(members, id));
        if let Read::Unavailable(away) = &read {
            first_lists(away.iter().filter_map(|index| members.get(*index))).await;
            read = route::read(&self.states(members, id));
        }
        let member = |index: usize| members.get(index);
        match read {
            Read::Shown(shown) => Ok(winner(members, &shown, id).and_then(member)),
            Read::Held(index) => Ok(member(index)),
            Read::NotFound => Ok(None),
            Read::Unavailable(away) => Err(unavailable(members, &away, id)),
        }
    }

    /// Returns what each cluster shows of the sandbox.
    pub(super) fn states(&self, members: &[Member], id: &SandboxId) -> Vec<State> {
        members.iter().map(|member| member.state(id, self.0.loss_timeout)).collect()
    }
}

/// Returns which of these members shows the sandbox to callers.
pub(super) fn winner(members: &[Member], shown: &[usize], id: &SandboxId) -> Option<usize> {
    if let [only] = shown {
        return Some(*only);
    }
    let shown = shown.iter().filter_map(|index| {
        let status = members.get(*index)?.view().status(id)?;
        Some((*index, status))
    });
    let shown: Vec<_> = shown.collect();
    let twins = shown.iter().filter_map(|(index, status)| Some(twin(members.get(*index)?, id, status)));
    let twins: Vec<_> = twins.collect();
    twins::winner(&twins).and_then(|winner| shown.get(winner)).map(|(index, _)| *index)
}

/// Returns the twin that a cluster shows. After a DELETE it counts last, also while the cluster is away: it would otherwise count
/// before a sandbox that was made since.
pub(super) fn twin<'a>(member: &Member, id: &SandboxId, status: &'a Status) -> Twin<'a> {
    Twin { awaits_deletion: member.view().is_being_deleted(id), ..Twin::of(&status.cluster, status) }
}

/// Waits until these clusters have been listed once, at most until [`budget::FIRST_LIST`] has passed since the start. One
/// that has not answered by then is away.
pub(super) async fn first_lists(members: impl IntoIterator<Item = &Member>) {
    let patience = |member: &Member| {
        let away = member.view().away_for().unwrap_or_default();
        (!member.view().is_listed()).then(|| budget::FIRST_LIST.saturating_sub(away))
    };
    let lists = members.into_iter().filter_map(|member| Some((patience(member)?, member)));
    join_all(lists.map(|(patience, member)| timeout(patience, member.view().loaded()))).await;
}

/// Returns the error for a request about a sandbox that one of these members may have. It names one that is known to have
/// had it, if there is one.
pub(super) fn unavailable(members: &[Member], away: &[usize], id: &SandboxId) -> SandboxError {
    let mut away = away.iter().filter_map(|index| members.get(*index));
    let first = away.clone().next().unwrap_or(&members[0]);
    let named = away.find(|member| member.view().status(id).is_some()).unwrap_or(first);
    cluster_away(named, id, STALE_RETRY)
}

/// Returns the error that this member is away.
pub(super) fn cluster_away(member: &Member, id: &SandboxId, retry_after: Duration) -> SandboxError {
    SandboxError::ClusterAway {
        cluster: member.name().clone(),
        id: id.clone(),
        had_it: member.view().status(id).is_some(),
        why: member.view().stale_reason(),
        retry_after,
    }
}
