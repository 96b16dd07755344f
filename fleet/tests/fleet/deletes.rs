//! DELETE over all clusters.

use std::time::Duration;

use fleet::backend::Backend;
use lifecycle::{
    error::{ClusterErrorKind, SandboxError},
    lifetime::Owner,
    request::CreateRequest,
};

use crate::fake::{Mode, STALENESS, World, id, id_for, pass, request};

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
    assert_eq!(world.cluster("north").count("create_pod", &id), 0);
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
