//! Each fault, switched on in the embedded cluster or around it, gives exactly its code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod api_server;
mod certificates;
mod daemon;
mod fixture;
mod kubeconfig;
mod namespace;
mod nodes;
mod output;
mod rights;
mod sandboxes;
mod secrets;
mod storage;
