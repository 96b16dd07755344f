//! Randomness of uids, name suffixes, addresses and node ports. Equal seeds give equal clusters.

use std::hash::{BuildHasher, RandomState};

/// `SplitMix64`, which is small, fast and good enough to tell objects apart.
#[derive(Debug)]
pub(crate) struct Random(u64);

/// The letters Kubernetes uses in generated names: no vowels and nothing easily misread.
const SUFFIX: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Returns a seed from the operating system's randomness, with which the standard library keys its hashers.
pub(crate) fn system_seed() -> u64 {
    RandomState::new().hash_one(0_u64)
}

// === impl Random ===

impl Random {
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound` (which is at least 1). The bias of the remainder does not matter here.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A version 4 uid.
    pub fn uid(&mut self) -> String {
        let bits = (u128::from(self.next()) << 64) | u128::from(self.next());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string()
    }

    /// The five characters that `generateName` gets.
    pub fn suffix(&mut self) -> String {
        let mut bits = self.next();
        let mut text = String::with_capacity(5);
        for _ in 0..5 {
            let place = usize::try_from(bits % SUFFIX.len() as u64).unwrap_or(0);
            text.push(char::from(SUFFIX[place]));
            bits /= SUFFIX.len() as u64;
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that a seed makes a cluster repeatable, and that seeds of the system differ.
    #[test]
    fn equal_seeds_give_equal_uids() {
        let uid = |seed| Random::seeded(seed).uid();
        assert_eq!(uid(1), uid(1));
        assert_ne!(uid(1), uid(2));
        assert_ne!(uid(system_seed()), uid(system_seed()));
    }
}
