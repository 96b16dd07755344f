//! DELETE over all clusters.

use std::time::Duration;

use fleet::backend::Backend;
use lifecycle::{
    budget,
    error::{ClusterErrorKind, SandboxError},
    ids::SandboxId,
    lifetime::Owner,
    request::CreateRequest,
};

use crate::fake::{LOSS, Mode, STALENESS, World, id, id_for, pass, request};

/// Guards that a DELETE removes the sandbox wherever it is, also its twins, and that one of an unknown id succeeds.
#[tokio::test(start_paused = true)]
async fn a_delete_removes_all_twins() {
    let world = World::start().await;
    let (single, twin) = (id_for(&["west"]), id("twin"));
    world.create(&single).await.unwrap();
    world.cluster("east").add(&twin, 1);
    world.cluster("west").add(&twin, 2);
    pass(2).await;
    for id in [&single, &twin, &id("unknown")] {
        assert_eq!(world.fleet().delete(id.clone(), None).await, Ok(()));
        pass(3).await;
        assert_eq!(world.holders(id), [""; 0]);
        assert!(world.fleet().get(id).await.unwrap().is_none());
    }
    world.assert_no_orphans("after the deletes");
}

/// Guards that a DELETE is not acknowledged while a cluster that has or may have the sandbox is away, and that the error
/// names it; others are deleted as ever.
#[tokio::test(start_paused = true)]
async fn a_delete_is_not_acknowledged_blindly() {
    let world = World::start().await;
    let (lost, kept) = (id_for(&["west"]), id_for(&["north"]));
    world.create(&lost).await.unwrap();
    world.create(&kept).await.unwrap();
    world.set_mode("west", Mode::Down);
    pass(STALENESS.as_secs() + 2).await;
    assert_eq!(world.fleet().delete(kept.clone(), None).await, Ok(()));
    assert!(world.fleet().delete(lost.clone(), None).await.is_err());
    let error = world.fleet().delete(id("unknown"), None).await.unwrap_err();
    assert!(
        matches!(&error, SandboxError::ClusterAway { cluster, .. } if cluster.as_str() == "west"),
        "{error:?}"
    );
    // The deletion is completed when the cluster returns.
    world.set_mode("west", Mode::Up);
    pass(120).await;
    assert_eq!(world.holders(&lost), [""; 0]);
    world.assert_no_orphans("after the return");
}

/// Guards that a DELETE of a sandbox that a fresh cluster shows does not wait for a cluster that was never listed since the
/// start, and that a twin there is deleted when the cluster returns.
#[tokio::test(start_paused = true)]
async fn a_delete_does_not_wait_for_a_cluster_that_was_never_listed() {
    let (world, id) = with_a_twin_that_is_away().await;
    assert_eq!(world.fleet().delete(id.clone(), None).await, Ok(()));
    pass(3).await;
    assert_eq!(world.holders(&id), ["east"]);
    let error = world.fleet().get(&id).await.unwrap_err();
    assert!(matches!(error, SandboxError::ClusterAway { .. }), "it is not a 404: {error:?}");
    world.set_mode("east", Mode::Up);
    pass(120).await;
    assert_eq!(world.holders(&id), [""; 0]);
    assert_eq!(world.fleet().get(&id).await, Ok(None));
    world.assert_no_orphans("after the return");
}

/// Guards that a DELETE of a replacement is not acknowledged while the lost cluster is known to have the older sandbox, that the
/// replacement is deleted nevertheless, and the older one when the cluster returns.
#[tokio::test(start_paused = true)]
async fn a_known_twin_is_never_forgotten() {
    let world = World::start().await;
    let id = id_for(&["west", "east"]);
    world.create(&id).await.unwrap();
    world.set_mode("west", Mode::Down);
    pass(LOSS.as_secs() + STALENESS.as_secs()).await;
    assert_eq!(world.create(&id).await.unwrap().cluster.as_str(), "east");
    let error = world.fleet().delete(id.clone(), None).await.unwrap_err();
    assert!(matches!(error, SandboxError::ClusterAway { .. }), "{error:?}");
    pass(3).await;
    assert_eq!(world.holders(&id), ["west"]);
    world.set_mode("west", Mode::Up);
    pass(120).await;
    assert_eq!(world.holders(&id), [""; 0]);
    assert_eq!(world.fleet().get(&id).await, Ok(None));
}

/// Guards the limit of a deletion that was put off: it is in memory, so a twin is shown again if the daemon ends before the
/// cluster returns.
#[tokio::test(start_paused = true)]
async fn a_restart_forgets_a_twin_that_is_to_be_deleted() {
    let (mut world, id) = with_a_twin_that_is_away().await;
    assert_eq!(world.fleet().delete(id.clone(), None).await, Ok(()));
    world.restart().await;
    world.set_mode("east", Mode::Up);
    pass(120).await;
    assert_eq!(world.holders(&id), ["east"]);
    assert!(world.fleet().get(&id).await.unwrap().is_some());
}

/// Guards that a DELETE which an owner may not make deletes no twin either.
#[tokio::test(start_paused = true)]
async fn a_refused_delete_deletes_no_twin() {
    let (world, id) = with_a_twin_that_is_away().await;
    let refused = world.fleet().delete(id.clone(), Owner::parse("gateway-2")).await;
    assert!(matches!(refused, Err(SandboxError::Owned { .. })), "{refused:?}");
    pass(10).await;
    assert_eq!(
        (world.holders(&id), world.cluster("east").count_of("delete_pod", &id)),
        (vec!["east", "west"], 0)
    );
}

/// Returns clusters of which `west` has a sandbox of an owner, and `east` a younger one with the same id. A new process has
/// never listed `east`.
async fn with_a_twin_that_is_away() -> (World, SandboxId) {
    let mut world = World::start().await;
    let id = id_for(&["west"]);
    let owner = Owner::parse("gateway-1");
    world.fleet().create(CreateRequest { owner, ..CreateRequest::new(id.clone()) }).await.unwrap();
    world.set_mode("east", Mode::Down);
    world.cluster("east").add(&id, 5);
    world.restart().await;
    pass(budget::FIRST_LIST.as_secs() + 1).await;
    (world, id)
}

/// Guards that a DELETE ends the spill-over of an earlier POST: nothing is made on the next cluster after it.
#[tokio::test(start_paused = true)]
async fn a_delete_ends_a_placement() {
    let world = World::start().await;
    let id = id_for(&["west", "north"]);
    world.cluster("west").refuse("create_pod", ClusterErrorKind::QuotaExceeded);
    world.cluster("west").delay("create_pod", Duration::from_secs(3));
    let (fleet, asked) = (world.fleet().clone(), id.clone());
    let create = tokio::spawn(async move { fleet.create(CreateRequest::new(asked)).await });
    pass(1).await;
    assert_eq!(world.fleet().delete(id.clone(), None).await, Ok(()));
    assert!(matches!(create.await.unwrap(), Err(SandboxError::StillTerminating { .. })));
    pass(10).await;
    assert_eq!(world.holders(&id), [""; 0]);
    assert_eq!(world.cluster("north").count_of("create_pod", &id), 0);
    assert!(world.create(&id).await.is_ok(), "a later POST is another request");
}

/// Guards that the lease of an owner holds in a fleet, and that its error is the answer.
#[tokio::test(start_paused = true)]
async fn a_lease_holds() {
    let world = World::start().await;
    let owner = Owner::parse("gateway-1");
    world.fleet().create(CreateRequest { owner, ..request("a") }).await.unwrap();
    let error = world.fleet().delete(id("a"), Owner::parse("gateway-2")).await.unwrap_err();
    assert!(matches!(error, SandboxError::Owned { .. }), "{error:?}");
    assert_eq!(world.holders(&id("a")).len(), 1);
}
