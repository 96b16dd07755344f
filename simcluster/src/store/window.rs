//! The watch window: the latest events of one kind, from which watches are served.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Object;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One change, with the state before it, which a watch with a selector needs to tell "came into view" from
/// "changed".
#[derive(Debug)]
pub(crate) struct Event {
    pub version: u64,
    pub change: Change,
    /// The state after the change; for a removal the last state under the version of the removal.
    pub object: Arc<Object>,
    pub before: Option<Arc<Object>>,
}

/// What was asked for has left the window. `oldest` is the first version still served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expired {
    pub oldest: u64,
}

#[derive(Debug)]
pub(super) struct Window {
    events: VecDeque<Arc<Event>>,
    limit: usize,
    /// The smallest version a watcher may have seen last.
    floor: u64,
}

// === impl Window ===

impl Window {
    pub fn new(limit: usize, floor: u64) -> Self {
        Self { events: VecDeque::new(), limit: limit.max(1), floor }
    }

    pub fn push(&mut self, event: Arc<Event>) {
        if self.events.len() == self.limit
            && let Some(oldest) = self.events.pop_front()
        {
            self.floor = oldest.version;
        }
        self.events.push_back(event);
    }

    pub fn after(&self, version: u64) -> Result<Vec<Arc<Event>>, Expired> {
        if version < self.floor {
            return Err(Expired { oldest: self.floor });
        }
        let first = self.events.partition_point(|event| event.version <= version);
        Ok(self.events.range(first..).cloned().collect())
    }

    pub fn forget(&mut self, version: u64) {
        self.events.clear();
        self.floor = version;
    }
}
