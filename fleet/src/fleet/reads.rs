//! The reads: each is answered by the cluster of the sandbox, or by all clusters whose state is known.

use actors::sandboxes::Permit;
use futures::future::join_all;
use lifecycle::{
    error::SandboxError,
    ids::SandboxId,
    observed::{Status, Uid},
    placement::twins::{self, Twin},
    timeline::Report,
};
use tokio::time::Instant;

use super::{Fleet, writes::of_member};
use crate::{
    list::Listing,
    member::Member,
    position::{MemberRevision, Revision},
};

// === impl Fleet ===

impl Fleet {
    /// Lists the sandboxes of the members that the revision includes.
    pub(super) fn list_all(
        &self,
        of: &Revision,
        after: Option<&SandboxId>,
        matches: impl Fn(&Status) -> bool,
    ) -> Listing<(SandboxId, Status)> {
        let members = self.members();
        let is_single = members.len() == 1;
        let (mut items, mut incomplete) = (Vec::<(SandboxId, Status)>::new(), Vec::new());
        for member in &*members {
            if !of.includes(member.name()) {
                incomplete.push(member.name().clone());
                continue;
            }
            // The losers are left out before the filter, which may match only the loser.
            let list = member.sandboxes.view().statuses_after(after, |status| !is_single || matches(status));
            if items.is_empty() { items = list } else { items.extend(list) }
        }
        if !is_single {
            items.sort_by(|(a, _), (b, _)| a.cmp(b));
            items = without_losers(items);
            items.retain(|(_, status)| matches(status));
        }
        Listing { items, incomplete }
    }

    /// Returns the revision of the list of the members whose state is known.
    pub(super) async fn list_revision(&self) -> Result<Revision, SandboxError> {
        let members = self.members();
        // Soon after the start a cluster may wait for its first list, but not while another can answer.
        let is_any_fresh = members.iter().any(|member| member.view().is_fresh());
        let revisions = join_all(members.iter().map(async |member| {
            let revision = match member.view() {
                view if is_any_fresh && !view.is_fresh() => Err(view.stale()),
                _ => member.sandboxes.revision().await,
            };
            (member, revision)
        }))
        .await;
        if revisions.iter().all(|(_, revision)| revision.is_err())
            && let Some((_, Err(error))) = revisions.first()
        {
            return Err(error.clone());
        }
        let of = |(member, revision): (&Member, Result<_, _>)| MemberRevision {
            cluster: member.name().clone(),
            view: revision.ok(),
            enforced: member.sandboxes.network().enforced,
        };
        Ok(revisions.into_iter().map(of).collect())
    }

    /// Waits for the sandbox of the permits, which are of the clusters in their order, on the cluster that has it.
    pub(super) async fn wait(
        &self,
        permits: Vec<Permit>,
        end: Instant,
    ) -> Result<Option<Status>, SandboxError> {
        let Some(id) = permits.first().map(|permit| permit.id().clone()) else { return Ok(None) };
        let members = self.members();
        let Some(member) = self.find(&members, &id).await? else { return Ok(None) };
        let permit = members.iter().zip(permits).find(|(one, _)| one.name() == member.name());
        // The cluster was added after the permits were taken.
        let Some((_, permit)) = permit else { return Ok(member.view().status(&id)) };
        member.sandboxes.settled(permit, end).await
    }

    /// Returns the timeline of the sandbox, or that of the last sandbox with this id if no cluster has one.
    pub(super) async fn read_timeline(&self, id: &SandboxId) -> Result<Option<Report>, SandboxError> {
        let members = self.members();
        if let Some(member) = self.find(&members, id).await? {
            return member.sandboxes.timeline(id).await;
        }
        let reports = join_all(members.iter().map(|member| member.sandboxes.timeline(id))).await;
        let reports = reports.into_iter().filter_map(Result::ok).flatten();
        Ok(reports.max_by_key(|report| report.steps.last().map(|step| step.at)))
    }

    /// Returns the uid of the sandbox's Pod. A cluster that shows the sandbox answers for all; otherwise all must know.
    pub(super) async fn find_pod(&self, id: &SandboxId) -> Result<Option<Uid>, SandboxError> {
        let members = self.members();
        if let Ok(Some(member)) = self.find(&members, id).await {
            return member.sandboxes.presence(id).await;
        }
        let answers = join_all(members.iter().map(|member| member.sandboxes.presence(id))).await;
        let found = answers.iter().find_map(|answer| answer.as_ref().ok().cloned().flatten());
        if found.is_some() {
            return Ok(found);
        }
        let failed = members.iter().zip(answers).find_map(|(member, answer)| Some((member, answer.err()?)));
        match failed {
            Some((member, error)) if members.len() > 1 => Err(of_member(member, id, error)),
            Some((_, error)) => Err(error),
            None => Ok(None),
        }
    }
}

/// Leaves out the sandboxes that lose against a twin. The list is in the order of the ids.
fn without_losers(list: Vec<(SandboxId, Status)>) -> Vec<(SandboxId, Status)> {
    let mut kept = Vec::<(SandboxId, Status)>::with_capacity(list.len());
    for (id, status) in list {
        match kept.last_mut() {
            Some((previous, shown)) if *previous == id => {
                let twins = [&*shown, &status].map(|status| Twin::of(&status.cluster, status));
                if twins::winner(&twins) == Some(1) {
                    *shown = status;
                }
            }
            _ => kept.push((id, status)),
        }
    }
    kept
}
