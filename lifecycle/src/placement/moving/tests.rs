use super::*;

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
