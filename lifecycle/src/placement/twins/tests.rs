use std::sync::LazyLock;

use super::*;

static PODS: LazyLock<[Uid; 3]> = LazyLock::new(|| ["1", "2", "3"].map(|uid| Uid(uid.into())));

/// Returns the Pod on this cluster.
fn pod(cluster: &ClusterName) -> &'static Uid {
    let number = ["east", "north", "west"].iter().position(|name| *name == cluster.as_str());
    &PODS[number.unwrap()]
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

const REASONS: [Option<Replacement>; 3] = [None, Some(Replacement::Lost), Some(Replacement::Move)];

fn all(names: &[ClusterName; 3]) -> Vec<Twin<'_>> {
    let mut all = vec![];
    for cluster in names {
        for replaces in REASONS {
            for (is_terminating, is_ready) in [(false, false), (false, true), (true, false)] {
                for created in [None, Some(at(1)), Some(at(2))] {
                    all.push(Twin {
                        cluster,
                        pod: pod(cluster),
                        replaces,
                        is_terminating,
                        awaits_deletion: false,
                        is_ready,
                        created,
                    });
                }
            }
        }
    }
    all
}

/// Guards the order of the rules, one by one.
#[test]
fn the_rules_have_an_order() {
    let [east, west] = ["east", "west"].map(|name| ClusterName::parse(name).unwrap());
    let twin = |cluster, replaces, created| Twin {
        cluster,
        pod: pod(cluster),
        replaces,
        is_terminating: false,
        awaits_deletion: false,
        is_ready: true,
        created: Some(at(created)),
    };
    let unready = |twin| Twin { is_ready: false, ..twin };
    let (lost, moved) = (Some(Replacement::Lost), Some(Replacement::Move));
    for (rule, first, second, wanted) in [
        ("the older counts", twin(&east, None, 2), twin(&west, None, 1), 1),
        ("the older counts, ready or not", twin(&east, None, 2), unready(twin(&west, None, 1)), 1),
        ("a replacement counts", twin(&east, None, 1), unready(twin(&west, lost, 2)), 1),
        ("one that has moved counts", twin(&east, None, 1), twin(&west, moved, 2), 1),
        ("one that moves does not count yet", twin(&east, None, 1), unready(twin(&west, moved, 2)), 0),
        ("the newer replacement counts", twin(&east, lost, 1), twin(&west, lost, 2), 1),
        ("it may be moved back", twin(&east, moved, 1), twin(&west, moved, 2), 1),
        ("the name decides", twin(&east, None, 1), twin(&west, None, 1), 0),
        ("the name decides for replacements", twin(&east, lost, 1), twin(&west, lost, 1), 0),
        (
            "one that ends counts last",
            Twin { is_terminating: true, is_ready: false, ..twin(&east, lost, 2) },
            twin(&west, None, 1),
            1,
        ),
        (
            "one that will be deleted counts last",
            Twin { awaits_deletion: true, ..twin(&east, lost, 1) },
            twin(&west, None, 2),
            1,
        ),
    ] {
        assert_eq!(winner(&[first, second]), Some(wanted), "{rule}");
        assert_eq!(winner(&[second, first]), Some(1 - wanted), "{rule}, in the other order");
    }
    assert_eq!(winner(&[]), None);
}

/// Guards over all pairs and triples that every replica finds the same winner in whatever order it compares, and that the
/// winner of three also wins against each of the others alone: so the order in which twins are seen does not matter.
#[test]
fn the_winner_does_not_depend_on_the_order() {
    let names = ["east", "north", "west"].map(|name| ClusterName::parse(name).unwrap());
    let all = all(&names);
    let mut triples = 0;
    for a in &all {
        for b in all.iter().filter(|b| b.cluster != a.cluster) {
            let of_two = [a, b][winner(&[*a, *b]).unwrap()];
            assert_eq!([b, a][winner(&[*b, *a]).unwrap()], of_two, "{a:?} {b:?}");
            for c in all.iter().filter(|c| c.cluster != a.cluster && c.cluster != b.cluster) {
                let of_three = [a, b, c][winner(&[*a, *b, *c]).unwrap()];
                assert_eq!([of_two, c][winner(&[*of_two, *c]).unwrap()], of_three, "{a:?} {b:?} {c:?}");
                triples += 1;
            }
        }
    }
    assert_eq!(triples, 6 * 27 * 27 * 27);
}

/// Guards over all pairs that the winner is never deleted, that at least one twin stays whatever two replicas decide at
/// different times, and that all twins but the winner go in the end.
#[test]
fn one_twin_stays_and_the_others_go() {
    let names = ["east", "north", "west"].map(|name| ClusterName::parse(name).unwrap());
    let all = all(&names);
    let later = at(2) + ABANDONED + SignedDuration::from_secs(1);
    for a in all.iter().filter(|a| !a.is_terminating && a.created.is_some()) {
        for b in all.iter().filter(|b| b.cluster != a.cluster && !b.is_terminating && b.created.is_some()) {
            let twins = [*a, *b];
            let winner = winner(&twins).unwrap();
            assert_eq!(losers(&twins, |_| true, later), [1 - winner], "{twins:?}");
            let now = losers(&twins, |_| true, at(3));
            assert!(now.is_empty() || now == [1 - winner], "{twins:?}");
            assert_eq!(now.is_empty(), class(&twins[1 - winner]) == Class::Moving, "{twins:?}");
            // One that moves may become ready between the looks of two replicas.
            let ready = twins.map(|twin| Twin { is_ready: true, ..twin });
            let (before, after) = (losers(&twins, |_| true, at(3)), losers(&ready, |_| true, at(3)));
            assert!(before.is_empty() || after.is_empty() || before == after, "{twins:?}");
        }
    }
}

/// Guards that nothing is deleted for the sake of a twin that is itself being deleted.
#[test]
fn nothing_is_deleted_for_one_that_ends() {
    let [east, west] = ["east", "west"].map(|name| ClusterName::parse(name).unwrap());
    let ending = Twin {
        cluster: &east,
        pod: pod(&east),
        replaces: Some(Replacement::Lost),
        is_terminating: true,
        awaits_deletion: false,
        is_ready: false,
        created: Some(at(2)),
    };
    let original = Twin { cluster: &west, pod: pod(&west), replaces: None, is_terminating: false, ..ending };
    assert_eq!(losers(&[ending, original], |_| true, at(3)), [0; 0]);
    assert_eq!(losers(&[ending], |_| true, at(3)), [0; 0]);
    assert_eq!(losers(&[], |_| true, at(3)), [0; 0]);
}

/// Guards that one which will be deleted is deleted at once for its twin, and that nothing is deleted for it.
#[test]
fn one_that_will_be_deleted_only_loses() {
    let names = ["east", "north", "west"].map(|name| ClusterName::parse(name).unwrap());
    for a in all(&names).iter().filter(|a| !a.is_terminating && a.replaces != Some(Replacement::Move)) {
        let other = Twin { cluster: &names[1], pod: pod(&names[1]), ..*a };
        let doomed = Twin { cluster: &names[0], pod: pod(&names[0]), awaits_deletion: true, ..*a };
        assert_eq!(losers(&[other, doomed], |_| true, at(3)), [1], "{a:?}");
        assert_eq!(
            losers(&[Twin { is_terminating: true, ..other }, doomed], |_| true, at(3)),
            [0; 0],
            "{a:?}"
        );
    }
}

/// Guards over all pairs that a Pod which two names of one cluster show is never deleted for its own sake, and that it goes
/// under both names if it loses against another.
#[test]
fn a_pod_is_no_twin_of_itself() {
    let names = ["east", "north", "west"].map(|name| ClusterName::parse(name).unwrap());
    let all = all(&names);
    let later = at(2) + ABANDONED + SignedDuration::from_secs(1);
    for a in &all {
        let again = Twin { cluster: &names[1], ..*a };
        assert_eq!(losers(&[*a, again], |_| true, later), [0; 0], "{a:?}");
        for b in all.iter().filter(|b| b.cluster != a.cluster && b.cluster != &names[1]) {
            let lost = losers(&[*a, again, *b], |_| true, later);
            assert!([&[][..], &[0, 1], &[2]].contains(&&*lost), "{a:?} {b:?}: {lost:?}");
        }
    }
}

/// Guards over all pairs that a twin on a stale cluster is never deleted, and that one on a fresh cluster is deleted for its
/// sake as if both were fresh, but not for a move, which may have been undone.
#[test]
fn a_stale_cluster_loses_nothing() {
    let names = ["east", "north", "west"].map(|name| ClusterName::parse(name).unwrap());
    let all = all(&names);
    for stale in &all {
        for fresh in all.iter().filter(|fresh| fresh.cluster != stale.cluster) {
            let twins = [*stale, *fresh];
            let lost = losers(&twins, |name| name == fresh.cluster, at(3));
            let moves = winner(&twins) == Some(0) && stale.replaces == Some(Replacement::Move);
            let mut wanted = losers(&twins, |_| true, at(3));
            wanted.retain(|index| *index == 1 && !moves);
            assert_eq!(lost, wanted, "{twins:?}");
        }
    }
}
