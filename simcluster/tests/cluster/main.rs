//! The cluster from outside: what a client sees of it, and what the handle does to it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod control;
mod faults;
mod garbage;
mod kube_client;
mod life;
mod node;
mod objects;
mod probes;
mod recorded;
mod refusals;
mod sandboxes;
mod switches;
mod watches;
