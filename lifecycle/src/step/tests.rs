//! Tests of every path of `step`, and of random histories in a small simulated cluster.

mod discards;
mod doubts;
mod fixture;
mod histories;
mod holds;
mod interpreter;
mod lifetimes;
mod paths;
mod pulls;
mod requirements;
mod resizes;
mod uses;
