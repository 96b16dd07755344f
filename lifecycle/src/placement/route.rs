//! The clusters that a request about one id is for.
//!
//! The functions see the state of the id on each cluster, and how well it is known. They never say that a sandbox does not
//! exist while a cluster may have it.

/// The part of a sandbox that a cluster shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holding {
    /// A sandbox that callers see.
    Shown,
    /// An object that callers do not see: an orphan, a sandbox that is being made, or one that is being deleted.
    Held,
    /// Nothing.
    Absent,
    /// The cluster has not been listed since the start.
    Unknown,
}

/// How well the objects of a cluster are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// They are known.
    Fresh,
    /// They may have changed since.
    Stale,
    /// They have not been known for so long that their sandboxes are made again elsewhere.
    Lost,
}

/// The state of one id on one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// The part that the cluster shows.
    pub holding: Holding,
    /// How well that is known.
    pub reach: Reach,
}

/// The cluster that answers a read. Clusters are named by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// These clusters show the sandbox. The winner among them answers.
    Shown(Vec<usize>),
    /// Whether the sandbox exists is not known, because these clusters are stale and may have it.
    Unavailable(Vec<usize>),
    /// No cluster shows the sandbox, but this one has an object of it and answers: the object may be too large to be read.
    Held(usize),
    /// No cluster has the sandbox.
    NotFound,
}

/// The cluster that takes a POST. Clusters are named by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Create {
    /// These clusters show the sandbox. The winner among them takes the POST.
    Shown(Vec<usize>),
    /// This cluster has an object of the sandbox and takes the POST.
    Held {
        /// The cluster.
        cluster: usize,
        /// Whether a new Pod is a replacement, because a cluster that is lost may have the sandbox.
        is_replacement: bool,
    },
    /// Nothing is made, because these clusters are stale and may have the sandbox.
    Unavailable(Vec<usize>),
    /// The sandbox is made on a cluster that the placement chooses.
    Place {
        /// Whether it is a replacement, because a cluster that is lost may have the sandbox.
        is_replacement: bool,
    },
}

/// The clusters that delete a sandbox. Clusters are named by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// The DELETE is acknowledged once all of these have deleted the sandbox.
    pub must: Vec<usize>,
    /// These may have a twin, which they delete when they can. The DELETE does not wait for them.
    pub should: Vec<usize>,
}

// === impl State ===

impl State {
    /// Returns whether the cluster shows an object of the sandbox.
    const fn holds(self) -> bool {
        matches!(self.holding, Holding::Shown | Holding::Held)
    }

    /// Returns whether the cluster may have an object of the sandbox.
    const fn may_hold(self) -> bool {
        !matches!(self.holding, Holding::Absent)
    }

    fn is_fresh(self) -> bool {
        self.reach == Reach::Fresh && self.holding != Holding::Unknown
    }

    fn is_lost(self) -> bool {
        self.reach == Reach::Lost
    }
}

/// Returns which cluster answers a GET, and which one a touch, a PATCH and a timeline are for.
#[must_use]
pub fn read(clusters: &[State]) -> Read {
    let shown = indices(clusters, |state| state.is_fresh() && state.holding == Holding::Shown);
    if !shown.is_empty() {
        return Read::Shown(shown);
    }
    // Without a fresh cluster nothing is known for certain.
    let is_any_fresh = clusters.iter().any(|state| state.is_fresh());
    let away = indices(clusters, |state| !state.is_fresh() && (state.may_hold() || !is_any_fresh));
    if !away.is_empty() {
        return Read::Unavailable(away);
    }
    clusters.iter().position(|state| state.holds()).map_or(Read::NotFound, Read::Held)
}

/// Returns which cluster takes a POST.
///
/// A cluster that is stale and may have the sandbox blocks the POST, because its sandbox may be in use, until the cluster is
/// lost.
#[must_use]
pub fn create(clusters: &[State]) -> Create {
    let shown = indices(clusters, |state| state.is_fresh() && state.holding == Holding::Shown);
    if !shown.is_empty() {
        return Create::Shown(shown);
    }
    let away = indices(clusters, |state| !state.is_fresh() && !state.is_lost() && state.may_hold());
    if !away.is_empty() {
        return Create::Unavailable(away);
    }
    let is_replacement = clusters.iter().any(|state| state.is_lost() && state.may_hold());
    match clusters.iter().position(|state| state.is_fresh() && state.holds()) {
        Some(cluster) => Create::Held { cluster, is_replacement },
        None => Create::Place { is_replacement },
    }
}

/// Returns the clusters that delete the sandbox: those that have it or may have it, and all clusters if none has it.
///
/// A cluster that is away cannot delete anything, so the DELETE fails. It would otherwise be acknowledged, and the sandbox
/// would return with the cluster. There is one exception: a cluster that has not been listed since the start may have any
/// id, so it does not decide about a sandbox that a fresh cluster shows.
#[must_use]
pub fn delete(clusters: &[State]) -> Delete {
    if clusters.iter().any(|state| state.is_fresh() && state.holding == Holding::Shown) {
        let should = indices(clusters, |state| state.holding == Holding::Unknown);
        return Delete { must: indices(clusters, State::holds), should };
    }
    let is_known = clusters.iter().any(|state| state.holds());
    Delete { must: indices(clusters, |state| !is_known || state.may_hold()), should: vec![] }
}

fn indices(clusters: &[State], is_wanted: impl Fn(State) -> bool) -> Vec<usize> {
    let wanted = clusters.iter().enumerate().filter(|(_, state)| is_wanted(**state));
    wanted.map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests;
