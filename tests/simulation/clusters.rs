//! Random histories of a daemon on three clusters, each of which fails for itself.

mod chaos;
mod clients;
mod counts;
mod kill_points;
mod oracle;
mod world;

use std::time::Duration;

use fastrand::Rng;
use http::Method;
use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use self::{counts::Counts, world::World};
use super::{
    follower::{self, Copy},
    history::History,
    seeds::{run_all, run_one, run_twice},
};

/// The default number of histories.
const SEEDS: u64 = 20;

/// The time during which clients and faults are active, in simulated time.
const TURMOIL: Duration = Duration::from_secs(400);

/// Runs the history of a seed, and returns its counts.
async fn life(seed: u64, history: History) -> Counts {
    let mut rng = Rng::with_seed(seed);
    let world = World::new(seed, history).await;
    let copy = Copy::default();
    let mut forever = JoinSet::new();
    forever.spawn_local(follower::follow(world.daemon.clone(), rng.fork(), copy.clone()));
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn_local(clients::live(world.clone(), rng.fork(), TURMOIL));
    }
    clients.spawn_local(clients::relocate(world.clone(), rng.fork(), TURMOIL));
    let mut faults = JoinSet::new();
    if rng.u8(0..3) == 0 {
        faults.spawn_local(chaos::lose_in_turn(world.clone(), rng.fork()));
    } else {
        for n in 0..world.clusters.len() {
            faults.spawn_local(chaos::reign(world.clone(), n, rng.fork()));
        }
        faults.spawn_local(chaos::kill(world.clone(), rng.fork()));
    }
    faults.spawn_local(chaos::observe(world.clone()));
    while let Some(client) = clients.join_next().await {
        resume_panic(client);
    }
    faults.abort_all();
    while let Some(fault) = faults.join_next().await {
        resume_panic(fault);
    }
    world.calm_down().await;
    let is_same = async {
        loop {
            let list = world.daemon.insist(Method::GET, "/api/sandboxes?limit=1000", None, &[200]).await;
            if copy.equals(&list.body) {
                return;
            }
            sleep(Duration::from_secs(5)).await;
        }
    };
    let is_same = timeout(Duration::from_secs(90), is_same).await;
    assert!(is_same.is_ok(), "a client that follows the events does not know the sandboxes: {}", copy.text());
    forever.abort_all();
    while let Some(follower) = forever.join_next().await {
        resume_panic(follower);
    }
    *world.counts.borrow()
}

fn resume_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Guards that under outages, drains, full clusters, moves and kills in any order each sandbox is on at most one cluster in the
/// end, that none is lost or returns after its deletion, that no answer denies a sandbox that exists, that a list names the
/// clusters that it leaves out, that a sandbox is made again elsewhere only when its cluster was away for long, that two URLs of
/// a sandbox do not both live for long, that a replacement counts while its cluster is away, that a workspace is on one cluster,
/// and that a copy by the events equals the list. Guards that the histories contain enough of all this.
#[test]
fn every_history_of_three_clusters_ends_well() {
    let total = Mutex::new(Counts::default());
    let run = async |seed, history| {
        let counts = life(seed, history).await;
        *total.lock() += counts;
    };
    let seeds = run_all(SEEDS, |seed| run_one(seed, run));
    let total = total.into_inner();
    println!("{seeds} histories: {total:?}");
    if seeds >= SEEDS {
        total.check();
    }
}

/// Guards that a seed leads to the same history each time, because only then a printed seed is useful.
#[test]
fn a_seed_decides_all() {
    let run = async |seed, history| {
        life(seed, history).await;
    };
    run_twice(1_000_000, |seed| run_one(seed, run));
}
