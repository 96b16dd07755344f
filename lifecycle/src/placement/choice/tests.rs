use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    labels::Labels,
    placement::{Facts, Terms},
    selector::Selector,
};

fn name(text: &str) -> ClusterName {
    ClusterName::parse(text).unwrap()
}

fn id() -> SandboxId {
    SandboxId::parse("a").unwrap()
}

fn profile(text: &str) -> ProfileName {
    ProfileName::parse(text).unwrap()
}

const USABLE: Facts = Facts { is_fresh: true, sandboxes: 5, accepts_creates: true, is_silent: false };

/// A cluster with what decides about it.
#[derive(Debug, Clone)]
struct Cluster {
    name: ClusterName,
    terms: Terms,
    facts: Facts,
}

impl Cluster {
    fn new(text: &str, region: &str) -> Self {
        let terms = Terms { labels: Labels::new([("region", region)]), ..Terms::default() };
        Self { name: name(text), terms, facts: USABLE }
    }

    fn candidate(&self) -> Candidate<'_> {
        Candidate { name: &self.name, terms: &self.terms, facts: self.facts }
    }
}

fn three() -> [Cluster; 3] {
    [Cluster::new("east", "eu"), Cluster::new("north", "eu"), Cluster::new("west", "us")]
}

fn candidates(clusters: &[Cluster]) -> Vec<Candidate<'_>> {
    clusters.iter().map(Cluster::candidate).collect()
}

/// Returns the sentences about the excluded clusters.
fn sentences(choice: &Choice<'_>) -> Vec<String> {
    choice.excluded.iter().map(ToString::to_string).collect()
}

/// Guards each reason for which a cluster is left out, and its sentence.
#[test]
fn a_cluster_is_left_out_for_a_reason() {
    let change = |change: &dyn Fn(&mut Cluster)| {
        let mut clusters = three();
        change(&mut clusters[2]);
        let all = candidates(&clusters);
        let choice = choose(&id(), Constraints::default(), &all).unwrap();
        assert_eq!(choice.order.len() + choice.excluded.len(), 3);
        sentences(&choice)
    };
    assert_eq!(change(&|_| ()), [""; 0]);
    assert_eq!(change(&|west| west.terms.weight = 0), ["cluster 'west' is draining"]);
    assert_eq!(
        change(&|west| west.facts.is_fresh = false),
        ["cluster 'west' is away: its state is not known at present"]
    );
    assert_eq!(
        change(&|west| west.terms.max_sandboxes = Some(5)),
        ["cluster 'west' has reached its max_sandboxes of 5"]
    );
    assert_eq!(change(&|west| west.terms.max_sandboxes = Some(6)), [""; 0]);
    assert_eq!(
        change(&|west| west.facts.accepts_creates = false),
        ["cluster 'west' has too many creates in its queue"]
    );
    assert_eq!(
        change(&|west| west.terms.profiles = Some([profile("gpu")].into())),
        ["cluster 'west' does not offer the profile 'default'"]
    );
}

/// Guards that a request gets the cluster that it names, and else one that its selector matches.
#[test]
fn a_request_can_choose_its_cluster() {
    let clusters = three();
    let all = candidates(&clusters);
    let west = name("west");
    let pinned = choose(&id(), Constraints { cluster: Some(&west), ..Constraints::default() }, &all).unwrap();
    assert_eq!(pinned.order, [&west]);
    assert_eq!(
        sentences(&pinned),
        ["cluster 'east' is not the requested one", "cluster 'north' is not the requested one"]
    );
    assert_eq!(pinned.refusals(), [], "they did not refuse");

    let europe = Selector::parse("region=eu").unwrap();
    let constraints = Constraints { selector: Some(&europe), ..Constraints::default() };
    let selected = choose(&id(), constraints, &all).unwrap();
    assert_eq!(
        selected.order.iter().copied().collect::<BTreeSet<_>>(),
        [&name("east"), &name("north")].into()
    );
    assert_eq!(sentences(&selected), ["cluster 'west' does not match the cluster_selector"]);
}

/// Guards that a wish that no cluster can ever meet is an error of the request, with a sentence that helps.
#[test]
fn impossible_wishes_are_bad_requests() {
    let mut clusters = three();
    for cluster in &mut clusters[..2] {
        cluster.terms.profiles = Some([profile("large"), profile("default")].into());
    }
    clusters[2].terms.profiles = Some([profile("default")].into());
    let all = candidates(&clusters);
    let (south, west, large, gpu) = (name("south"), name("west"), profile("large"), profile("gpu"));
    let us = Selector::parse("region=us").unwrap();
    let moon = Selector::parse("region=moon").unwrap();
    for (constraints, text) in [
        (
            Constraints { cluster: Some(&south), ..Constraints::default() },
            "cluster: there is no cluster 'south'; the clusters are east, north, west",
        ),
        (
            Constraints { cluster: Some(&west), profile: Some(&large), ..Constraints::default() },
            "cluster: 'west' does not offer the profile 'large'; these clusters do: east, north",
        ),
        (
            Constraints { cluster: Some(&west), profile: Some(&gpu), ..Constraints::default() },
            "cluster: 'west' does not offer the profile 'gpu'; these clusters do: none",
        ),
        (
            Constraints { profile: Some(&gpu), ..Constraints::default() },
            "profile: no cluster offers the profile 'gpu'",
        ),
        (
            Constraints { selector: Some(&moon), ..Constraints::default() },
            "cluster_selector: it selects no cluster that offers the profile 'default'; the clusters are east, north, west",
        ),
        (
            Constraints { selector: Some(&us), profile: Some(&large), ..Constraints::default() },
            "cluster_selector: it selects no cluster that offers the profile 'large'; the clusters are east, north, west",
        ),
        (
            Constraints { selector: Some(&moon), cluster: Some(&west), ..Constraints::default() },
            "cluster_selector: it does not select the cluster 'west'",
        ),
        (
            Constraints { workspace_in: Some(&west), profile: Some(&large), ..Constraints::default() },
            "cluster: the workspace of the sandbox is on the cluster 'west', and does not move; ask for that cluster, or \
             delete the workspace",
        ),
    ] {
        assert_eq!(choose(&id(), constraints, &all), Err(SandboxError::BadRequest(text.to_owned())));
    }
}

/// Guards that a sandbox goes to its workspace, and waits for the cluster that has it.
#[test]
fn a_sandbox_follows_its_workspace() {
    let mut clusters = three();
    let (east, south) = (name("east"), name("south"));
    let constraints = Constraints { workspace_in: Some(&east), ..Constraints::default() };
    assert_eq!(choose(&id(), constraints, &candidates(&clusters)).unwrap().order, [&east]);
    clusters[0].facts.is_fresh = false;
    let all = candidates(&clusters);
    let choice = choose(&id(), constraints, &all).unwrap();
    assert!(choice.order.is_empty());
    let refusals = choice.refusals();
    assert_eq!(refusals.iter().map(|refusal| refusal.cluster.as_str()).collect::<Vec<_>>(), ["east"]);
    let removed = Constraints { workspace_in: Some(&south), ..Constraints::default() };
    assert_eq!(choose(&id(), removed, &all).unwrap().order.len(), 2, "a cluster that was removed");
}

/// Guards the error when no cluster can take the sandbox: it has the chain of refusals, and the shortest of the delays.
#[test]
fn the_error_has_the_whole_chain() {
    let mut clusters = three();
    clusters[0].terms.weight = 0;
    clusters[1].terms.max_sandboxes = Some(1);
    clusters[2].facts.accepts_creates = false;
    let all = candidates(&clusters);
    let choice = choose(&id(), Constraints::default(), &all).unwrap();
    assert!(choice.order.is_empty());
    let error = SandboxError::NoCluster { id: id(), refusals: choice.refusals() };
    assert_eq!(
        error.to_string(),
        "no cluster can take Sandbox 'a': east is draining; north has reached its max_sandboxes of 1; west has too \
         many creates in its queue; try again in 5 s"
    );
    assert_eq!(error.retry_after(), Some(FULL_RETRY));
}

proptest! {
    /// Guards that the choice is a function of the set of clusters, that each cluster is either asked or excluded, that only a
    /// cluster that is fresh, not draining and not full is asked, and that the silent ones are asked last.
    #[test]
    fn every_cluster_is_asked_or_excluded(
        facts in prop::collection::btree_map(
            "[a-z]{1,5}",
            (0_u16..3, prop::option::of(0_u64..3), any::<bool>(), 0_u64..3, any::<bool>(), any::<bool>()),
            1..6,
        ),
        id in "[a-z0-9]{1,12}",
    ) {
        let id = SandboxId::parse(&id).unwrap();
        let clusters: Vec<_> = facts
            .iter()
            .map(|(text, (weight, max_sandboxes, is_fresh, sandboxes, accepts_creates, is_silent))| Cluster {
                name: name(text),
                terms: Terms { weight: *weight, max_sandboxes: *max_sandboxes, ..Terms::default() },
                facts: Facts {
                    is_fresh: *is_fresh,
                    sandboxes: *sandboxes,
                    accepts_creates: *accepts_creates,
                    is_silent: *is_silent,
                },
            })
            .collect();
        let all = candidates(&clusters);
        let choice = choose(&id, Constraints::default(), &all).unwrap();
        let mut reversed = all.clone();
        reversed.reverse();
        prop_assert_eq!(&choose(&id, Constraints::default(), &reversed).unwrap().order, &choice.order);
        let is_silent = |cluster: &&ClusterName| facts[cluster.as_str()].5;
        prop_assert!(choice.order.is_sorted_by_key(is_silent));
        for Cluster { name, terms, facts } in &clusters {
            let is_usable = terms.weight > 0
                && facts.is_fresh
                && facts.accepts_creates
                && terms.max_sandboxes.is_none_or(|max| facts.sandboxes < max);
            prop_assert_eq!(choice.order.contains(&name), is_usable);
            prop_assert_eq!(choice.excluded.iter().any(|excluded| excluded.cluster == name), !is_usable);
        }
    }
}
