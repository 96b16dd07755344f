//! The whole daemon without its socket on a failing embedded cluster, on one thread under a paused clock.
//!
//! [`seeds`] generates histories of clients, faults, kills and clock steps from random seeds. [`kill_points`] kills the
//! process before and after every call of each operation and of each pair of operations. [`outages`] and [`churn`] run
//! one kind of trouble for long. One [`oracle`] checks every answer and the final state. [`clusters`] does the same with a
//! daemon on three clusters.
//!
//! `SIMULATION_SEED=n` runs and prints one history. `SIMULATION_SEEDS=n` sets the number of histories.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the seeds to run come from the environment")]

mod chaos;
mod churn;
mod clients;
mod clusters;
mod daemon;
mod death;
mod follower;
mod foreign_objects;
mod history;
mod kill_points;
mod operations;
mod oracle;
mod outages;
mod seeds;
mod world;
