//! The reads: each is answered by the cluster of the sandbox, or by all clusters whose state is known.

use actors::sandboxes::Permit;
use futures::future::join_all;
use lifecycle::{error::SandboxError, ids::SandboxId, observed::Status};
use tokio::time::Instant;

use super::{Fleet, Member};
use crate::{
    changes::ChangeReader,
    list::Listing,
    position::{MemberRevision, Revision, Start},
};

// === impl Fleet ===

impl Fleet {
    /// Returns the member that shows the sandbox.
    pub(super) fn find(&self, id: &SandboxId) -> Member {
        let members = self.members();
        let holds = |member: &&Member| member.sandboxes.view().contains(id);
        members.iter().find(holds).unwrap_or(&members[0]).clone()
    }

    /// Lists the sandboxes of the members that the revision includes.
    pub(super) fn list_all(
        &self,
        of: &Revision,
        after: Option<&SandboxId>,
        matches: impl Fn(&Status) -> bool,
    ) -> Listing<(SandboxId, Status)> {
        let members = self.members();
        let (mut items, mut incomplete) = (Vec::new(), Vec::new());
        for member in &*members {
            if !of.includes(member.name()) {
                incomplete.push(member.name().clone());
                continue;
            }
            let list = member.sandboxes.view().statuses_after(after, &matches);
            if items.is_empty() { items = list } else { items.extend(list) }
        }
        if members.len() > 1 {
            items.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        }
        Listing { items, incomplete }
    }

    /// Returns the revision of the list of the members whose state is known.
    pub(super) async fn list_revision(&self) -> Result<Revision, SandboxError> {
        let members = self.members();
        let revisions = join_all(members.iter().map(async |member| {
            let revision = member.sandboxes.revision().await;
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

    /// Waits for the sandbox of the permits on its cluster.
    pub(super) async fn wait(
        &self,
        permits: Vec<Permit>,
        end: Instant,
    ) -> Result<Option<Status>, SandboxError> {
        let mut last = Ok(None);
        for (member, permit) in self.members().iter().zip(permits) {
            last = member.sandboxes.settled(permit, end).await;
        }
        last
    }

    pub(super) async fn read_changes(&self, start: Start) -> Result<ChangeReader, SandboxError> {
        let mut readers = Vec::new();
        for member in &*self.members() {
            let (start, known) = start.of_member(member.sandboxes.position());
            readers.push((member.sandboxes.changes(start).await?, known));
        }
        Ok(ChangeReader::new(readers))
    }

    pub(super) async fn read_changes_of(
        &self,
        id: &SandboxId,
        start: Start,
    ) -> Result<Option<ChangeReader>, SandboxError> {
        let mut readers = Vec::new();
        for member in &*self.members() {
            let (start, known) = start.of_member(member.sandboxes.position());
            if let Some(reader) = member.sandboxes.changes_of(id, start).await? {
                readers.push((reader, known));
            }
        }
        Ok((!readers.is_empty()).then(|| ChangeReader::new(readers)))
    }
}
