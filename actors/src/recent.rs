//! Values about past sandboxes, which are kept for an hour.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use lifecycle::ids::SandboxId;
use tokio::time::Instant;

/// How long a value is kept.
const KEPT: Duration = Duration::from_secs(3600);

/// The maximum number of values. The oldest are dropped first.
pub(crate) const KEPT_MAX: usize = 10_000;

/// The values of the last hour, one for each sandbox.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    by_id: HashMap<SandboxId, (Instant, T)>,
    /// The values in order of time. An entry whose time differs from that in `by_id` is outdated.
    order: VecDeque<(Instant, SandboxId)>,
}

// === impl Recent ===

impl<T> Recent<T> {
    /// Keeps a value. It replaces an earlier one of the sandbox.
    pub(crate) fn insert(&mut self, id: &SandboxId, value: T) {
        let now = Instant::now();
        self.by_id.insert(id.clone(), (now, value));
        self.order.push_back((now, id.clone()));
        self.drop_old(now);
    }

    pub(crate) fn remove(&mut self, id: &SandboxId) {
        self.by_id.remove(id);
    }

    /// Returns the value of the sandbox, if it is not too old.
    pub(crate) fn get_mut(&mut self, id: &SandboxId) -> Option<&mut T> {
        self.drop_old(Instant::now());
        self.by_id.get_mut(id).map(|(_, value)| value)
    }

    fn drop_old(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front() {
            if self.order.len() <= KEPT_MAX && now.saturating_duration_since(*at) < KEPT {
                return;
            }
            let Some((at, id)) = self.order.pop_front() else { return };
            if self.by_id.get(&id).is_some_and(|(noted, _)| *noted == at) {
                self.by_id.remove(&id);
            }
        }
    }
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { by_id: HashMap::new(), order: VecDeque::new() }
    }
}
