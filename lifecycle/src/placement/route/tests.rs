use super::*;

const HOLDINGS: [Holding; 4] = [Holding::Shown, Holding::Held, Holding::Absent, Holding::Unknown];
const REACHES: [Reach; 3] = [Reach::Fresh, Reach::Stale, Reach::Lost];

/// Returns every combination of the states of up to three clusters.
fn combinations() -> Vec<Vec<State>> {
    let states: Vec<_> =
        HOLDINGS.iter().flat_map(|holding| REACHES.map(|reach| State { holding: *holding, reach })).collect();
    let mut all: Vec<Vec<State>> = vec![vec![]];
    let mut last = all.clone();
    for _ in 0..3 {
        last = last
            .iter()
            .flat_map(|before| states.iter().map(|state| [&before[..], &[*state]].concat()))
            .collect();
        all.extend(last.clone());
    }
    assert_eq!(all.len(), 1 + 12 + 144 + 1728);
    all
}

/// Whether the objects of the cluster are known now.
fn is_known(state: State) -> bool {
    state.reach == Reach::Fresh && state.holding != Holding::Unknown
}

/// Guards that a GET shows what a fresh cluster shows, that it is a 404 only if a cluster is fresh and none that is away may
/// have the sandbox, and that an error names exactly the clusters that are away and may have it, or all if none is fresh.
#[test]
fn a_get_never_denies_what_may_exist() {
    for states in combinations() {
        let shows = |state: &State| is_known(*state) && state.holding == Holding::Shown;
        let is_any_known = states.iter().any(|state| is_known(*state));
        let away = |state: &State| !is_known(*state) && (state.holding != Holding::Absent || !is_any_known);
        match read(&states) {
            Read::Shown(clusters) => {
                assert!(!clusters.is_empty() && clusters.iter().all(|index| shows(&states[*index])));
                assert_eq!(clusters.len(), states.iter().filter(|state| shows(state)).count(), "{states:?}");
            }
            Read::Unavailable(clusters) => {
                assert!(!states.iter().any(shows), "{states:?}");
                assert_eq!(clusters.len(), states.iter().filter(|state| away(state)).count(), "{states:?}");
                assert!(!clusters.is_empty() && clusters.iter().all(|index| away(&states[*index])));
            }
            Read::Held(cluster) => {
                assert_eq!(states[cluster].holding, Holding::Held, "{states:?}");
                assert!(!states.iter().any(|state| shows(state) || away(state)), "{states:?}");
            }
            Read::NotFound => {
                assert!(states.iter().all(|state| state.holding == Holding::Absent), "{states:?}");
                assert!(is_any_known || states.is_empty(), "{states:?}");
            }
        }
    }
}

/// Guards that a POST makes nothing while a cluster that is stale and not lost may have the sandbox, unless a fresh cluster
/// shows it; that it goes to a cluster that has it; and that a new Pod is a replacement exactly if a lost cluster may have
/// the sandbox.
#[test]
fn a_post_makes_no_second_sandbox() {
    for states in combinations() {
        let shows = |state: &State| is_known(*state) && state.holding == Holding::Shown;
        let blocks = |state: &State| {
            !is_known(*state) && state.reach != Reach::Lost && state.holding != Holding::Absent
        };
        let is_replaced =
            states.iter().any(|state| state.reach == Reach::Lost && state.holding != Holding::Absent);
        match create(&states) {
            Create::Shown(clusters) => {
                assert!(!clusters.is_empty() && clusters.iter().all(|index| shows(&states[*index])));
            }
            Create::Unavailable(clusters) => {
                assert!(!states.iter().any(shows), "{states:?}");
                assert!(!clusters.is_empty() && clusters.iter().all(|index| blocks(&states[*index])));
                assert_eq!(clusters.len(), states.iter().filter(|state| blocks(state)).count(), "{states:?}");
            }
            Create::Held { cluster, is_replacement } => {
                assert!(is_known(states[cluster]) && states[cluster].holding == Holding::Held, "{states:?}");
                assert!(!states.iter().any(|state| shows(state) || blocks(state)), "{states:?}");
                assert_eq!(is_replacement, is_replaced, "{states:?}");
            }
            Create::Place { is_replacement } => {
                assert!(!states.iter().any(blocks), "{states:?}");
                let is_on_a_known_one = |state: &State| is_known(*state) && state.holding != Holding::Absent;
                assert!(!states.iter().any(is_on_a_known_one), "{states:?}");
                assert_eq!(is_replacement, is_replaced, "{states:?}");
            }
        }
    }
}

/// Guards that a DELETE goes to every cluster that has or may have the sandbox, and to all if none has it; and that it is
/// acknowledged without one of these only if that one was never listed and a fresh cluster shows the sandbox.
#[test]
fn a_delete_goes_wherever_the_sandbox_may_be() {
    for states in combinations() {
        let Delete { must, should } = delete(&states);
        let has = |state: &State| matches!(state.holding, Holding::Shown | Holding::Held);
        let is_shown = states.iter().any(|state| is_known(*state) && state.holding == Holding::Shown);
        for (index, state) in states.iter().enumerate() {
            let is_wanted = state.holding != Holding::Absent || !states.iter().any(has);
            let is_later = is_shown && state.holding == Holding::Unknown;
            assert_eq!(must.contains(&index), is_wanted && !is_later, "{states:?}");
            assert_eq!(should.contains(&index), is_later, "{states:?}");
        }
        assert!(must.is_sorted() && should.is_sorted(), "{states:?}");
        assert!(!must.is_empty() || states.is_empty(), "{states:?}");
    }
}

/// Guards that a single cluster gets every request that does not need a decision, whether or not it is fresh: it answers as
/// it would without others.
#[test]
fn a_stale_cluster_alone_is_never_placed_around() {
    for holding in HOLDINGS {
        let stale = [State { holding, reach: Reach::Stale }];
        let expected = match holding {
            Holding::Absent => Create::Place { is_replacement: false },
            Holding::Shown | Holding::Held | Holding::Unknown => Create::Unavailable(vec![0]),
        };
        assert_eq!(create(&stale), expected);
        assert_eq!(delete(&stale), Delete { must: vec![0], should: vec![] });
    }
}
