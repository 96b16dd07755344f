//! Random histories of the whole daemon but its socket, on an embedded cluster that fails, under a paused clock.
//!
//! Each seed gives another history of clients that create, ask, list and delete while calls are refused, lost
//! or late, watches break, the API server goes away and the daemon is killed. In the end all is made well, and
//! what is left has to be what the clients were told. A failing seed prints itself; `SIMULATION_SEED=n` runs that
//! one alone, and `SIMULATION_SEEDS=n` so many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the seeds to run come from the environment")]

mod simulation {
    pub mod chaos;
    pub mod clients;
    pub mod oracle;
    pub mod world;
}

use simulation::world;

/// How many seeds run without being asked for more.
const SEEDS: u64 = 60;

#[test]
fn every_history_ends_well() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("SIMULATION_SEED") {
        world::run(seed);
        return;
    }
    for seed in 0..number("SIMULATION_SEEDS").unwrap_or(SEEDS) {
        if let Err(panic) = std::panic::catch_unwind(|| world::run(seed)) {
            eprintln!("SIMULATION_SEED={seed} shows it again");
            std::panic::resume_unwind(panic);
        }
    }
}
