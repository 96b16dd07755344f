//! The whole daemon over real sockets, in this process and as a process of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod adoption;
mod away;
mod calls;
mod command_line;
mod contract;
mod doctor;
mod lifetimes;
mod metrics;
mod node_ports;
mod people;
mod prometheus;
mod proxies;
mod races;
mod real_cluster;
mod reload;
mod restart;
mod secrets;
mod shutdown;
mod traces;
mod urls;
mod watch;

/// The path of the program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_sandbox-provisioner");
