//! The stream of one sandbox.

use lifecycle::error::SandboxError;

use super::{
    follower::Follower,
    world::{World, id},
};

async fn follow(world: &World) -> Follower {
    let mut follower = Follower::new(Some(id("a")));
    follower.resume(world).await;
    follower
}

/// Guards that the stream goes on over a move, sees a sandbox that appears on another cluster, and ends when no cluster shows
/// the sandbox.
#[tokio::test(start_paused = true)]
async fn it_goes_on_over_a_move() {
    let (world, a) = (World::of(&["east", "north", "west"]).await, id("a"));
    world.show(0, &a, false);
    world.show(1, &id("b"), false);
    let mut follower = follow(&world).await;
    assert_eq!(follower.drain(&world), ["added a east", "synced"]);
    world.show(1, &id("b"), false);
    assert_eq!(follower.drain(&world), [""; 0]);
    for (from, to, wanted) in
        [(0, 2, "replaced a west"), (2, 1, "replaced a north"), (1, 0, "replaced a east")]
    {
        world.show_moving(to, &a, true);
        assert_eq!(follower.drain(&world), [wanted]);
        world.remove(from, &a);
        assert_eq!(follower.drain(&world), [""; 0]);
    }
    world.remove(0, &a);
    assert_eq!(follower.drain(&world), ["deleted a", "end"]);
    assert!(world.open_one(&a, None).await.unwrap().is_none());
}

/// Guards that a client that connects again after a move, or after the end, gets the changes that it has missed.
#[tokio::test(start_paused = true)]
async fn it_is_resumed_over_a_move() {
    let (world, a) = (World::of(&["east", "west"]).await, id("a"));
    world.show(0, &a, false);
    let mut follower = follow(&world).await;
    follower.drain(&world);
    world.show_moving(1, &a, true);
    world.remove(0, &a);
    follower.resume(&world).await;
    assert_eq!(follower.drain(&world).last().unwrap(), "synced");
    assert_eq!(follower.copy[&a].cluster.as_str(), "west");
    world.remove(1, &a);
    follower.resume(&world).await;
    let told = follower.drain(&world);
    assert_eq!(told[told.len() - 2..], ["synced", "end"]);
    assert!(follower.copy.is_empty());
}

/// Guards that the stream fails as a GET does while a cluster that may have the sandbox is away, that it begins on the clusters
/// that are fresh otherwise, and that it does not end while a cluster that is away may have the sandbox.
#[tokio::test(start_paused = true)]
async fn it_waits_for_a_cluster_that_is_away() {
    let (world, a) = (World::of(&["east", "west"]).await, id("a"));
    world.show(1, &a, false);
    world.away(1).await;
    let error = world.open_one(&a, None).await.unwrap_err();
    assert!(matches!(error, SandboxError::ClusterAway { .. }), "{error:?}");
    assert!(world.open_one(&id("b"), None).await.unwrap().is_none());
    world.show(0, &a, true);
    let mut follower = follow(&world).await;
    assert_eq!(follower.drain(&world), ["stale west", "added a east", "synced"]);
    world.remove(0, &a);
    assert_eq!(follower.drain(&world), ["deleted a"], "it does not end");
    world.back(1);
    assert_eq!(follower.drain(&world), ["added a west", "fresh west", "synced"]);
    world.remove(1, &a);
    assert_eq!(follower.drain(&world), ["deleted a", "end"]);
}
