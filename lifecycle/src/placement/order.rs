//! The order in which clusters are asked for one id: weighted rendezvous hashing.
//!
//! Each cluster gets a score for the id, and the highest score comes first. The score depends on nothing but the id, the
//! name and the weight, so all replicas choose alike, and another cluster changes no other score: it only takes the ids that
//! have their highest score there. The shares follow the weights because the scores are `-weight / ln(u)` with a `u`
//! that is uniform in (0, 1) for each id and cluster.
//!
//! The hash must never change, or a rolling update would have replicas that choose differently. It is FNV-1a of 64 bits,
//! mixed as `SplitMix64` does, because FNV alone distributes short texts badly over the high bits.

use crate::ids::{ClusterName, SandboxId};

/// Sorts clusters by their scores for this id, the highest first. Those of weight 0 come last. `of` returns the name and
/// the weight of a cluster.
pub fn sort<T>(id: &SandboxId, clusters: &mut [T], of: impl Fn(&T) -> (&ClusterName, u16)) {
    clusters.sort_by_cached_key(|cluster| {
        let (name, weight) = of(cluster);
        // The score is at least 0, and such numbers are ordered as their bits.
        (std::cmp::Reverse(score(id, name, weight).to_bits()), name.clone())
    });
}

/// Returns the score of a cluster for an id: at least 0, and 0 for a weight of 0.
fn score(id: &SandboxId, cluster: &ClusterName, weight: u16) -> f64 {
    f64::from(weight) / -uniform(hash(id, cluster)).ln()
}

/// Returns the hash of an id and a cluster. Neither text contains the byte that separates them.
fn hash(id: &SandboxId, cluster: &ClusterName) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let bytes = cluster.as_str().bytes().chain([0]).chain(id.as_str().bytes());
    mixed(bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
}

/// Distributes the differences of two numbers over all bits.
const fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Maps a hash to a number between 0 and 1, without either end.
fn uniform(hash: u64) -> f64 {
    /// The bits of 1.0. With them the other 52 bits are the fraction of a number in [1, 2).
    const ONE: u64 = 0x3ff0_0000_0000_0000;
    f64::from_bits(ONE | hash >> 12) - 1.0 + f64::EPSILON / 2.0
}

#[cfg(test)]
mod tests;
