//! The page `/ui` in a real Chromium, which `chromedriver` drives. `./dev browser` installs both and runs these tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod accessibility;
mod actions;
mod connection;
mod docs;
mod driver;
mod key;
mod live;
mod modules;
mod page;
mod scroll;
mod security;

/// The path of the program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_sandbox-provisioner");
