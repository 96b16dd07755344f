//! The choice between several sandboxes with one id, if several clusters show one.
//!
//! There are two causes: two replicas placed one id at the same time on different clusters, or a cluster was lost for so
//! long that its sandbox was made again elsewhere. All replicas decide alike, because the decision depends on nothing but
//! the Pods.

use jiff::Timestamp;

use crate::{ids::ClusterName, observed::Status, phase::Phase};

/// A sandbox whose id another cluster shows too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Twin<'a> {
    /// Its cluster.
    pub cluster: &'a ClusterName,
    /// Whether its Pod was made in place of a sandbox of another cluster.
    pub is_replacement: bool,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// The creation time of its Pod.
    pub created: Option<Timestamp>,
}

/// Returns the index of the twin that counts; `None` if there is none.
///
/// One that is being deleted counts last. A replacement counts before one that is none, and the newer of two
/// replacements. Among the others the older counts, because it was given to a caller first. If that does not decide, the
/// cluster whose name comes first counts.
///
/// ```
/// use lifecycle::{ids::ClusterName, placement::twins::{Twin, winner}};
///
/// let (east, west) = (ClusterName::parse("east").unwrap(), ClusterName::parse("west").unwrap());
/// let original = Twin { cluster: &east, is_replacement: false, is_terminating: false, created: None };
/// let replacement = Twin { cluster: &west, is_replacement: true, ..original };
/// assert_eq!(winner(&[original, replacement]), Some(1));
/// ```
#[must_use]
pub fn winner(twins: &[Twin<'_>]) -> Option<usize> {
    (0..twins.len()).min_by_key(|index| rank(&twins[*index]))
}

/// Returns a key whose smallest value counts.
fn rank<'a>(twin: &Twin<'a>) -> (bool, bool, i128, &'a ClusterName) {
    // Kubernetes always sets the creation time. Without one, the Pod counts as new among those that it must be older than.
    let created = twin.created.unwrap_or(if twin.is_replacement { Timestamp::MIN } else { Timestamp::MAX });
    let age = created.as_nanosecond();
    (twin.is_terminating, !twin.is_replacement, if twin.is_replacement { -age } else { age }, twin.cluster)
}

// === impl Twin ===

impl<'a> Twin<'a> {
    /// Returns the twin that a cluster shows.
    #[must_use]
    pub fn of(cluster: &'a ClusterName, status: &Status) -> Self {
        Self {
            cluster,
            is_replacement: status.spec.origin.is_replacement,
            is_terminating: status.phase == Phase::Terminating,
            created: status.created,
        }
    }
}

#[cfg(test)]
mod tests;
