//! The cluster from outside: the API for clients, and the functions of the handle.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod control;
mod custom_resources;
mod faults;
mod garbage;
mod kube_client;
mod life;
mod node;
mod nodes;
mod objects;
mod probes;
mod recorded;
mod refusals;
mod resize;
mod sandboxes;
mod storage;
mod switches;
mod watches;
