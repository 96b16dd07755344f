//! Fixtures of the tests and benchmarks of the whole daemon.
//!
//! - [`Daemon`] runs in the test's process, on an embedded cluster. [`Setup`] changes its settings and its cluster.
//! - [`Process`] is the real program.
//! - [`ServedCluster`] is an embedded cluster on a port, for a daemon that reaches it through a kubeconfig.
//! - [`Client`] calls the HTTP API of any of them and returns an [`Answer`], [`Events`] or
//!   [`Lines`].

#![allow(clippy::missing_panics_doc, reason = "a fixture panics to fail the test")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a fixture panics to fail the test"
)]

mod answer;
mod client;
mod cluster;
pub mod contract;
mod daemon;
mod events;
mod lines;
mod log;
mod process;
mod wait;

pub use self::{
    answer::Answer,
    client::{Client, NoAnswer},
    cluster::{ServedCluster, object_names},
    daemon::{Daemon, Setup, settings},
    events::{Event, Events},
    lines::Lines,
    log::{Log, listen},
    process::{Process, command},
    wait::{until, within},
};

/// The default namespace of sandboxes.
pub const NAMESPACE: &str = "deer-flow";
