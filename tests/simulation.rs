//! The whole daemon but its socket, on an embedded cluster that fails, with all on one thread under a paused clock.
//!
//! [`simulation::seeds`] draws random histories of clients, faults, kills and steps of the clock from seeds;
//! [`simulation::kill_points`] kills the process before and after every call that each operation makes, and at each pair
//! of operations; [`simulation::outages`] and [`simulation::churn`] are long stretches of one trouble. Every answer and
//! what is left in the end are judged by one [`simulation::oracle`].
//!
//! `SIMULATION_SEED=n` runs one history and prints it, `SIMULATION_SEEDS=n` so many instead of the usual ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the seeds to run come from the environment")]

mod simulation {
    pub mod chaos;
    pub mod churn;
    pub mod clients;
    pub mod history;
    pub mod kill_points;
    pub mod operations;
    pub mod oracle;
    pub mod outages;
    pub mod seeds;
    pub mod strangers;
    pub mod world;
}
