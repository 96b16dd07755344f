//! Tests of every path of `step`, and of random histories in a small simulated cluster.

mod bench;
mod doubts;
mod histories;
mod holds;
mod lives;
mod paths;
mod requirements;
mod uses;
