//! The watch window: the latest events of one kind, from which watches are served.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use super::object::Object;

/// A kind of change of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One change, with the state before it, which a watch with a selector needs to tell "came into view" from
/// "changed".
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub version: u64,
    pub change: Change,
    /// The state after the change; for a removal the last state under the version of the removal.
    pub object: Object,
    pub before: Option<Object>,
}

/// The version has left the window. `oldest` is the first version still served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expired {
    pub oldest: u64,
}

#[derive(Debug)]
pub(super) struct Window {
    /// Clones, which do not have parsed trees.
    events: VecDeque<Event>,
    /// The trees of the latest objects, which most watchers read soon after the change.
    trees: VecDeque<Arc<Value>>,
    limits: WindowLimits,
    /// The size of the JSON of all events.
    bytes: usize,
    /// The smallest version a watcher may have seen last.
    floor: u64,
}

/// The number of objects of a kind whose trees are kept.
const TREES: usize = 16;

/// How much a window keeps. The latest event is always kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowLimits {
    pub events: usize,
    /// The size of the events' JSON.
    pub bytes: usize,
}

// === impl Window ===

impl Window {
    pub fn new(limits: WindowLimits, floor: u64) -> Self {
        Self { events: VecDeque::new(), trees: VecDeque::new(), limits, bytes: 0, floor }
    }

    pub fn push(&mut self, event: &Event) {
        self.trees.truncate(TREES - 1);
        self.trees.push_front(Arc::clone(event.object.tree()));
        self.bytes += event.object.len();
        self.events.push_back(event.clone());
        while self.events.len() > 1 && self.is_over_limit() {
            if let Some(oldest) = self.events.pop_front() {
                self.bytes -= oldest.object.len();
                self.floor = oldest.version;
            }
        }
    }

    pub fn after(&self, version: u64) -> Result<Vec<Event>, Expired> {
        if version < self.floor {
            return Err(Expired { oldest: self.floor });
        }
        let first = self.events.partition_point(|event| event.version <= version);
        Ok(self.events.range(first..).cloned().collect())
    }

    pub fn forget(&mut self, version: u64) {
        self.events.clear();
        self.trees.clear();
        self.bytes = 0;
        self.floor = version;
    }

    fn is_over_limit(&self) -> bool {
        self.events.len() > self.limits.events || self.bytes > self.limits.bytes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::PODS;

    /// Guards that the memory of a window has a bound.
    #[test]
    fn large_events_leave_the_window_earlier() {
        let limits = WindowLimits { events: 100, bytes: 1000 };
        let mut window = Window::new(limits, 0);
        for version in 1..=20 {
            let value = json!({"metadata": {"name": "a"}, "data": "x".repeat(300)});
            let object = Object::new(PODS, version, value);
            window.push(&Event { version, change: Change::Modified, object, before: None });
        }
        assert_eq!(window.events.len(), 2);
        assert_eq!(window.after(17).unwrap_err(), Expired { oldest: 18 });
        assert_eq!(window.after(18).unwrap().len(), 2);
    }
}
