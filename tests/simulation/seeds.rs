//! Random histories, each drawn from a seed.

use std::{
    num::NonZero,
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use fastrand::Rng;
use tokio::task::JoinSet;

use super::{
    chaos, clients,
    history::History,
    world::{World, simulate},
};

/// How many histories run without being asked for more.
const SEEDS: u64 = 200;

/// How many of them run twice, to see that the seed decides all.
const TWICE: u64 = 5;

/// How long clients and faults go on, in a history's own time.
const TURMOIL: Duration = Duration::from_secs(240);

async fn life(seed: u64, history: History) {
    let mut rng = Rng::with_seed(seed);
    let world = World::new(seed, history).await;
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
    tokio::select! {
        biased;
        () = everybody => {}
        () = chaos::reign(&world, rng.fork()) => {}
    }
    world.calm_down().await;
}

/// Runs the history of this seed; a failure prints the end of it, and how to see it again.
fn run(seed: u64) -> History {
    let history = History::default();
    let record = history.clone();
    if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(|| simulate(seed, life(seed, record)))) {
        eprintln!("{}\nSIMULATION_SEED={seed} shows it again", history.tail());
        std::panic::resume_unwind(panic);
    }
    history
}

/// Whatever goes wrong in whatever order: no answer breaks a promise, and in the end what there is is what was told.
#[test]
fn every_history_ends_well() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("SIMULATION_SEED") {
        println!("{}", run(seed).lines().join("\n"));
        return;
    }
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    // Each history keeps to its thread; several of them run beside each other.
    let next = AtomicU64::new(0);
    let work = || {
        let mine =
            std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds));
        mine.filter(|seed| std::panic::catch_unwind(|| run(*seed)).is_err()).collect::<Vec<_>>()
    };
    let failed: Vec<_> = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "of {seeds} seeds these fail: {failed:?}");
}

/// A seed that is printed is worth something only if it leads to the same history each time.
#[test]
fn a_seed_decides_all() {
    for seed in 1_000_000..1_000_000 + TWICE {
        let (one, other) = (run(seed).lines(), run(seed).lines());
        if one != other {
            let at = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
            panic!("seed {seed} differs at line {at}:\n{:?}\n{:?}", one.get(at), other.get(at));
        }
    }
}
