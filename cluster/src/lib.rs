//! All that knows Kubernetes: connection, manifests, writes and the shared watch.
//!
//! ```text
//!   connect ─▸ Connection ─┬─▸ writes ── manifest, names ──▸ POST, DELETE, GET    (lifecycle's `Cluster`)
//!                          ├─▸ watch ── list, events ── lean ── read ──▸ lifecycle's `Watched`
//!                          └─▸ namespace
//!   every call: calls ── fault ── retry or backoff
//! ```
//!
//! Only `fault` looks at status codes, only `read` at labels and states, only `names` knows their texts.

mod backoff;
mod calls;
pub mod connect;
#[cfg(test)]
mod fake;
pub mod fault;
pub mod lean;
pub mod link;
pub mod manifest;
pub mod names;
pub mod namespace;
pub mod read;
pub mod retry;
mod tolerant;
pub mod watch;
pub mod writes;
