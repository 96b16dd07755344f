//! A reader of the changes on all clusters.

mod choice;
mod merged;
mod start;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use actors::view::{Change, change_reader};
use lifecycle::{error::SandboxError, ids::ClusterName};
use tokio::sync::{OwnedSemaphorePermit, futures::OwnedNotified};

pub(crate) use self::{merged::Merged, start::Begin};
use crate::position::Position;

/// Reads the changes of one sandbox, or of all, on all clusters.
///
/// A clone reads on its own from the same place.
#[derive(Clone)]
pub struct ChangeReader {
    source: Source,
    generation: Option<Generation>,
    /// The right to read, for the limit of the number of readers.
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

#[derive(Clone)]
enum Source {
    /// The only cluster, with the position up to which everything has been read.
    Single(change_reader::ChangeReader, Position),
    /// Several clusters.
    Merged(Box<Merged>),
}

/// The clusters of a fleet at one time. Readers end when there are more clusters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Generation {
    /// Counts the clusters that were added.
    current: Arc<AtomicU64>,
    seen: u64,
}

/// An item that a reader reads.
#[derive(Debug, Clone)]
pub enum News {
    /// A change, and the position after it.
    Change(Arc<Change>, Position),
    /// Changes were missed. The present state of all clusters follows. With several clusters it has a position, which is that
    /// of an empty copy.
    Reset(Option<Position>),
    /// A copy that has all changes up to this position is complete.
    Synced(Position),
    /// The state of the cluster is not known. A GET of its sandboxes now fails with this error.
    Stale(ClusterName, SandboxError),
    /// The state of the cluster is known again.
    Fresh(ClusterName),
    /// The sandbox is gone, the clusters are others, or the daemon stops.
    Ended,
}

/// Completes when there may be something to read.
pub struct Notified(Vec<Pin<Box<OwnedNotified>>>);

// === impl ChangeReader ===

impl ChangeReader {
    /// Creates a reader of a single cluster's reader, with the position up to which its changes are known.
    #[must_use]
    pub fn single(reader: change_reader::ChangeReader, position: actors::view::Position) -> Self {
        Self {
            source: Source::Single(reader, Position::from_iter([position])),
            generation: None,
            _permit: None,
        }
    }

    /// Creates a reader of several clusters, which keeps this permit for as long as it reads.
    pub(crate) fn merged(merged: Merged, permit: OwnedSemaphorePermit) -> Self {
        let permit = Some(Arc::new(permit));
        Self { source: Source::Merged(Box::new(merged)), generation: None, _permit: permit }
    }

    /// Ends the reader when there are more clusters than in this generation.
    pub(crate) fn within(self, generation: Generation) -> Self {
        Self { generation: Some(generation), ..self }
    }

    /// Returns what comes next; `None` if that is nothing yet. It does no I/O and does not wait.
    pub fn read(&mut self) -> Option<News> {
        if self.generation.as_ref().is_some_and(Generation::is_over) {
            return Some(News::Ended);
        }
        match &mut self.source {
            Source::Single(reader, position) => read_single(reader, position),
            Source::Merged(merged) => merged.read(),
        }
    }

    /// Returns a future that completes when there may be something to read. Call it before [`ChangeReader::read`], so
    /// that nothing in between is missed.
    #[must_use]
    pub fn notified(&self) -> Notified {
        let notified = |reader: &change_reader::ChangeReader| Box::pin(reader.notified());
        Notified(match &self.source {
            Source::Single(reader, _) => vec![notified(reader)],
            Source::Merged(merged) => merged.readers().map(notified).collect(),
        })
    }
}

/// Reads on, on a single cluster.
fn read_single(reader: &mut change_reader::ChangeReader, position: &mut Position) -> Option<News> {
    Some(match reader.read()? {
        change_reader::News::Change(change, now) => {
            position.set(0, Some(now));
            News::Change(change, position.clone())
        }
        change_reader::News::Reset => News::Reset(None),
        change_reader::News::Synced(now) => {
            position.set(0, Some(now));
            News::Synced(position.clone())
        }
        change_reader::News::Stale(error) => News::Stale(reader.view().cluster().clone(), error),
        change_reader::News::Fresh => News::Fresh(reader.view().cluster().clone()),
        change_reader::News::Ended => News::Ended,
    })
}

impl fmt::Debug for ChangeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let position = match &self.source {
            Source::Single(_, position) => position,
            Source::Merged(merged) => merged.position(),
        };
        f.debug_struct("ChangeReader").field("position", position).finish_non_exhaustive()
    }
}

// === impl Generation ===

impl Generation {
    /// Returns the present generation, for readers that are created after this call.
    pub(crate) fn now(&self) -> Self {
        Self { current: self.current.clone(), seen: self.current.load(Ordering::SeqCst) }
    }

    /// Ends the readers of this generation. They notice it when they read.
    pub(crate) fn end(&self) {
        self.current.fetch_add(1, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.current.load(Ordering::SeqCst) != self.seen
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
