//! A reader of the log of changes.

use std::{fmt, mem, sync::Arc};

use lifecycle::{error::SandboxError, ids::SandboxId};
use tokio::sync::{OwnedSemaphorePermit, futures::OwnedNotified};

use super::{
    View,
    change::Change,
    change_log::{Cursor, Next, Position, Start},
    waits::Wait,
};
use crate::reap_log::Reaped;

/// Reads the changes of one sandbox, or of all, from a place in the log.
///
/// A clone reads on its own from the same place.
#[derive(Clone)]
pub struct ChangeReader {
    view: Arc<View>,
    cursor: Cursor,
    /// Whether the reader knows the view as fresh, as it is at the beginning.
    fresh: bool,
    /// The sandbox, if it is about only one.
    only: Option<Arc<Wait>>,
    /// Whether it goes on when its sandbox does not exist.
    follows: bool,
    /// The right to read, for a limit of the number of readers.
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

/// An item that a reader reads.
#[derive(Debug, Clone)]
pub enum News {
    /// A change, and the position after it.
    Change(Arc<Change>, Position),
    /// Changes were missed. The present state follows.
    Reset,
    /// A copy that has all changes up to this position is complete.
    Synced(Position),
    /// The view is stale. A GET now fails with this error.
    Stale(SandboxError),
    /// The view is fresh again.
    Fresh,
    /// The sandbox is gone, or the daemon stops.
    Ended,
}

// === impl ChangeReader ===

impl ChangeReader {
    /// Returns what comes next; `None` if that is nothing yet. It does no I/O and does not wait.
    pub fn read(&mut self) -> Option<News> {
        let log = &self.view.changes;
        let next = match self.only.as_deref() {
            Some(wait) if self.follows => log.follow(&mut self.cursor, wait.id()),
            only => log.next(&mut self.cursor, only.map(Wait::id)),
        };
        Some(match next {
            Next::Change(change) => {
                let position = log.position(change.number);
                News::Change(change, position)
            }
            Next::Reset => News::Reset,
            Next::Synced(number) => News::Synced(log.position(number)),
            Next::Ended => News::Ended,
            Next::Nothing => {
                let fresh = self.view.is_fresh();
                if mem::replace(&mut self.fresh, fresh) == fresh {
                    return None;
                }
                if fresh { News::Fresh } else { News::Stale(self.view.stale()) }
            }
        })
    }

    /// Returns a future that completes when there may be something to read. Call it before [`ChangeReader::read`], so
    /// that nothing in between is missed.
    pub fn notified(&self) -> OwnedNotified {
        self.only.as_ref().map_or(&self.view.appended, |wait| &wait.changed).clone().notified_owned()
    }

    /// Begins again with the present state.
    pub fn restart(&mut self) {
        self.cursor = self.view.changes.cursor(Start::Present);
    }

    /// Returns the view whose changes it reads.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Keeps this permit for as long as it reads.
    #[must_use]
    pub(crate) fn with_permit(self, permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: Some(Arc::new(permit)), ..self }
    }
}

impl fmt::Debug for ChangeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeReader").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

// === impl View ===

impl View {
    /// Returns a reader of the changes of all sandboxes.
    #[must_use]
    pub fn changes(self: &Arc<Self>, start: Start) -> ChangeReader {
        let cursor = self.changes.cursor(start);
        ChangeReader { view: self.clone(), cursor, fresh: true, only: None, follows: false, _permit: None }
    }

    /// Returns a reader of the changes of one sandbox; `None` if it does not exist, and the reader knows that.
    #[must_use]
    pub fn changes_of(self: &Arc<Self>, id: &SandboxId, start: Start) -> Option<ChangeReader> {
        let cursor = self.changes.cursor_of(id, start)?;
        let only = Some(Arc::new(self.waits.add(id)));
        Some(ChangeReader { view: self.clone(), cursor, fresh: true, only, follows: false, _permit: None })
    }

    /// Returns a reader of the changes of one sandbox, which may not exist yet. The reader does not end with it.
    #[must_use]
    pub fn follow(self: &Arc<Self>, id: &SandboxId, start: Start) -> ChangeReader {
        let cursor = self.changes.cursor(start);
        let only = Some(Arc::new(self.waits.add(id)));
        ChangeReader { view: self.clone(), cursor, fresh: true, only, follows: true, _permit: None }
    }

    /// Returns whether a reader of the sandbox that begins after this position reads changes that it has missed.
    #[must_use]
    pub fn has_missed(&self, id: &SandboxId, position: Position) -> bool {
        self.changes.has_missed(id, position)
    }

    /// Returns the last change of the sandbox; `None` if callers see that it does not exist.
    #[must_use]
    pub fn latest_change(&self, id: &SandboxId) -> Option<Arc<Change>> {
        self.changes.latest(id)
    }

    /// Wakes all readers. Call it when the view has become stale or fresh.
    pub fn wake_readers(&self) {
        self.appended.notify_waiters();
        self.waits.wake_all();
    }

    /// Records that the sandbox is being reaped: its end, if it comes, is this reap.
    pub(crate) fn reap_started(&self, id: &SandboxId, reaped: Reaped) {
        self.changes.reap_started(id, reaped);
    }

    /// Records that the sandbox was not reaped, or that this is unknown.
    pub(crate) fn reap_failed(&self, id: &SandboxId) {
        self.changes.reap_failed(id);
    }

    /// Records that the sandbox was reaped.
    pub(crate) fn reaped(&self, id: &SandboxId, reaped: Reaped) {
        if self.changes.reaped(id, reaped) {
            self.wake_readers_of(id);
        }
    }

    /// Wakes those that read changes of this sandbox.
    pub(super) fn wake_readers_of(&self, id: &SandboxId) {
        self.appended.notify_waiters();
        self.waits.changed(id);
    }

    /// Ends all readers, and later ones at once.
    pub fn end_readers(&self) {
        self.changes.close();
        self.wake_readers();
    }
}
