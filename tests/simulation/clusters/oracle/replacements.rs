//! The check of replacements: a replacement counts also while its cluster is away.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

use super::{Fault, Oracle};
use crate::clusters::{
    clients::IDS,
    world::{LOSS_TIMEOUT, NAMES, STALENESS, World, replaces, uid},
};

/// How long an older sandbox may live while the daemon knows its replacement, and can delete it: until the comparison of the
/// clusters, and a deletion.
const OLDER_MAX: Duration = Duration::from_secs(25);

/// The pause between two looks, with room for a slow one.
const LOOK: Duration = Duration::from_secs(6);

/// How well the running process knows a cluster, and since when.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    /// It has not listed the cluster yet, or that is not certain.
    #[default]
    Unknown,
    Fresh,
    Stale {
        since: Instant,
    },
}

/// A sandbox and its replacement: the id, and the cluster and UID of each Pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    id: &'static str,
    older: (usize, String),
    newer: (usize, String),
}

#[derive(Debug, Default)]
struct Found {
    /// Whether the running process has seen the replacement.
    is_known: bool,
    /// Since when the process should delete the older one.
    due: Option<Instant>,
}

/// The knowledge of all replacements.
#[derive(Default)]
pub struct Replacements {
    clusters: [Knowledge; 3],
    pairs: BTreeMap<Pair, Found>,
    /// The UIDs of Pods for which a DELETE was sent.
    deleted: BTreeSet<String>,
}

impl Replacements {
    /// Records the start of a process, which knows nothing.
    pub fn started(&mut self) {
        self.clusters = Default::default();
        for found in self.pairs.values_mut() {
            *found = Found::default();
        }
    }

    /// Records that a DELETE is sent. After that the process does not count these Pods, even if it cannot delete them yet.
    pub fn deleting(&mut self, world: &World, id: &str) {
        let pods = (0..NAMES.len()).filter_map(|n| world.pod(n, id));
        self.deleted.extend(pods.map(|pod| uid(&pod).to_owned()));
    }

    fn look(&mut self, fresh: [bool; 3]) {
        for (cluster, is_fresh) in self.clusters.iter_mut().zip(fresh) {
            *cluster = match (*cluster, is_fresh) {
                (_, true) => Knowledge::Fresh,
                (Knowledge::Fresh, false) => Knowledge::Stale { since: Instant::now() },
                (known, false) => known,
            };
        }
    }
}

impl Oracle {
    /// Checks that an older sandbox does not live for long on a cluster that is well, if the process knows its replacement, and
    /// the cluster of that one is not lost. `fresh` says which clusters the process knows now.
    pub fn check_replacements(&mut self, world: &World, fresh: [bool; 3]) {
        let Self { replacements, faults, .. } = self;
        replacements.look(fresh);
        let Replacements { clusters, pairs, deleted } = replacements;
        let before = std::mem::take(pairs);
        *pairs = IDS.iter().flat_map(|id| found(world, id)).map(|pair| (pair, Found::default())).collect();
        for (pair, old) in before {
            if let Some(found) = pairs.get_mut(&pair) {
                *found = old;
            } else if is_live(world, pair.id, &pair.newer) {
                let mut counts = world.counts.borrow_mut();
                counts.twins += 1;
                let is_away = matches!(clusters[pair.newer.0], Knowledge::Stale { .. });
                counts.twins_of_away += u32::from(old.due.is_some() && is_away);
            }
        }
        for (pair, found) in pairs {
            let newer = clusters[pair.newer.0];
            found.is_known |= newer == Knowledge::Fresh;
            let counts = match newer {
                Knowledge::Fresh => true,
                Knowledge::Stale { since } => since.elapsed() + LOOK + STALENESS < LOSS_TIMEOUT,
                Knowledge::Unknown => false,
            };
            let may_delete = clusters[pair.older.0] == Knowledge::Fresh && !faults[pair.older.0].lasts();
            found.due = (found.is_known && counts && !deleted.contains(&pair.newer.1) && may_delete)
                .then(|| found.due.unwrap_or_else(Instant::now));
            let long = found.due.map(|since| since.elapsed()).unwrap_or_default();
            assert!(long < OLDER_MAX, "an older sandbox lives for {long:?}: {pair:?}, newer: {newer:?}");
        }
    }
}

impl Fault {
    /// Returns whether a fault lasts now.
    fn lasts(&self) -> bool {
        self.since.is_some() && self.until.is_none()
    }
}

/// Returns the pairs of this id. There is none while it moves, because the outcome of the move may decide otherwise.
fn found(world: &World, id: &'static str) -> Vec<Pair> {
    let pods: Vec<_> = (0..NAMES.len()).filter_map(|n| Some((n, world.live_pod(n, id)?))).collect();
    if pods.iter().any(|(_, pod)| replaces(pod) == Some("move")) {
        return vec![];
    }
    let of = |reason: Option<&'static str>| pods.iter().filter(move |(_, pod)| replaces(pod) == reason);
    let place = |(n, pod): &(usize, Value)| (*n, uid(pod).to_owned());
    let pairs = of(Some("lost")).flat_map(|newer| of(None).map(move |older| (older, newer)));
    pairs.map(|(older, newer)| Pair { id, older: place(older), newer: place(newer) }).collect()
}

fn is_live(world: &World, id: &str, (n, pod): &(usize, String)) -> bool {
    world.live_pod(*n, id).is_some_and(|live| uid(&live) == pod)
}
