//! The REST API and its listener with a scripted backend, without actors and a cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod admin;
mod bad_input;
mod client;
mod connections;
mod contract;
mod fake;
mod frontend;
mod lifetimes;
#[path = "../support/listen.rs"]
mod listen;
mod log;
mod server;
