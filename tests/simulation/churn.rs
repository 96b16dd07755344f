//! Many sandboxes are created and deleted while the daemon is killed repeatedly.

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
    world::{Workspaces, World, simulate},
};

/// The total number of creates and deletes.
const DEEDS: u32 = 10_000;

/// The number of callers. Each has its own sandboxes.
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

/// Invariants 1 to 4: guards that kills at any time leave no orphan, that no sandbox is missing after its acknowledged
/// create, and that none exists after its acknowledged delete.
#[test]
fn ten_thousand_creates_and_deletes_with_kills_leave_no_orphan() {
    simulate(11, async {
        let mut rng = Rng::with_seed(11);
        let world = World::new(11, History::default(), Workspaces::None).await;
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
