//! Sandboxes that several clusters show.

use fleet::backend::Backend;
use lifecycle::observed::Status;

use super::{
    follower::Follower,
    world::{World, id},
};

/// Connects a client, and lets it read everything.
async fn follow(world: &World) -> Follower {
    let mut follower = Follower::new(None);
    follower.resume(world).await;
    follower.drain(world);
    follower
}

/// Guards that only the changes of the winner are sent, and that the other's state follows as a change when the winner ends.
#[tokio::test(start_paused = true)]
async fn only_the_winner_is_sent() {
    let (world, a) = (World::of(&["east", "west"]).await, id("a"));
    world.show(1, &a, false);
    let mut follower = follow(&world).await;
    world.show(0, &a, false);
    follower.drain(&world);
    assert_eq!(follower.copy[&a].cluster.as_str(), "west", "the older one");
    world.show(0, &a, false);
    assert_eq!(follower.drain(&world), [""; 0]);
    world.show(1, &a, false);
    assert_eq!(follower.drain(&world), ["url a west"]);
    world.remove(1, &a);
    assert_eq!(follower.drain(&world), ["replaced a east"]);
    world.show(0, &a, false);
    assert_eq!(follower.drain(&world), ["url a east"]);
    world.remove(0, &a);
    assert_eq!(follower.drain(&world), ["deleted a"]);
}

/// Guards that a move is one `replaced` with the new cluster, without a `deleted`, also for a client that reads it late or
/// connects again.
#[tokio::test(start_paused = true)]
async fn a_move_is_a_replacement() {
    let (world, a) = (World::of(&["east", "west"]).await, id("a"));
    world.show(0, &a, false);
    let (mut prompt, mut late, mut absent) =
        (follow(&world).await, follow(&world).await, follow(&world).await);
    world.show_moving(1, &a, false);
    prompt.drain(&world);
    assert_eq!(prompt.copy[&a].cluster.as_str(), "east", "it is not ready there");
    world.show_moving(1, &a, true);
    assert_eq!(prompt.drain(&world), ["replaced a west"]);
    world.terminate(0, &a);
    world.remove(0, &a);
    assert_eq!(prompt.drain(&world), [""; 0]);
    world.show_moving(1, &a, true);
    assert_eq!(prompt.drain(&world), ["url a west"]);
    absent.resume(&world).await;
    for (name, follower) in [("late", &mut late), ("absent", &mut absent)] {
        let told = follower.drain(&world);
        assert!(!told.contains(&"deleted a".to_owned()), "{name}: {told:?}");
        assert_eq!(follower.copy, world.listed().await.unwrap().0, "{name}: {told:?}");
    }
}

/// Guards that the state of a fresh cluster is sent when that of the winner becomes stale, as a GET returns it, and that of the
/// winner when it is back; also to a client that has missed one of them.
#[tokio::test(start_paused = true)]
async fn the_winner_is_fresh() {
    let (world, a) = (World::of(&["east", "west"]).await, id("a"));
    world.show(1, &a, false);
    world.show(0, &a, false);
    let (mut prompt, mut absent) = (follow(&world).await, follow(&world).await);
    assert_eq!(prompt.copy[&a].cluster.as_str(), "west");
    world.away(1).await;
    assert_eq!(prompt.drain(&world), ["stale west", "replaced a east"]);
    absent.resume(&world).await;
    absent.drain(&world);
    assert_eq!(absent.copy, prompt.copy);
    world.back(1);
    assert_eq!(prompt.drain(&world), ["fresh west", "replaced a west"]);
    absent.resume(&world).await;
    absent.drain(&world);
    assert_eq!(absent.copy, prompt.copy);
}

/// Guards that a client keeps the last state of a sandbox whose only cluster is stale when its replacement is deleted.
#[tokio::test(start_paused = true)]
async fn the_last_state_of_a_stale_cluster_is_kept() {
    let (world, a) = (World::of(&["east", "west"]).await, id("a"));
    world.show(1, &a, false);
    let mut follower = follow(&world).await;
    world.away(1).await;
    assert_eq!(follower.drain(&world), ["stale west"]);
    world.show(0, &a, true);
    assert_eq!(follower.drain(&world), ["replaced a east"]);
    world.remove(0, &a);
    assert_eq!(follower.drain(&world), ["replaced a west"]);
    world.remove(1, &a);
    world.back(1);
    assert_eq!(follower.drain(&world), ["deleted a", "fresh west"]);
}

/// Guards that a filter of a list that matches only the loser does not show it.
#[tokio::test(start_paused = true)]
async fn a_filter_does_not_show_the_loser() {
    let (world, a) = (World::of(&["east", "west"]).await, id("a"));
    world.show(1, &a, false);
    world.show(0, &a, false);
    let revision = world.fleet.revision().await.unwrap();
    for (cluster, wanted) in [("east", 0), ("west", 1)] {
        let of_cluster = |status: &Status| status.cluster.as_str() == cluster;
        let listing = world.fleet.list_after(&revision, None, of_cluster).await.unwrap();
        assert_eq!(listing.items.len(), wanted, "{cluster}");
    }
}
