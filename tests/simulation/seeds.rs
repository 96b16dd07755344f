//! Random histories, each generated from a seed.

use std::{
    num::NonZero,
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use fastrand::Rng;
use http::Method;
use tokio::{task::JoinSet, time::sleep};

use super::{
    chaos, clients,
    follower::{self, Copy},
    history::History,
    world::{Workspaces, World, simulate},
};

/// The default number of histories.
const SEEDS: u64 = 80;

/// The number of histories that run twice, to check that a seed determines the history.
const TWICE: u64 = 2;

/// The time during which clients and faults are active, in simulated time.
const TURMOIL: Duration = Duration::from_secs(240);

async fn life(seed: u64, history: History) {
    let mut rng = Rng::with_seed(seed);
    let world = World::new(seed, history, Workspaces::Some).await;
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn_local(clients::live(world.clone(), rng.fork(), TURMOIL));
    }
    let everybody = async {
        while let Some(client) = clients.join_next().await {
            if let Err(error) = client {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    };
    let chaos = rng.fork();
    let copy = Copy::default();
    let mut followers = JoinSet::new();
    followers.spawn_local(follower::follow(world.daemon.clone(), rng.fork(), copy.clone()));
    tokio::select! {
        biased;
        () = everybody => {}
        () = chaos::reign(&world, chaos) => {}
    }
    world.calm_down().await;
    check(&world, &copy).await;
    // A panic of the follower shows here.
    followers.abort_all();
    while let Some(Err(error)) = followers.join_next().await {
        if error.is_panic() {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// Checks that a copy becomes the present state.
async fn check(world: &World, copy: &Copy) {
    for _ in 0..120 {
        let list = world.insist(Method::GET, "/api/sandboxes?cluster=default", None, &[200]).await;
        if copy.equals(&list.body) {
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
    panic!("a client that follows the events does not know the sandboxes");
}

fn run(seed: u64) -> History {
    run_one(seed, life)
}

/// Runs the history of a seed. After a failure, prints its end and the seed to run it again.
pub fn run_one(seed: u64, life: impl AsyncFn(u64, History)) -> History {
    History::record(format_args!("SIMULATION_SEED={seed} shows it again"), |history| {
        simulate(seed, life(seed, history.clone()));
        history
    })
}

/// Runs so many histories, or those that the environment asks for. Returns their number.
pub fn run_all(default: u64, run: impl Fn(u64) -> History + Sync) -> u64 {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("SIMULATION_SEED") {
        println!("{}", run(seed).lines().join("\n"));
        return 1;
    }
    let seeds = number("SIMULATION_SEEDS").unwrap_or(default);
    // Each history runs on one thread. Several run in parallel.
    let next = AtomicU64::new(0);
    let work = || {
        let mine =
            std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds));
        let fails = |seed: &u64| std::panic::catch_unwind(AssertUnwindSafe(|| run(*seed))).is_err();
        mine.filter(fails).collect::<Vec<_>>()
    };
    let failed: Vec<_> = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "of {seeds} seeds these fail: {failed:?}");
    seeds
}

/// Guards that under any faults in any order every answer keeps the invariants, and that the final state matches the
/// answers.
#[test]
fn every_history_ends_well() {
    run_all(SEEDS, run);
}

/// Guards that a seed leads to the same history each time, because only then a printed seed is useful.
#[test]
fn a_seed_decides_all() {
    (1_000_000..1_000_000 + TWICE).for_each(|seed| run_twice(seed, run));
}

/// Checks that a seed leads to the same history each time.
pub fn run_twice(seed: u64, run: impl Fn(u64) -> History) {
    let (one, other) = (run(seed).lines(), run(seed).lines());
    if one != other {
        let at = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
        panic!("seed {seed} differs at line {at}:\n{:?}\n{:?}", one.get(at), other.get(at));
    }
}
