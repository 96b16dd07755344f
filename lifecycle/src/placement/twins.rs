//! The choice between several sandboxes with one id, if several clusters show one.
//!
//! There are three causes: two replicas placed one id at the same time on different clusters, a cluster was lost for so
//! long that its sandbox was made again elsewhere, or a sandbox moves. All replicas decide alike, because the decision
//! depends on nothing but the Pods and the time. There is one exception: a DELETE that waits for its cluster is known only
//! to the replica that got it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::replacement::Replacement;
use crate::{
    ids::ClusterName,
    observed::{Status, Uid},
    phase::Phase,
};

/// How long a sandbox that moves may take to be ready. After that it is deleted, and the sandbox does not move.
pub const MOVE_PATIENCE: Duration = Duration::from_secs(10 * 60);

/// The age at which a sandbox that moves and is not ready is left over from a process that has ended. Other replicas wait
/// so long for the one that moves it.
const ABANDONED: SignedDuration = SignedDuration::from_secs(20 * 60);

/// A sandbox whose id another cluster shows too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Twin<'a> {
    /// Its cluster.
    pub cluster: &'a ClusterName,
    /// Its Pod.
    pub pod: &'a Uid,
    /// Why its Pod was made in place of a sandbox on another cluster, if it was.
    pub replaces: Option<Replacement>,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// Whether it will be deleted once its cluster allows it.
    pub awaits_deletion: bool,
    /// Whether it is ready.
    pub is_ready: bool,
    /// The creation time of its Pod.
    pub created: Option<Timestamp>,
}

/// Returns the index of the twin that counts; `None` if there is none.
///
/// One that is being deleted or will be counts last, and one that moves counts last until it is ready. Replacements count
/// before the others, and the newer of two replacements. Among the others the older counts, because it was given to a
/// caller first. If that does not decide, the cluster whose name comes first counts.
///
/// ```
/// use lifecycle::{
///     ids::ClusterName,
///     observed::Uid,
///     placement::{replacement::Replacement, twins::{Twin, winner}},
/// };
///
/// let (east, west) = (ClusterName::parse("east").unwrap(), ClusterName::parse("west").unwrap());
/// let (first, second) = (Uid("1".into()), Uid("2".into()));
/// let original = Twin {
///     cluster: &east,
///     pod: &first,
///     replaces: None,
///     is_terminating: false,
///     awaits_deletion: false,
///     is_ready: true,
///     created: None,
/// };
/// let replacement = Twin { cluster: &west, pod: &second, replaces: Some(Replacement::Lost), ..original };
/// assert_eq!(winner(&[original, replacement]), Some(1));
/// ```
#[must_use]
pub fn winner(twins: &[Twin<'_>]) -> Option<usize> {
    (0..twins.len()).min_by_key(|index| rank(&twins[*index]))
}

/// Returns the indices of the twins to delete. All of them must be complete. `is_fresh` tells whether the state of a cluster
/// is known now.
///
/// Only a twin on a fresh cluster is deleted. It is deleted for a winner on a stale cluster too, so that callers do not use
/// both for as long as that cluster is away. A sandbox that has moved to a stale cluster is an exception: there the move may
/// have been undone since.
///
/// A sandbox that moves and is not ready is left to the process that moves it, until it is clear that no process does. Two
/// names of one cluster show the same Pod. That Pod is the sandbox itself, and stays.
#[must_use]
pub fn losers(twins: &[Twin<'_>], is_fresh: impl Fn(&ClusterName) -> bool, now: Timestamp) -> Vec<usize> {
    let is_certain = |twin: &Twin<'_>| {
        !is_ending(twin) && (twin.replaces != Some(Replacement::Move) || is_fresh(twin.cluster))
    };
    let winner = winner(twins).map(|winner| &twins[winner]).filter(|winner| is_certain(winner));
    let Some(winner) = winner else { return vec![] };
    let is_abandoned = |twin: &Twin<'_>| twin.created.is_some_and(|at| now.duration_since(at) > ABANDONED);
    let loses = |twin: &Twin<'_>| {
        let is_left_alone = class(twin) == Class::Moving && !is_abandoned(twin);
        !twin.is_terminating && !is_left_alone && is_fresh(twin.cluster)
    };
    (0..twins.len()).filter(|index| twins[*index].pod != winner.pod && loses(&twins[*index])).collect()
}

/// How a twin compares with the others, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Replacement,
    Original,
    /// It moves, and is not ready.
    Moving,
}

fn class(twin: &Twin<'_>) -> Class {
    match twin.replaces {
        None => Class::Original,
        Some(Replacement::Move) if !twin.is_ready => Class::Moving,
        Some(Replacement::Lost | Replacement::Move) => Class::Replacement,
    }
}

/// Returns a key whose smallest value counts.
fn rank<'a>(twin: &Twin<'a>) -> (bool, Class, i128, &'a ClusterName) {
    // Kubernetes always sets the creation time. Without one, a Pod loses against the others of its class.
    let age = |missing: Timestamp| twin.created.unwrap_or(missing).as_nanosecond();
    let age = if twin.replaces.is_some() { -age(Timestamp::MIN) } else { age(Timestamp::MAX) };
    (is_ending(twin), class(twin), age, twin.cluster)
}

fn is_ending(twin: &Twin<'_>) -> bool {
    twin.is_terminating || twin.awaits_deletion
}

// === impl Twin ===

impl<'a> Twin<'a> {
    /// Returns the twin that a cluster shows.
    #[must_use]
    pub fn of(cluster: &'a ClusterName, status: &'a Status) -> Self {
        Self {
            cluster,
            pod: &status.pod,
            replaces: status.spec.origin.replaces,
            is_terminating: status.phase == Phase::Terminating,
            awaits_deletion: false,
            is_ready: status.ready,
            created: status.created,
        }
    }
}

#[cfg(test)]
mod tests;
