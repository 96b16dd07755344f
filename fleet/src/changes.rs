//! A reader of the changes on all clusters.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actors::view::{Change, change_reader};
use lifecycle::{error::SandboxError, ids::ClusterName};
use tokio::sync::futures::OwnedNotified;

use crate::position::{Position, Start};

/// Reads the changes of one sandbox, or of all, on all clusters.
///
/// A clone reads on its own from the same place.
#[derive(Clone)]
pub struct ChangeReader {
    parts: Vec<Part>,
    /// The position up to which everything has been read.
    position: Position,
    /// The part that is read next, so that a busy cluster does not keep others waiting.
    next: usize,
}

/// The reader of one cluster.
#[derive(Clone)]
struct Part {
    reader: change_reader::ChangeReader,
    /// Whether a copy has had all changes of this cluster since the beginning, or since the last reset.
    is_synced: bool,
}

/// An item that a reader reads.
#[derive(Debug, Clone)]
pub enum News {
    /// A change, and the position after it.
    Change(Arc<Change>, Position),
    /// Changes were missed. The present state of all clusters follows.
    Reset,
    /// A copy that has all changes up to this position is complete.
    Synced(Position),
    /// The state of the cluster is not known. A GET of its sandboxes now fails with this error.
    Stale(ClusterName, SandboxError),
    /// The state of the cluster is known again.
    Fresh(ClusterName),
    /// The sandbox is gone, or the daemon stops.
    Ended,
}

/// Completes when there may be something to read.
pub struct Notified(Vec<Pin<Box<OwnedNotified>>>);

// === impl Start ===

impl Start {
    /// Returns where the reader of a member begins whose log is at the position `now`, and the position up to which its
    /// changes are known by then.
    #[must_use]
    pub fn of_member(&self, now: actors::view::Position) -> (actors::view::Start, actors::view::Position) {
        use actors::view;
        match self {
            Self::Present => (view::Start::Present, now.beginning()),
            Self::Reset => (view::Start::Reset, now.beginning()),
            // A member that the position does not name is new, or the process was restarted.
            Self::After(position) => match position.of_member(now) {
                Some(position) => (view::Start::After(position), position),
                None => (view::Start::Reset, now.beginning()),
            },
        }
    }
}

// === impl ChangeReader ===

impl ChangeReader {
    /// Creates a reader of these members' readers, with the positions up to which their changes are known.
    #[must_use]
    pub fn new(
        readers: impl IntoIterator<Item = (change_reader::ChangeReader, actors::view::Position)>,
    ) -> Self {
        let (parts, positions): (Vec<_>, Vec<_>) = readers
            .into_iter()
            .map(|(reader, position)| (Part { reader, is_synced: false }, position))
            .unzip();
        Self { parts, position: positions.into_iter().collect(), next: 0 }
    }

    /// Returns what comes next; `None` if that is nothing yet. It does no I/O and does not wait.
    pub fn read(&mut self) -> Option<News> {
        let mut quiet = 0;
        while quiet < self.parts.len() {
            let n = self.next;
            let part = &mut self.parts[n];
            let Some(news) = part.reader.read() else {
                self.next = (n + 1) % self.parts.len();
                quiet += 1;
                continue;
            };
            quiet = 0;
            return Some(match news {
                change_reader::News::Change(change, position) => {
                    self.position.set(n, position);
                    News::Change(change, self.position.clone())
                }
                change_reader::News::Reset => {
                    self.reset(n);
                    News::Reset
                }
                change_reader::News::Synced(position) => {
                    part.is_synced = true;
                    self.position.set(n, position);
                    if !self.parts.iter().all(|part| part.is_synced) {
                        continue;
                    }
                    News::Synced(self.position.clone())
                }
                change_reader::News::Stale(error) => News::Stale(part.reader.view().cluster().clone(), error),
                change_reader::News::Fresh => News::Fresh(part.reader.view().cluster().clone()),
                change_reader::News::Ended => News::Ended,
            });
        }
        None
    }

    /// Begins again with the present state of all members, one of which has begun already.
    fn reset(&mut self, begun: usize) {
        for (n, part) in self.parts.iter_mut().enumerate() {
            part.is_synced = false;
            self.position.set(n, part.reader.view().position().beginning());
            if n != begun {
                part.reader.restart();
            }
        }
    }

    /// Returns a future that completes when there may be something to read. Call it before [`ChangeReader::read`], so
    /// that nothing in between is missed.
    #[must_use]
    pub fn notified(&self) -> Notified {
        Notified(self.parts.iter().map(|part| Box::pin(part.reader.notified())).collect())
    }
}

impl fmt::Debug for ChangeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeReader").field("position", &self.position).finish_non_exhaustive()
    }
}

// === impl Notified ===

impl Future for Notified {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let is_ready = self.0.iter_mut().any(|notified| notified.as_mut().poll(cx).is_ready());
        if is_ready { Poll::Ready(()) } else { Poll::Pending }
    }
}
