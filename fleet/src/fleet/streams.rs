//! The event streams.

use actors::{sandboxes::Sandboxes, view};
use futures::future::select_ok;
use lifecycle::{error::SandboxError, ids::SandboxId};

use super::Fleet;
use crate::{
    changes::{Begin, ChangeReader, Generation, Merged},
    member::Member,
    position::{Position, Revision, Start},
};

/// The state of all event streams.
pub(super) struct Streams {
    /// The cluster whose limit of the number of streams is that of the fleet.
    limit: Sandboxes,
    generation: Generation,
}

// === impl Streams ===

impl Streams {
    pub(super) fn new(first: &Member) -> Self {
        Self { limit: first.sandboxes.clone(), generation: Generation::default() }
    }
}

// === impl Fleet ===

impl Fleet {
    /// Returns a reader of the changes of all sandboxes.
    pub(super) async fn read_changes(&self, start: Start) -> Result<ChangeReader, SandboxError> {
        // Read before the members, so that a reader without a new member ends.
        let generation = self.0.streams.generation.now();
        let members = self.members();
        if let [only] = &*members {
            let (start, known) = start.of_member(only.sandboxes.position());
            let reader = only.sandboxes.changes(start).await?;
            return Ok(ChangeReader::single(reader, known).within(generation));
        }
        let permit = self.0.streams.limit.stream_permit()?;
        any_fresh(&members).await?;
        let merged = Merged::new(&members, &Begin::of(&start, &positions(&members)), None);
        Ok(ChangeReader::merged(merged, permit).within(generation))
    }

    /// Returns a reader of the changes of one sandbox; `None` if it does not exist, and the reader knows that.
    pub(super) async fn read_changes_of(
        &self,
        id: &SandboxId,
        start: Start,
    ) -> Result<Option<ChangeReader>, SandboxError> {
        let generation = self.0.streams.generation.now();
        let members = self.members();
        if let [only] = &*members {
            let (start, known) = start.of_member(only.sandboxes.position());
            let reader = only.sandboxes.changes_of(id, start).await?;
            return Ok(reader.map(|reader| ChangeReader::single(reader, known).within(generation)));
        }
        let permit = self.0.streams.limit.stream_permit()?;
        any_fresh(&members).await?;
        let begin = Begin::of(&start, &positions(&members));
        let is_shown = match self.find(&members, id).await? {
            Some(member) => {
                member.sandboxes.readable(id)?;
                member.view().latest_change(id).is_some()
            }
            None => false,
        };
        let has_missed = |(member, after): (&Member, &Option<view::Position>)| {
            after.is_some_and(|after| member.view().has_missed(id, after))
        };
        if !is_shown && !members.iter().zip(&begin.after).any(has_missed) {
            return Ok(None);
        }
        let merged = Merged::new(&members, &begin, Some(id));
        Ok(Some(ChangeReader::merged(merged, permit).within(generation)))
    }

    /// Ends the open event streams.
    pub(super) fn end_streams(&self) {
        self.0.streams.generation.end();
        for member in &*self.members() {
            member.view().wake_readers();
        }
    }

    /// Returns the position up to which a list of this revision that is made later has all changes. A list has nothing of a
    /// cluster that it leaves out.
    pub(super) fn list_position(&self, of: &Revision) -> Position {
        let position = |member: &Member| of.includes(member.name()).then(|| member.sandboxes.position());
        Position::new(self.members().iter().map(position).collect())
    }
}

fn positions(members: &[Member]) -> Vec<view::Position> {
    members.iter().map(|member| member.sandboxes.position()).collect()
}

/// Waits until a member is fresh, at most for the first lists. Otherwise fails with the error of a list.
async fn any_fresh(members: &[Member]) -> Result<(), SandboxError> {
    if members.iter().any(|member| member.view().is_fresh()) {
        return Ok(());
    }
    let fresh = members.iter().map(|member| Box::pin(member.sandboxes.revision()));
    match (select_ok(fresh).await, members.first()) {
        (Err(_), Some(first)) => Err(first.view().stale()),
        (Err(error), None) => Err(error),
        (Ok(_), _) => Ok(()),
    }
}
