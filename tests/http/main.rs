//! The HTTP API and its listener with a scripted backend, without actors and a cluster, and the recorded requests and
//! manifests of DeerFlow's provisioner.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod admin;
mod bad_input;
mod client;
mod clusters;
mod connections;
mod contract;
mod events;
mod fake;
mod frontend;
mod half_close;
mod lifetimes;
mod list;
mod log;
mod logs;
mod manifests;
mod openapi;
mod overrides;
mod pages;
mod python_bodies;
mod resizes;
mod server;
mod timeline;
mod validation;
mod wait;
