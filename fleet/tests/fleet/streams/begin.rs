//! The beginning of a stream, and the end of all streams.

use std::time::Duration;

use fleet::backend::Backend;
use lifecycle::error::SandboxError;
use tokio::time::{Instant, sleep, timeout};

use super::{
    follower::{Follower, show},
    world::{Cluster, STREAMS_MAX, World, id, start},
};

/// Guards that a stream begins without the sandboxes of a cluster that is away, as a list does, that it names the cluster, and
/// that it sends them when the cluster is back.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_away_comes_later() {
    let world = World::of(&["east", "west"]).await;
    world.show(0, &id("a"), false);
    world.show(1, &id("b"), false);
    world.away(1).await;
    let mut follower = Follower::new(None);
    follower.resume(&world).await;
    assert_eq!(follower.drain(&world), ["stale west", "added a east", "synced"]);
    world.show(1, &id("c"), false);
    world.remove(1, &id("b"));
    world.show(0, &id("d"), false);
    assert_eq!(follower.drain(&world), ["added d east"]);
    world.back(1);
    assert_eq!(follower.drain(&world), ["added c west", "fresh west", "synced"]);
}

/// Guards that a client that continues a list without a cluster gets the sandboxes of the cluster when it is back, and no
/// other sandbox again.
#[tokio::test(start_paused = true)]
async fn a_list_without_a_cluster_is_continued() {
    let world = World::of(&["east", "west"]).await;
    world.show(0, &id("a"), false);
    world.show(1, &id("b"), false);
    world.away(1).await;
    let mut follower = Follower::new(None);
    follower.list(&world).await;
    world.remove(0, &id("a"));
    follower.resume(&world).await;
    assert_eq!(follower.drain(&world), ["stale west", "deleted a", "synced"]);
    let before = follower.last_id.clone();
    world.back(1);
    let rest = ["added b west", "fresh west", "synced"];
    assert_eq!(follower.drain(&world), rest);
    follower.last_id = before;
    follower.resume(&world).await;
    assert_eq!(follower.drain(&world), ["added b west", "synced"], "it disconnected before them");
}

/// Guards that a client that disconnects within the present state, which it has of one cluster and not of the other, gets the
/// rest without a reset.
#[tokio::test(start_paused = true)]
async fn a_present_state_is_resumed() {
    let world = World::of(&["east", "west"]).await;
    for name in ["a", "b", "c"] {
        world.show(0, &id(name), false);
        world.show(1, &id(&format!("{name}-west")), false);
    }
    for read in 1..7 {
        let mut follower = Follower::new(None);
        follower.resume(&world).await;
        let first = follower.read(&world, read);
        world.remove(0, &id("a"));
        world.remove(1, &id("c-west"));
        follower.resume(&world).await;
        let second = follower.drain(&world);
        assert!(![&first[..], &second[..]].concat().contains(&"reset".to_owned()), "{first:?} {second:?}");
        assert!(follower.is_complete);
        assert_eq!(follower.copy, world.listed().await.unwrap().0, "{first:?} {second:?}");
        world.show(0, &id("a"), false);
        world.show(1, &id("c-west"), false);
    }
}

/// Guards that one cluster whose changes were missed leads to one reset, then to the present state of all clusters and one
/// `synced`, and that a client that disconnects after the reset loses nothing.
#[tokio::test(start_paused = true)]
async fn a_reset_of_one_is_a_reset_of_all() {
    let many = |world: &World| (0..5000).for_each(|_| world.show(1, &id("b"), false));
    let world = World::of(&["east", "west"]).await;
    world.show(0, &id("a"), false);
    let mut follower = Follower::new(None);
    follower.resume(&world).await;
    follower.drain(&world);
    many(&world);
    assert_eq!(follower.read(&world, 1), ["reset"]);
    assert!(!follower.is_complete);
    follower.resume(&world).await;
    follower.drain(&world);
    assert_eq!(follower.copy, world.listed().await.unwrap().0);
    many(&world);
    assert_eq!(follower.drain(&world), ["reset", "added a east", "url b west", "synced"]);
}

/// Guards that a position of another process leads to a reset.
#[tokio::test(start_paused = true)]
async fn a_position_of_another_process_is_a_reset() {
    let world = World::of(&["east", "west"]).await;
    world.show(0, &id("a"), false);
    for position in ["0000002a-7.0000003b-9", "0000002a-0.0000003b-0", "x"] {
        let mut follower = Follower::new(None);
        follower.last_id = Some(position.to_owned());
        follower.resume(&world).await;
        assert_eq!(follower.drain(&world), ["reset", "added a east", "synced"], "{position}");
    }
}

/// Guards that a stream fails only if all clusters are away, with the error of a list, and that after the start it waits for the
/// first cluster that is listed, and not for all.
#[tokio::test(start_paused = true)]
async fn a_stream_needs_one_cluster() {
    let world = World::unlisted(&["east", "west"]).await;
    let begin = Instant::now();
    let error = world.fleet.changes(start(None)).await.unwrap_err();
    assert_eq!(error, world.fleet.revision().await.unwrap_err());
    assert!(begin.elapsed() > Duration::ZERO);
    let listed = async {
        sleep(Duration::from_millis(10)).await;
        world.list(1);
    };
    let (begin, (mut opened, ())) = (Instant::now(), tokio::join!(world.open(None), listed));
    assert!(begin.elapsed() < Duration::from_millis(20));
    assert_eq!(show(&opened.read().unwrap()), "stale east");
    world.away(1).await;
    let error = world.fleet.changes(start(None)).await.unwrap_err();
    assert_eq!(error, world.fleet.revision().await.unwrap_err());
}

/// Guards that a stream of all clusters takes one permit, and gives it back.
#[tokio::test(start_paused = true)]
async fn a_stream_takes_one_permit() {
    let world = World::of(&["east", "north", "west"]).await;
    let a = id("a");
    world.show(2, &a, false);
    let mut open = Vec::new();
    for n in 0..STREAMS_MAX {
        let of_one = n % 2 == 0;
        let one = if of_one { world.open_one(&a, None).await.unwrap() } else { None };
        open.push(if let Some(one) = one { one } else { world.open(None).await });
    }
    let is_full = |error: SandboxError| matches!(error, SandboxError::Overloaded { .. });
    assert!(world.fleet.changes(start(None)).await.is_err_and(is_full));
    assert!(world.open_one(&a, None).await.is_err_and(is_full));
    open.pop();
    world.open(None).await;
}

/// Guards that open streams end at once when a cluster is added, also on a fleet of one, and that a client that connects again
/// gets the sandboxes of the new cluster and no reset.
#[tokio::test(start_paused = true)]
async fn a_new_cluster_joins() {
    for names in [&["east", "north"][..], &["north"]] {
        let mut world = World::of(names).await;
        world.show(0, &id("a"), false);
        let (mut all, mut one) = (Follower::new(None), Follower::new(Some(id("a"))));
        for follower in [&mut all, &mut one] {
            follower.resume(&world).await;
            follower.drain(&world);
        }
        let notified = world.open(None).await.notified();
        let new = Cluster::start("west").await;
        world.fleet.add(new.member.clone());
        timeout(Duration::from_millis(1), notified).await.expect("the readers are woken");
        let west = world.clusters.len();
        world.clusters.push(new);
        world.list(west);
        world.show(west, &id("b"), false);
        for follower in [&mut all, &mut one] {
            assert_eq!(follower.drain(&world), ["end"]);
            follower.resume(&world).await;
        }
        assert_eq!(all.drain(&world), ["added b west", "synced"]);
        assert_eq!(one.drain(&world), ["synced"]);
        assert_eq!(all.copy, world.listed().await.unwrap().0);
    }
}

/// Guards that all streams end when the daemon drains, and that later ones are refused.
#[tokio::test(start_paused = true)]
async fn streams_end_with_the_drain() {
    let world = World::of(&["east", "west"]).await;
    world.show(0, &id("a"), false);
    let mut streams = [world.open(None).await, world.open_one(&id("a"), None).await.unwrap().unwrap()];
    world.fleet.end_waits();
    for stream in &mut streams {
        assert_eq!(show(&stream.read().unwrap()), "end");
    }
    let error = world.fleet.changes(start(None)).await.unwrap_err();
    assert!(matches!(error, SandboxError::ShuttingDown { .. }));
}
