//! Moving a sandbox to another cluster.

use std::time::Duration;

use fleet::{Move, backend::Backend};
use futures::future::join_all;
use jiff::Timestamp;
use lifecycle::{
    error::{ClusterErrorKind, SandboxError},
    ids::SandboxId,
    lifetime::{Limits, LimitsPatch, Owner},
    observed::Status,
    phase::Phase,
    placement::{Terms, moving::DataHome, replacement::Replacement, twins::MOVE_PATIENCE},
    request::{Change, CreateRequest},
    spec::Resources,
    workspace::WorkspaceId,
};
use tokio::{task::JoinHandle, time::Instant};

use crate::fake::{World, id, id_for, name, pass};

async fn moved(world: &World, id: &SandboxId, to: &str) -> Result<Option<Move>, SandboxError> {
    let until = Instant::now() + Duration::from_secs(20);
    world.fleet().move_sandbox(id.clone(), &name(to), until).await
}

/// Moves the sandbox to the cluster `east` in a task, for as long as a move can take.
fn moving_east(world: &World, id: &SandboxId) -> JoinHandle<Result<Option<Move>, SandboxError>> {
    let (fleet, id) = (world.fleet().clone(), id.clone());
    tokio::spawn(async move { fleet.move_sandbox(id, &name("east"), Instant::now() + MOVE_PATIENCE).await })
}

/// Guards that a sandbox moves, that it can move back, and that a move to its own cluster changes nothing.
#[tokio::test(start_paused = true)]
async fn a_sandbox_moves_there_and_back() {
    let world = World::start().await;
    let id = id_for(&["west"]);
    let mut last = world.create(&id).await.unwrap();
    for to in ["east", "west", "north"] {
        let Ok(Some(Move::Done(status))) = moved(&world, &id, to).await else { panic!("to {to}") };
        assert_eq!((status.cluster.as_str(), status.ready), (to, true));
        assert_ne!((&status.pod, &status.url), (&last.pod, &last.url));
        assert_eq!(world.cluster(to).replaces(&id), Some(Replacement::Move));
        assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, status.pod);
        pass(3).await;
        assert_eq!(world.holders(&id), [to]);
        last = *status;
    }
    let Ok(Some(Move::Done(status))) = moved(&world, &id, "north").await else { panic!("it is there") };
    assert_eq!(status.pod, last.pod);
    world.assert_no_orphans("after the moves");
}

/// Guards that the old sandbox serves until the new one is ready, and that the caller may ask again meanwhile.
#[tokio::test(start_paused = true)]
async fn the_old_one_serves_until_the_new_one_is_ready() {
    let world = World::start().await;
    let id = id_for(&["west"]);
    let old = world.create(&id).await.unwrap();
    world.cluster("east").state().makes_unready = true;
    let Ok(Some(Move::Underway(status))) = moved(&world, &id, "east").await else {
        panic!("it is not ready")
    };
    assert_eq!(status.pod, old.pod);
    pass(60).await;
    assert_eq!(world.holders(&id), ["east", "west"]);
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, old.pod);
    assert_eq!(world.create(&id).await.unwrap().pod, old.pod, "a POST too");
    for to in ["north", "west"] {
        let again = moved(&world, &id, to).await.unwrap_err();
        assert!(matches!(again, SandboxError::Overloaded { .. }), "{again:?}");
    }
    world.cluster("east").set_phase(&id, Phase::Running, true);
    pass(10).await;
    assert_eq!(world.holders(&id), ["east"]);
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().cluster, name("east"));
}

/// Guards that a sandbox that does not become ready there stays where it is, and that nothing is left there.
#[tokio::test(start_paused = true)]
async fn what_does_not_become_ready_does_not_move() {
    let world = World::start().await;
    let id = id_for(&["west"]);
    let old = world.create(&id).await.unwrap();
    world.cluster("east").state().makes_unready = true;
    let until = Instant::now() + 2 * MOVE_PATIENCE;
    let error = world.fleet().move_sandbox(id.clone(), &name("east"), until).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Sandbox '{id}' cannot move to the cluster 'east': it did not become ready there in time")
    );
    pass(10).await;
    assert_eq!(world.holders(&id), ["west"]);
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, old.pod);
    world.assert_no_orphans("after the move");
}

/// Guards each reason for which a sandbox does not move, and that nothing is written then.
#[tokio::test(start_paused = true)]
async fn a_move_may_be_refused() {
    let mut world = World::start().await;
    let id = id_for(&["west"]);
    world.cluster("west").state().keeps_requests = false;
    world.create(&id).await.unwrap();
    let writes = world.writes();
    let sentence = |error: SandboxError| error.to_string();
    let cannot = format!("Sandbox '{id}' cannot move to the cluster 'east': ");
    assert_eq!(
        sentence(moved(&world, &id, "east").await.unwrap_err()),
        format!("{cannot}its Pod does not say how it was requested; it was made while there was one cluster")
    );
    world.cluster("west").state().keeps_requests = true;
    world.fleet().delete(id.clone(), None).await.unwrap();
    pass(5).await;
    world.create(&id).await.unwrap();
    let writes = (world.writes() > writes).then(|| world.writes()).unwrap();

    for (home, why) in [
        (
            DataHome::Node("/data".to_owned()),
            "its data is below /data on a node of the cluster 'west' and does not move; if both clusters mount the \
             same storage there, set clusters.west.shares_data = true and clusters.east.shares_data = true",
        ),
        (
            DataHome::Workspace(WorkspaceId::of_hash(1)),
            "its workspace 00000000000000000000000000000001 is on the cluster 'west', and workspaces do not move",
        ),
    ] {
        world.cluster("west").state().data_home = Some(home);
        assert_eq!(sentence(moved(&world, &id, "east").await.unwrap_err()), format!("{cannot}{why}"));
    }
    world.cluster("west").state().data_home = None;
    world.set_terms("east", Terms { weight: 0, ..Terms::default() });
    assert_eq!(
        sentence(moved(&world, &id, "east").await.unwrap_err()),
        format!("no cluster can take Sandbox '{id}': east is draining; try again in 30 s")
    );
    assert_eq!(
        sentence(moved(&world, &id, "south").await.unwrap_err()),
        "cluster: there is no cluster 'south'; the clusters are east, north, west"
    );
    assert_eq!(moved(&world, &crate::fake::id("unknown"), "east").await, Ok(None));
    assert_eq!(world.writes(), writes);

    world.cluster("north").refuse("create_pod", ClusterErrorKind::QuotaExceeded);
    assert!(moved(&world, &id, "north").await.is_err());
    assert_eq!(world.holders(&id), ["west"]);
}

/// Guards that sandboxes whose data is on storage that both clusters mount do move.
#[tokio::test(start_paused = true)]
async fn shared_data_may_move() {
    let mut world = World::start().await;
    let id = id_for(&["west"]);
    world.create(&id).await.unwrap();
    for text in ["east", "west"] {
        world.cluster(text).state().data_home = Some(DataHome::Node("/data".to_owned()));
        world.set_terms(text, Terms { shares_data: true, ..Terms::default() });
    }
    assert!(matches!(moved(&world, &id, "east").await, Ok(Some(Move::Done(_)))));
    assert!(moved(&world, &id, "north").await.is_err(), "it has other data");
}

/// Guards that a DELETE during a move deletes both, and that the move brings nothing back, whenever it comes.
#[tokio::test(start_paused = true)]
async fn a_delete_ends_a_move() {
    for after in [0, 500, 1_500, 2_500, 10_000] {
        let world = World::start().await;
        let id = id_for(&["west"]);
        world.create(&id).await.unwrap();
        let east = world.cluster("east");
        east.state().makes_unready = true;
        east.delay("create_pod", Duration::from_secs(1));
        east.delay("create_service", Duration::from_secs(2));
        let running = moving_east(&world, &id);
        tokio::time::sleep(Duration::from_millis(after)).await;
        assert_eq!(world.fleet().delete(id.clone(), None).await, Ok(()), "after {after} ms");
        let outcome = running.await.unwrap();
        assert!(matches!(outcome, Ok(None) | Err(_)), "after {after} ms: {outcome:?}");
        pass(120).await;
        assert_eq!(world.holders(&id), [""; 0], "after {after} ms");
        world.assert_no_orphans("after the delete");
    }
}

/// Guards that a DELETE during the checks before a move ends it, also if the checks still see the sandbox.
#[tokio::test(start_paused = true)]
async fn a_delete_during_the_checks_ends_a_move() {
    let world = World::start().await;
    let id = id_for(&["west"]);
    world.create(&id).await.unwrap();
    for call in ["read_request", "delete_pod"] {
        world.cluster("west").delay(call, Duration::from_millis(500));
    }
    let running = moving_east(&world, &id);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(world.fleet().delete(id.clone(), None).await, Ok(()));
    assert_eq!(running.await.unwrap(), Ok(None));
    pass(120).await;
    assert_eq!(world.holders(&id), [""; 0]);
}

/// Guards that a sandbox whose replacement disappears before it is ready stays where it is, and that its caller learns why.
#[tokio::test(start_paused = true)]
async fn a_replacement_that_disappears_ends_the_move() {
    let world = World::start().await;
    let id = id_for(&["west"]);
    let old = world.create(&id).await.unwrap();
    world.cluster("east").state().makes_unready = true;
    let running = moving_east(&world, &id);
    pass(5).await;
    world.cluster("east").lose(&id);
    assert_eq!(
        running.await.unwrap().unwrap_err().to_string(),
        format!("Sandbox '{id}' cannot move to the cluster 'east': it was deleted there before it was ready")
    );
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, old.pod);
    assert_eq!(world.holders(&id), ["west"]);
}

/// Guards that a shutdown ends a move, that the sandbox stays, and that the caller learns to ask again.
#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_a_move() {
    let world = World::start().await;
    let id = id_for(&["west"]);
    world.create(&id).await.unwrap();
    world.cluster("east").state().makes_unready = true;
    let running = moving_east(&world, &id);
    pass(5).await;
    world.fleet().end_waits();
    let error = running.await.unwrap().unwrap_err();
    assert!(matches!(error, SandboxError::ShuttingDown { .. }), "{error:?}");
    assert_eq!(world.holders(&id), ["west"]);
}

/// Guards that moves at the same time do not exceed the maximum of a cluster.
#[tokio::test(start_paused = true)]
async fn moves_at_once_keep_to_the_maximum() {
    let mut world = World::start().await;
    let ids: Vec<_> = (0..4).map(|number| id(&format!("m{number}"))).collect();
    for id in &ids {
        let request = CreateRequest { cluster: Some(name("west")), ..CreateRequest::new(id.clone()) };
        world.fleet().create(request).await.unwrap();
    }
    world.set_terms("east", Terms { max_sandboxes: Some(2), ..Terms::default() });
    let outcomes = join_all(ids.iter().map(|id| moved(&world, id, "east"))).await;
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err().map(ToString::to_string));
    assert!(
        refused.clone().all(|error| error.contains("east has reached its max_sandboxes of 2")),
        "{outcomes:?}"
    );
    assert_eq!(refused.count(), 2, "{outcomes:?}");
    pass(10).await;
    assert_eq!((world.cluster("east").complete(), world.cluster("west").complete()), (2, 2));
}

/// Guards that a cluster that was added knows the others' sandboxes: a move to an unknown id is not one.
#[tokio::test(start_paused = true)]
async fn an_unknown_sandbox_does_not_move() {
    let world = World::start().await;
    assert_eq!(moved(&world, &id("nothing"), "east").await, Ok(None));
}

/// Returns limits in hours.
fn limits(ttl: u64, idle_timeout: Option<u64>) -> Limits {
    let hours = |count: u64| Duration::from_secs(3600 * count);
    Limits { ttl: Some(hours(ttl)), idle_timeout: idle_timeout.map(hours) }
}

/// Creates a sandbox on the cluster `west` with these limits.
async fn with_limits(world: &World, limits: Limits) -> Status {
    let id = id_for(&["west"]);
    world.fleet().create(CreateRequest { limits, ..CreateRequest::new(id) }).await.unwrap()
}

fn expires_at(status: &Status) -> Timestamp {
    status.expiry.unwrap().expires_at
}

/// Guards that the time to live goes on: a sandbox expires when it would have expired without its moves, also after a restart,
/// and never earlier.
#[tokio::test(start_paused = true)]
async fn a_move_does_not_prolong_the_time_to_live() {
    let mut world = World::start().await;
    let id = id_for(&["west"]);
    let created = with_limits(&world, limits(1, None)).await;
    for to in ["east", "north"] {
        pass(600).await;
        let Ok(Some(Move::Done(status))) = moved(&world, &id, to).await else { panic!("to {to}") };
        let late = expires_at(&status).duration_since(expires_at(&created));
        assert!((0..=1000).contains(&late.as_millis()), "to {to}: {late}");
    }
    pass(10).await;
    world.restart().await;
    pass(2).await;
    let adopted = world.fleet().get(&id).await.unwrap().unwrap();
    let late = expires_at(&adopted).duration_since(expires_at(&created));
    assert!((0..=1000).contains(&late.as_millis()), "after a restart: {late}");
    pass(2300).await;
    assert_eq!(world.holders(&id), ["north"]);
    pass(200).await;
    assert_eq!(world.holders(&id), [""; 0]);
}

/// Guards that a move keeps limits and resources that were changed before it.
#[tokio::test(start_paused = true)]
async fn a_move_keeps_changes() {
    let world = World::start().await;
    let id = id_for(&["west"]);
    with_limits(&world, limits(1, None)).await;
    let resources = Resources { cpu: Some("2".to_owned()), ..Resources::NONE };
    let wanted = limits(5, Some(2));
    let patch = LimitsPatch { ttl: Some(wanted.ttl), idle_timeout: Some(wanted.idle_timeout) };
    let change = Change { limits: patch, resources: resources.clone() };
    world.fleet().change(id.clone(), change, Owner::parse("gateway-1")).await.unwrap();
    let Ok(Some(Move::Done(status))) = moved(&world, &id, "east").await else { panic!("it can move") };
    assert_eq!(*status.spec.resources, resources);
    let annotations = world.cluster("east").annotations(&id);
    assert_eq!(annotations.limits, wanted);
    assert_eq!(annotations.owner, Owner::parse("gateway-1"));
}

/// Guards that what happens to the old sandbox while the new one starts is not lost: limits, resources, the owner and the last
/// use.
#[tokio::test(start_paused = true)]
async fn changes_during_a_move_are_repeated() {
    for is_patched in [true, false] {
        let world = World::start().await;
        let id = id_for(&["west"]);
        with_limits(&world, limits(9, Some(1))).await;
        world.cluster("east").state().makes_unready = true;
        assert!(matches!(moved(&world, &id, "east").await, Ok(Some(Move::Underway(_)))));
        pass(120).await;
        let (fleet, owner) = (world.fleet(), Owner::parse("gateway-1"));
        let resources = Resources { memory: Some("4Gi".to_owned()), ..Resources::NONE };
        let used = if is_patched {
            let patch = LimitsPatch { ttl: None, idle_timeout: Some(limits(9, Some(3)).idle_timeout) };
            let change = Change { limits: patch, resources: resources.clone() };
            fleet.change(id.clone(), change, owner.clone()).await
        } else {
            fleet.touch(id.clone(), owner.clone()).await
        };
        let used = used.unwrap().unwrap().expiry.unwrap().idle_since;
        pass(60).await;
        world.cluster("east").set_phase(&id, Phase::Running, true);
        pass(10).await;
        assert_eq!(world.holders(&id), ["east"]);
        let status = world.fleet().get(&id).await.unwrap().unwrap();
        assert!(status.expiry.unwrap().idle_since >= used);
        let annotations = world.cluster("east").annotations(&id);
        assert_eq!(annotations.owner, owner);
        let (wanted, idle) = if is_patched { (resources, 3) } else { (Resources::NONE, 1) };
        assert_eq!(*status.spec.resources, wanted);
        assert_eq!(annotations.limits, limits(9, Some(idle)));
    }
}

/// Guards that a sandbox stays where it is if a change during its move cannot be repeated on the other cluster.
#[tokio::test(start_paused = true)]
async fn a_change_that_fails_there_ends_the_move() {
    let world = World::start().await;
    let id = id_for(&["west"]);
    let old = world.create(&id).await.unwrap();
    let east = world.cluster("east");
    east.state().makes_unready = true;
    east.refuse("resize", ClusterErrorKind::NotSupported);
    assert!(matches!(moved(&world, &id, "east").await, Ok(Some(Move::Underway(_)))));
    let resources = Resources { cpu: Some("2".to_owned()), ..Resources::NONE };
    world.fleet().change(id.clone(), resources.clone().into(), None).await.unwrap();
    east.set_phase(&id, Phase::Running, true);
    pass(30).await;
    assert_eq!(world.holders(&id), ["west"]);
    let status = world.fleet().get(&id).await.unwrap().unwrap();
    assert_eq!((&status.pod, &*status.spec.resources), (&old.pod, &resources));
}
