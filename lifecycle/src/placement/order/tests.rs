use std::collections::BTreeMap;

use proptest::{prelude::*, sample::Index};

use super::*;

fn name(text: &str) -> ClusterName {
    ClusterName::parse(text).unwrap()
}

fn id(number: usize) -> SandboxId {
    SandboxId::parse(&format!("sandbox-{number}")).unwrap()
}

/// Returns the first cluster for an id.
fn first(id: &SandboxId, clusters: &[(ClusterName, u16)]) -> ClusterName {
    let mut clusters = clusters.to_vec();
    sort(id, &mut clusters, |(name, weight)| (name, *weight));
    clusters[0].0.clone()
}

fn clusters(weights: &[(&str, u16)]) -> Vec<(ClusterName, u16)> {
    weights.iter().map(|(text, weight)| (name(text), *weight)).collect()
}

/// Guards that the choice never changes between releases: replicas of two releases run at the same time during an update.
#[test]
fn the_hash_is_pinned() {
    let hashes = ["default", "east", "west"].map(|text| hash(&id(1), &name(text)));
    assert_eq!(hashes, [4_311_689_804_382_340_810, 7_040_840_131_169_878_826, 4_534_583_731_870_048_366]);
    let three = clusters(&[("east", 100), ("west", 100), ("north", 50)]);
    let chosen = (0..12).map(|number| first(&id(number), &three).to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(chosen, "east east north west north east east west west east east west");
}

/// Guards that the shares of 10,000 ids are those of the weights, within 3 % of all ids.
#[test]
fn shares_follow_the_weights() {
    for weights in [
        &[("a", 100), ("b", 100)][..],
        &[("east", 100), ("west", 200), ("north", 300)],
        &[("one", 1), ("two", 1000)],
        &[("c1", 10), ("c2", 10), ("c3", 10), ("c4", 10), ("c5", 60)],
    ] {
        let all = clusters(weights);
        let mut counts = BTreeMap::<_, u32>::new();
        for number in 0..10_000 {
            *counts.entry(first(&id(number), &all)).or_default() += 1;
        }
        let total: u32 = weights.iter().map(|(_, weight)| u32::from(*weight)).sum();
        for (name, weight) in &all {
            let expected = f64::from(*weight) / f64::from(total);
            let share = f64::from(counts.get(name).copied().unwrap_or(0)) / 10_000.0;
            assert!((share - expected).abs() < 0.03, "{name}: {share} of {expected} in {weights:?}");
        }
    }
}

/// Guards that a fifth cluster of equal weight takes at most a quarter of the ids, and that no id moves between the others;
/// and that the removal of a cluster moves only its own.
#[test]
fn a_cluster_more_takes_ids_only_for_itself() {
    let four = clusters(&[("a", 100), ("b", 100), ("c", 100), ("d", 100)]);
    let five = [four.clone(), clusters(&[("e", 100)])].concat();
    let mut moved = 0;
    for number in 0..10_000 {
        let (before, after) = (first(&id(number), &four), first(&id(number), &five));
        if before != after {
            assert_eq!(after, name("e"), "{number}");
            moved += 1;
        }
    }
    println!("{moved} of 10,000 ids moved");
    assert!((1_700..=2_500).contains(&moved), "{moved}");
}

/// Guards that each id is within (0, 1), also for the hashes at both ends.
#[test]
fn scores_are_finite() {
    for hash in [0, 1, u64::MAX, u64::MAX - 1, 1 << 63] {
        let number = uniform(hash);
        assert!(number > 0.0 && number < 1.0, "{hash}: {number}");
        assert!((f64::from(1000_u16) / -number.ln()).is_finite(), "{hash}");
    }
    assert!(score(&id(1), &name("a"), 0).abs() < f64::EPSILON);
}

proptest! {
    /// Guards that the order of the input does not matter, that a cluster which drains is last, and that a larger weight
    /// never lowers the place of a cluster.
    #[test]
    fn the_order_is_a_function_of_the_set(
        id in "[a-z0-9]{1,20}",
        weights in prop::collection::btree_map("[a-z]{1,6}", 0_u16..=1000, 1..8),
        seed in any::<u64>(),
        chosen in any::<Index>(),
    ) {
        let id = SandboxId::parse(&id).unwrap();
        let names = |clusters: &[(ClusterName, u16)]| {
            clusters.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let all: Vec<_> = weights.iter().map(|(text, weight)| (name(text), *weight)).collect();
        let of = |(name, weight): &(ClusterName, u16)| (name.clone(), *weight);
        let sorted = |clusters: &[(ClusterName, u16)]| {
            let mut clusters: Vec<_> = clusters.iter().map(of).collect();
            sort(&id, &mut clusters, |(name, weight)| (name, *weight));
            clusters
        };
        let mut shuffled = all.clone();
        let mut bits = seed;
        for at in (1..shuffled.len()).rev() {
            bits = mixed(bits.wrapping_add(1));
            shuffled.swap(at, usize::try_from(bits % 97).unwrap() % (at + 1));
        }
        let order = sorted(&all);
        prop_assert_eq!(names(&order), names(&sorted(&shuffled)));
        prop_assert!(order.is_sorted_by_key(|(_, weight)| *weight == 0));

        let chosen = chosen.get(&all).0.clone();
        let raised: Vec<_> = all
            .iter()
            .map(|(name, weight)| (name.clone(), if *name == chosen { 1000 } else { *weight }))
            .collect();
        let place = |clusters: &[(ClusterName, u16)]| {
            sorted(clusters).iter().position(|(name, _)| *name == chosen).unwrap()
        };
        prop_assert!(place(&raised) <= place(&all));

        let without: Vec<_> = all.iter().filter(|(name, _)| *name != chosen).map(of).collect();
        let mut rest = names(&order);
        rest.retain(|name| *name != chosen);
        prop_assert_eq!(names(&sorted(&without)), rest);
    }
}
