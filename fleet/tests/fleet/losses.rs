//! Clusters that are away, and that return.

use std::time::Duration;

use fleet::backend::Backend;
use lifecycle::{
    budget,
    error::SandboxError,
    ids::SandboxId,
    observed::{Status, Uid},
    placement::replacement::Replacement,
};
use tokio::time::Instant;

use crate::fake::{LOSS, Mode, STALENESS, World, id, id_for, name, pass};

fn names_cluster(error: &SandboxError, cluster: &str) -> bool {
    matches!(error, SandboxError::ClusterAway { cluster: away, .. } if away.as_str() == cluster)
}

/// Guards that a cluster that is away takes only its own sandboxes with it, and that it is named.
#[tokio::test(start_paused = true)]
async fn the_others_work_on() {
    let world = World::start().await;
    let (lost, kept) = (id_for(&["west"]), id_for(&["north"]));
    world.create(&lost).await.unwrap();
    world.create(&kept).await.unwrap();
    world.set_mode("west", Mode::Silent);
    pass(STALENESS.as_secs() + 2).await;
    assert!(names_cluster(&world.fleet().get(&lost).await.unwrap_err(), "west"));
    assert!(names_cluster(&world.create(&lost).await.unwrap_err(), "west"));
    assert!(names_cluster(&world.fleet().presence(&lost).await.unwrap_err(), "west"));
    assert_eq!(world.fleet().get(&kept).await.unwrap().unwrap().cluster, name("north"));
    for number in 0..12 {
        let made = world.create(&id(&format!("a{number}"))).await.unwrap();
        assert_ne!(made.cluster, name("west"));
    }
    assert!(world.fleet().get(&id("unknown")).await.unwrap().is_none(), "no cluster had it");
    world.set_mode("west", Mode::Up);
    pass(5).await;
    assert_eq!(world.fleet().get(&lost).await.unwrap().unwrap().cluster, name("west"));
}

/// Guards that the error says whether the cluster had the sandbox, and that one which is known to have had it is named before
/// one which was never listed.
#[tokio::test(start_paused = true)]
async fn an_error_says_what_is_known() {
    let mut world = World::start().await;
    let lost = id_for(&["west"]);
    world.create(&lost).await.unwrap();
    world.set_mode("east", Mode::Silent);
    world.restart().await;
    pass(budget::FIRST_LIST.as_secs() + 1).await;
    world.set_mode("west", Mode::Silent);
    pass(STALENESS.as_secs() + 2).await;
    for (id, part) in [
        (lost.clone(), format!("cluster 'west' is away and had Sandbox '{lost}' when it was last seen (")),
        (id("unknown"), "cluster 'east' is away and may have Sandbox 'unknown' (".to_owned()),
    ] {
        let errors = [
            world.fleet().get(&id).await.unwrap_err(),
            world.create(&id).await.unwrap_err(),
            world.fleet().delete(id.clone(), None).await.unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().starts_with(&part), "{error}");
        }
    }
}

/// Guards that a sandbox of a lost cluster is made again elsewhere after the time-out and not before, marked as a
/// replacement, and that its twin is deleted when the cluster returns.
#[tokio::test(start_paused = true)]
async fn a_lost_sandbox_is_replaced_and_its_twin_deleted() {
    let world = World::start().await;
    let id = id_for(&["west", "east"]);
    let first = world.create(&id).await.unwrap();
    world.set_mode("west", Mode::Down);
    pass(LOSS.as_secs() - 10).await;
    assert!(names_cluster(&world.create(&id).await.unwrap_err(), "west"));
    pass(15).await;
    let second = world.create(&id).await.unwrap();
    assert_eq!((second.cluster.as_str(), second.pod == first.pod), ("east", false));
    assert_eq!(world.cluster("east").replaces(&id), Some(Replacement::Lost));
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, second.pod);
    assert_eq!(world.holders(&id), ["east", "west"]);

    world.set_mode("west", Mode::Up);
    pass(2).await;
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, second.pod, "as soon as both are known");
    pass(20).await;
    assert_eq!(world.holders(&id), ["east"]);
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, second.pod);
    world.assert_no_orphans("after the return");
}

/// Guards that callers do not get the older sandbox back while the cluster of its replacement is away, and that a cluster which
/// is lost after that has a replacement too.
#[tokio::test(start_paused = true)]
async fn a_replacement_counts_while_its_cluster_is_away() {
    let (world, id, first, second) = with_a_replacement_that_is_away().await;
    world.set_mode("west", Mode::Up);
    pass(12).await;
    assert_eq!(world.holders(&id), ["east"], "the older one, {}, is deleted", first.pod.0);
    assert!(names_cluster(&world.fleet().get(&id).await.unwrap_err(), "east"));
    assert!(names_cluster(&world.create(&id).await.unwrap_err(), "east"));

    pass(LOSS.as_secs()).await;
    let third = world.create(&id).await.unwrap();
    assert_ne!(third.cluster, name("east"));
    world.set_mode("east", Mode::Up);
    pass(12).await;
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, third.pod, "not {}", second.pod.0);
    assert_eq!(world.holders(&id), [third.cluster.as_str()]);
}

/// Guards that a replacement whose deletion waits for its cluster does not count before a sandbox that was made since.
#[tokio::test(start_paused = true)]
async fn a_replacement_that_is_to_be_deleted_does_not_count() {
    let (world, id, first, _) = with_a_replacement_that_is_away().await;
    world.fleet().delete(id.clone(), None).await.unwrap_err();
    // By now the next attempt to delete it on west is some seconds off.
    pass(10).await;
    world.set_mode("west", Mode::Up);
    pass(2).await;
    let made = world.create(&id).await.unwrap();
    assert_eq!(made.cluster, first.cluster);
    assert_ne!(made.pod, first.pod);
    pass(12).await;
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, made.pod);

    world.set_mode("east", Mode::Up);
    pass(60).await;
    assert_eq!(world.holders(&id), ["west"]);
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, made.pod);
}

/// Guards that the older sandbox counts again if it returns after the cluster of its replacement is lost.
#[tokio::test(start_paused = true)]
async fn the_older_sandbox_counts_if_its_replacement_is_lost() {
    let (world, id, first, _) = with_a_replacement_that_is_away().await;
    pass(LOSS.as_secs()).await;
    world.set_mode("west", Mode::Up);
    pass(30).await;
    assert_eq!(world.create(&id).await.unwrap().pod, first.pod);
    assert_eq!(world.holders(&id), ["east", "west"]);
}

/// Guards the limit of a replacement: it is known from its own cluster alone. After a restart the older sandbox is served until
/// that cluster is back.
#[tokio::test(start_paused = true)]
async fn a_restart_forgets_a_replacement_that_is_away() {
    let (mut world, id, first, second) = with_a_replacement_that_is_away().await;
    world.restart().await;
    world.set_mode("west", Mode::Up);
    pass(30).await;
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, first.pod);
    assert_eq!(world.create(&id).await.unwrap().pod, first.pod);

    world.set_mode("east", Mode::Up);
    pass(2).await;
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, second.pod);
    pass(12).await;
    assert_eq!(world.holders(&id), ["east"]);
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, second.pod);
}

/// Returns clusters of which `west` is away with a sandbox, and `east` with its replacement, and these two sandboxes.
async fn with_a_replacement_that_is_away() -> (World, SandboxId, Status, Status) {
    let world = World::start().await;
    let id = id_for(&["west", "east"]);
    let first = world.create(&id).await.unwrap();
    world.set_mode("west", Mode::Down);
    pass(LOSS.as_secs() + 5).await;
    let second = world.create(&id).await.unwrap();
    assert_eq!(second.cluster, name("east"));
    world.set_mode("east", Mode::Down);
    pass(STALENESS.as_secs() + 2).await;
    (world, id, first, second)
}

/// Guards that no sandbox is ever replaced if the settings say so.
#[tokio::test(start_paused = true)]
async fn a_cluster_may_never_be_lost() {
    let world = World::with(&["east", "north", "west"], None).await;
    let id = id_for(&["west"]);
    world.create(&id).await.unwrap();
    world.set_mode("west", Mode::Down);
    pass(24 * 3600).await;
    assert!(names_cluster(&world.create(&id).await.unwrap_err(), "west"));
    assert_eq!(world.holders(&id), ["west"]);
}

/// Guards that after a restart no sandbox is made that a cluster which is away may have, until the cluster is lost; and that
/// no GET denies it.
#[tokio::test(start_paused = true)]
async fn a_restart_forgets_no_lost_sandbox() {
    let mut world = World::start().await;
    let (lost, kept) = (id_for(&["west"]), id_for(&["north"]));
    let first = world.create(&lost).await.unwrap();
    world.create(&kept).await.unwrap();
    world.set_mode("west", Mode::Down);
    world.restart().await;
    pass(2).await;
    assert_eq!(world.create(&kept).await.unwrap().cluster, name("north"));
    for unknown in [&lost, &id("new")] {
        assert!(names_cluster(&world.create(unknown).await.unwrap_err(), "west"));
        assert!(names_cluster(&world.fleet().get(unknown).await.unwrap_err(), "west"));
    }
    pass(LOSS.as_secs()).await;
    let new = world.create(&id("new")).await.unwrap();
    assert_ne!(new.cluster, name("west"));
    let second = world.create(&lost).await.unwrap();
    world.set_mode("west", Mode::Up);
    pass(30).await;
    assert_eq!(world.holders(&lost), [second.cluster.as_str()]);
    assert_ne!(second.pod, first.pod);
    assert_eq!(world.holders(&id("new")), [new.cluster.as_str()]);
}

/// Guards that a cluster which answers its first list a moment after the start loses no request.
#[tokio::test(start_paused = true)]
async fn a_start_waits_for_the_first_lists() {
    let mut world = World::start().await;
    let id = id_for(&["west"]);
    let first = world.create(&id).await.unwrap();
    world.set_mode("west", Mode::Down);
    world.restart().await;
    let fleet = world.fleet().clone();
    let asked = id.clone();
    let again =
        tokio::spawn(async move { fleet.create(lifecycle::request::CreateRequest::new(asked)).await });
    pass(2).await;
    world.set_mode("west", Mode::Up);
    assert_eq!(again.await.unwrap().unwrap().pod, first.pod);
}

/// Guards that a GET waits for the first list of a cluster that may have the sandbox, but only soon after the start, and not
/// if another cluster shows the sandbox.
#[tokio::test(start_paused = true)]
async fn a_get_waits_for_the_first_lists() {
    let mut world = World::start().await;
    let (slow, kept) = (id_for(&["west"]), id_for(&["north"]));
    let first = world.create(&slow).await.unwrap();
    world.create(&kept).await.unwrap();
    world.set_mode("west", Mode::Down);
    world.restart().await;
    pass(1).await;
    let asked = Instant::now();
    assert!(world.fleet().get(&kept).await.unwrap().is_some());
    assert!(asked.elapsed() < Duration::from_millis(10), "{:?}", asked.elapsed());
    let (fleet, id) = (world.fleet().clone(), slow.clone());
    let got = tokio::spawn(async move { fleet.get(&id).await });
    pass(2).await;
    world.set_mode("west", Mode::Up);
    assert_eq!(got.await.unwrap().unwrap().unwrap().pod, first.pod);

    world.set_mode("west", Mode::Down);
    world.restart().await;
    let asked = Instant::now();
    for _ in 0..2 {
        assert!(names_cluster(&world.fleet().get(&slow).await.unwrap_err(), "west"));
        assert_eq!(asked.elapsed().as_secs(), budget::FIRST_LIST.as_secs());
    }
}

/// Guards that a list waits for no cluster that was never listed while another can answer, and that without a fresh cluster
/// no answer denies that a sandbox exists.
#[tokio::test(start_paused = true)]
async fn a_list_does_not_wait_for_one_cluster() {
    let mut world = World::start().await;
    world.set_mode("west", Mode::Silent);
    world.restart().await;
    pass(1).await;
    let asked = Instant::now();
    let revision = world.fleet().revision().await.unwrap();
    assert_eq!(world.fleet().list(&revision).await.unwrap().incomplete, [name("west")]);
    assert!(asked.elapsed() < Duration::from_millis(10), "{:?}", asked.elapsed());
    for cluster in ["north", "east"] {
        world.set_mode(cluster, Mode::Silent);
    }
    pass(STALENESS.as_secs() + 2).await;
    assert!(world.fleet().get(&id("unknown")).await.is_err());
    assert!(world.fleet().revision().await.is_err());
}

/// Guards that the older of two twins stays that two replicas have made, whichever cluster has it, and that the choice is
/// the same from the first moment.
#[tokio::test(start_paused = true)]
async fn the_older_twin_stays() {
    for (older, younger) in [("east", "west"), ("west", "east")] {
        let world = World::start().await;
        let id = id("twin");
        world.cluster(older).add(&id, 1);
        world.cluster(younger).add(&id, 2);
        pass(2).await;
        assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().cluster, name(older));
        pass(30).await;
        assert_eq!(world.holders(&id), [older]);
        assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().cluster, name(older));
        world.assert_no_orphans("after the comparison");
    }
}

/// Guards that no twin is deleted for one that cannot be seen: the cluster that has it may have lost it meanwhile.
#[tokio::test(start_paused = true)]
async fn a_twin_stays_while_the_other_is_away() {
    let world = World::start().await;
    let id = id("twin");
    world.set_mode("east", Mode::Down);
    world.cluster("east").add(&id, 1);
    world.cluster("west").add(&id, 2);
    pass(2 * LOSS.as_secs()).await;
    assert_eq!(world.holders(&id), ["east", "west"]);
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().cluster, name("west"));
    world.set_mode("east", Mode::Up);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.holders(&id), ["east"]);
}

/// Guards that nothing is deleted or moved away if two names lead to one cluster, and that operators are told.
#[tokio::test(start_paused = true)]
async fn a_cluster_with_two_names_loses_nothing() {
    let world = World::start().await;
    let (first, second) = (id_for(&["west"]), id_for(&["north"]));
    let made = world.create(&first).await.unwrap();
    world.create(&second).await.unwrap();
    world.cluster("east").copy(world.cluster("west"));
    pass(60).await;
    assert_eq!(world.holders(&first), ["east", "west"]);
    assert_eq!(world.cluster("west").count_of("delete_pod", &first), 0);
    assert_eq!(world.fleet().get(&first).await.unwrap().unwrap().pod, made.pod);
    assert_eq!(world.fleet().list(&world.fleet().revision().await.unwrap()).await.unwrap().items.len(), 2);
    let problems = world.fleet().clusters().await.into_iter().map(|report| report.checks.len());
    assert_eq!(problems.collect::<Vec<_>>(), [0, 0, 1], "east, north, west");

    let until = Instant::now() + Duration::from_secs(20);
    let refused = world.fleet().move_sandbox(first.clone(), &name("west"), until).await.unwrap_err();
    assert!(refused.to_string().ends_with("'east' and 'west' are names of one cluster"), "{refused}");
    pass(60).await;
    assert_eq!(world.holders(&first), ["east", "west"]);
}

/// Guards that two names of one cluster are noticed by its namespace, before it has a sandbox.
#[tokio::test(start_paused = true)]
async fn a_namespace_with_two_names_is_noticed() {
    let world = World::start().await;
    for (cluster, uid) in [("east", "u-1"), ("north", "u-2"), ("west", "u-1")] {
        world.cluster(cluster).state().namespace = Some(Uid(uid.into()));
    }
    pass(11).await;
    let reports = world.fleet().clusters().await;
    let problems: Vec<Vec<_>> = reports
        .into_iter()
        .map(|report| report.checks.into_iter().filter_map(|check| check.outcome.err()).collect())
        .collect();
    let [east, north, west] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!((&east[..], &north[..]), (&[][..], &[][..]));
    assert!(west.len() == 1 && west[0].ends_with(": 'east' is the same"), "{west:?}");
}

/// Guards that a cluster which is added and cannot be reached makes no request about other sandboxes fail, whatever the
/// time-out, and that it takes part once it can be reached.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_cannot_be_added_harms_nothing() {
    for loss_timeout in [None, Some(LOSS)] {
        let mut world = World::with(&["east", "west"], loss_timeout).await;
        let kept = id("kept");
        world.create(&kept).await.unwrap();
        world.add("north", Mode::Silent).await;
        pass(10).await;
        world.create(&id("new")).await.unwrap();
        assert!(world.fleet().get(&kept).await.unwrap().is_some());
        assert!(world.fleet().get(&id("unknown")).await.unwrap().is_none());
        world.fleet().delete(id("unknown"), None).await.unwrap();
        world.fleet().delete(id("new"), None).await.unwrap();

        world.set_mode("north", Mode::Up);
        pass(3).await;
        let first = id_for(&["north"]);
        assert_eq!(world.create(&first).await.unwrap().cluster, name("north"));
        world.set_mode("north", Mode::Silent);
        pass(STALENESS.as_secs() + 2).await;
        assert!(names_cluster(&world.fleet().get(&first).await.unwrap_err(), "north"));
    }
}
