//! The event streams of a fleet of several clusters.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod begin;
mod follower;
mod histories;
mod one;
mod silent;
mod twins;
mod world;
