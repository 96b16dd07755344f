//! The whole daemon without its socket on an embedded cluster, under a paused clock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bad_profiles;
mod deerflow;
mod events;
mod faults;
mod lists;
mod load;
mod logs;
mod metrics;
mod network;
mod overrides;
mod pod_security;
mod profiles;
mod pulls;
mod readiness;
mod resizes;
mod settings_file;
mod stacks;
mod timeline;
mod workspaces;
