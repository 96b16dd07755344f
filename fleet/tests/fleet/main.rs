//! The fleet with real actors on fake clusters, under the paused clock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod deletes;
mod fake;
mod histories;
mod kill_points;
mod losses;
mod moves;
mod placements;
mod streams;
