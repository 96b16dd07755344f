//! Counts the moves, spill-overs, replacements and other events of the histories.

use std::ops::AddAssign;

use serde_json::Value;
use simcluster::{CallMark, Verb};

use super::world::{NAMES, World, replaces, uid};

/// The numbers of one history, or of several.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// Sandboxes that were moved to another cluster.
    pub moves: u32,
    /// Creates that were refused by one cluster and answered by another.
    pub spill_overs: u32,
    /// Replacements of sandboxes on lost clusters.
    pub replacements: u32,
    /// Older sandboxes that were deleted because of a replacement.
    pub twins: u32,
    /// Those whose replacement was on a cluster that was away at that time.
    pub twins_of_away: u32,
    /// Creates elsewhere while the old Pod still terminated on a cluster that drained.
    pub drained: u32,
}

impl Counts {
    /// Checks that the default histories contain enough of everything.
    ///
    /// # Panics
    /// Panics if they do not.
    pub fn check(self) {
        let Self { moves, spill_overs, replacements, twins, twins_of_away, drained } = self;
        let is_enough = moves >= 40
            && spill_overs >= 15
            && replacements >= 25
            && twins >= 6
            && twins_of_away >= 2
            && drained >= 2;
        assert!(is_enough, "the histories contain too little: {self:?}");
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.moves += other.moves;
        self.spill_overs += other.spill_overs;
        self.replacements += other.replacements;
        self.twins += other.twins;
        self.twins_of_away += other.twins_of_away;
        self.drained += other.drained;
    }
}

/// The clusters before a create.
pub struct Before {
    marks: Vec<CallMark>,
    /// The UIDs of the Pods of the sandbox.
    pods: Vec<Option<String>>,
    /// Whether its Pod terminates on a cluster that drains.
    is_ending_on_drained: bool,
}

impl Before {
    pub fn look(world: &World, id: &str) -> Self {
        let pods: Vec<_> = (0..NAMES.len()).map(|n| world.pod(n, id)).collect();
        let is_ending = |(n, pod): (usize, &Option<Value>)| {
            let ends = pod.as_ref().is_some_and(|pod| !pod["metadata"]["deletionTimestamp"].is_null());
            ends && world.oracle.borrow().is_drained(n)
        };
        Self {
            marks: world.clusters.iter().map(simcluster::Cluster::mark).collect(),
            is_ending_on_drained: pods.iter().enumerate().any(is_ending),
            pods: pods.into_iter().map(|pod| Some(uid(&pod?).to_owned())).collect(),
        }
    }

    /// Counts a create that has given this sandbox to its caller.
    pub fn count(self, world: &World, id: &str, home: usize) {
        let pod = world.pod(home, id);
        let Some(pod) = pod.filter(|pod| self.pods[home].as_deref() != Some(uid(pod))) else { return };
        let names = [format!("sandbox-{id}"), format!("sandbox-{id}-svc")];
        let has_refused = |n: usize| {
            let calls = world.clusters[n].calls_since(self.marks[n]);
            let creates = calls.iter().filter(|call| call.verb == Verb::Create);
            let of_id = creates.filter(|call| call.name.as_ref().is_some_and(|name| names.contains(name)));
            of_id.filter_map(|call| call.status).any(|status| matches!(status, 403 | 422 | 500))
        };
        let is_spill_over = (0..NAMES.len()).any(|n| n != home && has_refused(n));
        let mut counts = world.counts.borrow_mut();
        counts.spill_overs += u32::from(is_spill_over);
        counts.replacements += u32::from(replaces(&pod) == Some("lost"));
        counts.drained += u32::from(self.is_ending_on_drained && !world.oracle.borrow().is_drained(home));
    }
}
