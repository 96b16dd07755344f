use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn all(names: &[ClusterName; 3]) -> Vec<Twin<'_>> {
    let mut all = vec![];
    for cluster in names {
        for is_replacement in [false, true] {
            for is_terminating in [false, true] {
                for created in [None, Some(at(1)), Some(at(2))] {
                    all.push(Twin { cluster, is_replacement, is_terminating, created });
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
    let twin = |cluster, is_replacement, is_terminating, created| Twin {
        cluster,
        is_replacement,
        is_terminating,
        created: Some(at(created)),
    };
    for (what, first, second, wanted) in [
        ("the older counts", twin(&east, false, false, 2), twin(&west, false, false, 1), 1),
        ("a replacement counts", twin(&east, false, false, 1), twin(&west, true, false, 2), 1),
        ("the newer replacement counts", twin(&east, true, false, 1), twin(&west, true, false, 2), 1),
        ("the name decides", twin(&east, false, false, 1), twin(&west, false, false, 1), 0),
        ("the name decides for replacements", twin(&east, true, false, 1), twin(&west, true, false, 1), 0),
        ("one that ends counts last", twin(&east, true, true, 2), twin(&west, false, false, 1), 1),
    ] {
        assert_eq!(winner(&[first, second]), Some(wanted), "{what}");
        assert_eq!(winner(&[second, first]), Some(1 - wanted), "{what}, in the other order");
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
    assert_eq!(triples, 6 * 12 * 12 * 12);
}
