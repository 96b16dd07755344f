use std::time::Duration;

use super::*;
use crate::{ids::SandboxId, lifetime::Limits};

/// Guards over every place of the data, and over which of the clusters share it, that no sandbox moves away from its data.
#[test]
fn a_sandbox_stays_where_its_data_is() {
    let [east, west] = ["east", "west"].map(|name| ClusterName::parse(name).unwrap());
    for home in [
        DataHome::Nowhere,
        DataHome::Node("/data".to_owned()),
        DataHome::Claim("users".to_owned()),
        DataHome::Workspace(WorkspaceId::of_hash(1)),
    ] {
        for (source, target) in [(false, false), (false, true), (true, false), (true, true)] {
            let terms = |shares_data| Terms { shares_data, ..Terms::default() };
            let moves = check(&home, (&east, &terms(source)), (&west, &terms(target)));
            let wanted = match home {
                DataHome::Nowhere => true,
                DataHome::Node(_) | DataHome::Claim(_) => source && target,
                DataHome::Workspace(_) => false,
            };
            assert_eq!(moves.is_ok(), wanted, "{home:?} {source} {target}");
        }
    }
}

/// Guards the sentences.
#[test]
fn the_reason_is_a_sentence() {
    let [east, west] = ["east", "west"].map(|name| ClusterName::parse(name).unwrap());
    let (shared, own) = (Terms { shares_data: true, ..Terms::default() }, Terms::default());
    assert_eq!(
        check(&DataHome::Node("/data".to_owned()), (&east, &shared), (&west, &own)).unwrap_err(),
        "its data is below /data on a node of the cluster 'east' and does not move; if both clusters mount the same storage \
         there, set clusters.west.shares_data = true"
    );
    let neither = check(&DataHome::Claim("c".to_owned()), (&east, &own), (&west, &own)).unwrap_err();
    assert!(
        neither.ends_with("clusters.east.shares_data = true and clusters.west.shares_data = true"),
        "{neither}"
    );
    assert_eq!(
        check(&DataHome::Workspace(WorkspaceId::of_hash(1)), (&east, &shared), (&west, &shared)).unwrap_err(),
        "its workspace 00000000000000000000000000000001 is on the cluster 'east', and workspaces do not move"
    );
}

/// Guards that each change during a move is found, and that equal values are not changes.
#[test]
fn what_has_changed_is_repeated() {
    let id = SandboxId::parse("a").unwrap();
    let hour = |count: u64| Some(Duration::from_secs(3600 * count));
    let text = |text: &str| Some(text.to_owned());
    let (ttls, cpus) = ([None, hour(1), hour(2)], [None, text("1"), text("2")]);
    for ((before, now), (cpu, cpu_now)) in pairs(&ttls).zip(pairs(&cpus)) {
        let request = |ttl, cpu, idle, memory| {
            let mut request = CreateRequest::new(id.clone());
            request.limits = Limits { ttl, idle_timeout: idle };
            request.overrides.resources = Resources { cpu, memory, ephemeral_storage: None };
            request
        };
        let read = request(before, cpu.clone(), hour(3), text("1Gi"));
        let late = late_change(&read, &request(now, cpu_now.clone(), hour(3), text("1Gi")));
        assert_eq!(late.limits.ttl, (before != now).then_some(now));
        // A limit of the container is never removed.
        assert_eq!(late.resources.cpu, cpu_now.clone().filter(|_| cpu != cpu_now));
        assert_eq!((late.limits.idle_timeout, late.resources.memory), (None, None));
        let other = late_change(&read, &request(before, cpu.clone(), None, text("2Gi")));
        assert_eq!((other.limits.idle_timeout, other.resources.memory), (Some(None), text("2Gi")));
        assert_eq!((other.limits.ttl, other.resources.cpu), (None, None));
        assert_eq!(late_change(&read, &read), Change::default());
    }
}

/// Returns every pair of these values.
fn pairs<T: Clone>(values: &[T]) -> impl Iterator<Item = (T, T)> {
    values.iter().flat_map(|one| values.iter().map(|other| (one.clone(), other.clone())))
}
