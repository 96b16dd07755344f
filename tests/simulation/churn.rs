//! Many sandboxes that come and go, and a daemon that dies again and again in the middle of it.

use std::time::Duration;

use fastrand::Rng;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    clients,
    history::History,
    oracle::Limits,
    world::{World, simulate},
};

/// Creates and deletes together.
const DEEDS: u32 = 10_000;

/// How many callers there are, each with sandboxes of its own.
const CALLERS: u32 = 20;

async fn come_and_go(world: World, caller: u32, mut rng: Rng) {
    for _ in 0..DEEDS / CALLERS {
        let id = format!("s-{caller}-{}", rng.u8(0..4));
        if rng.bool() {
            clients::create(&world, &id, Limits::default()).await;
        } else {
            clients::delete(&world, &id, Limits::default()).await;
        }
        sleep(Duration::from_millis(rng.u64(0..400))).await;
    }
}

/// Invariants 1 to 4: whatever the process was at when it died, nothing is left without its other half, nothing that was
/// acknowledged to be there is missing, and nothing that was acknowledged to be gone is there.
#[test]
fn ten_thousand_creates_and_deletes_with_kills_leave_no_orphan() {
    simulate(11, async {
        let mut rng = Rng::with_seed(11);
        let world = World::new(11, History::default()).await;
        let begun = Instant::now();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            callers.spawn_local(come_and_go(world.clone(), caller, rng.fork()));
        }
        let everybody = async { while let Some(()) = callers.join_next().await.transpose().unwrap() {} };
        let mut kills = 0;
        let death = async {
            loop {
                sleep(Duration::from_micros(rng.u64(1..3_000_000))).await;
                world.kill_daemon();
                kills += 1;
                sleep(Duration::from_millis(rng.u64(0..500))).await;
                world.start_daemon().await;
            }
        };
        tokio::select! {
            biased;
            () = everybody => {}
            () = death => {}
        }
        println!("{DEEDS} creates and deletes in {:?}, {kills} kills", begun.elapsed());
        assert!(kills > 20, "{kills} kills");
        world.calm_down().await;
    });
}
