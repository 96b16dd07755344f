//! Random histories of three clusters, and clients that follow them.

use fastrand::Rng;
use fleet::backend::Backend;
use lifecycle::{ids::SandboxId, observed::Status};

use super::{
    follower::Follower,
    world::{World, id},
};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// The number of changes after which a client that has read none of them has missed some.
const MANY: u64 = 4200;

/// Guards that the copy of each client equals the list once it has read everything, apart from the sandboxes of clusters that
/// are stale, and that a client of one sandbox knows what a GET returns: after any history of sandboxes that appear, change,
/// vanish, have twins and move, of clusters that are stale, and of disconnects.
#[tokio::test(start_paused = true)]
async fn every_copy_equals_the_list() {
    for seed in 0..200 {
        history(seed).await;
    }
}

async fn history(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let world = World::of(&["east", "north", "west"]).await;
    let mut followers: Vec<_> = (0..2).map(|_| Follower::new(None)).collect();
    followers.push(Follower::new(Some(id(NAMES[0]))));
    for step in 0..rng.usize(20..150) {
        match rng.u8(0..40) {
            0..24 => change(&world, &mut rng),
            24..26 => outage(&world, &mut rng).await,
            26..34 => {
                let most = rng.usize(1..8);
                rng.choice(&mut followers).unwrap().read(&world, most);
            }
            34..37 => rng.choice(&mut followers).unwrap().resume(&world).await,
            37 => rng.choice(&mut followers).unwrap().forget(),
            38 => {
                let n = rng.usize(0..2);
                followers[n].list(&world).await;
            }
            _ => check(&world, &mut followers, &format!("seed {seed}, step {step}")).await,
        }
        if rng.u16(0..600) == 0 {
            let (n, id) = (rng.usize(0..3), id("busy"));
            (0..MANY).for_each(|_| world.show(n, &id, false));
        }
    }
    check(&world, &mut followers, &format!("seed {seed}, with clusters away")).await;
    for n in 0..3 {
        if world.is_away(n) {
            world.back(n);
        }
    }
    check(&world, &mut followers, &format!("seed {seed}, at the end")).await;
}

fn change(world: &World, rng: &mut Rng) {
    let (n, id) = (rng.usize(0..3), id(rng.choice(NAMES).unwrap()));
    match rng.u8(0..10) {
        0..4 => world.show(n, &id, rng.bool()),
        4..6 => world.show_moving(n, &id, rng.bool()),
        6 => world.terminate(n, &id),
        7..9 => drop(world.remove(n, &id)),
        // A move to another cluster.
        _ if world.remove(n, &id) => world.show_moving((n + 1) % 3, &id, true),
        _ => {}
    }
}

async fn outage(world: &World, rng: &mut Rng) {
    let n = rng.usize(0..3);
    if world.is_away(n) { world.back(n) } else { world.away(n).await }
}

/// Lets all clients read everything, and compares their copies.
async fn check(world: &World, followers: &mut [Follower], when: &str) {
    let listed = world.listed().await.map(|(list, _)| list);
    for (n, follower) in followers.iter_mut().enumerate() {
        if !follower.is_connected() && !follower.has_ended {
            follower.resume(world).await;
        }
        let told = follower.drain(world);
        let is_fresh = |(_, status): &(&SandboxId, &Status)| !world.stale().contains(&status.cluster);
        match (&listed, n) {
            (_, 2) => check_one(world, follower, &format!("{when}: {told:?}")).await,
            (Ok(list), _) => {
                assert_eq!(follower.stale, world.stale(), "{when}, client {n}: {told:?}");
                assert!(follower.is_complete, "{when}, client {n}: {told:?}");
                let mine: Vec<_> = follower.copy.iter().filter(is_fresh).collect();
                let theirs: Vec<_> = list.iter().collect();
                assert_eq!(mine, theirs, "{when}, client {n}: {told:?}");
            }
            // All clusters are away. A stream that is open goes on.
            (Err(_), _) => {}
        }
        assert!(follower.drain(world).is_empty());
    }
}

async fn check_one(world: &World, follower: &mut Follower, when: &str) {
    let id = id(NAMES[0]);
    let copy = follower.copy.get(&id).cloned();
    if world.stale().len() == world.clusters.len() {
        // A stream does not begin, but one that is open goes on.
        return;
    }
    match world.fleet.get(&id).await.map(|shown| shown.map(|shown| Status::clone(&shown))) {
        Ok(None) => {
            assert!(follower.has_ended && copy.is_none(), "{when}: {copy:?}");
        }
        Ok(Some(status)) if follower.has_ended => {
            // The sandbox was made again.
            assert_eq!(copy, None, "{when}: {status:?}");
            follower.resume(world).await;
            follower.drain(world);
            assert_eq!(follower.copy.get(&id), Some(&status), "{when}");
        }
        Ok(status) => assert_eq!(copy, status, "{when}"),
        // A cluster that is away may have it.
        Err(_) => {}
    }
}
