//! The whole daemon on an embedded cluster, over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod adoption;
mod away;
mod calls;
mod contract;
mod lifetimes;
mod races;
mod restart;
mod urls;
mod watch;
