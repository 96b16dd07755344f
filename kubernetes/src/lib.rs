//! All that knows Kubernetes: connection, manifests, writes and the shared watch.
//!
//! ```text
//!   connect ─▸ Connection ─┬─▸ cluster ── manifest, annotations, names ──▸ POST, PATCH, DELETE, GET
//!                          ├─▸ events ──▸ POST of Events
//!                          ├─▸ watch ── kube_runtime ── types ── observe ──▸ lifecycle's `WatchSink`
//!                          └─▸ namespace
//!   probe ── its own HTTP client ──▸ the sandbox itself, and the metrics API
//!   every call: calls ── fault ── retry or backoff
//! ```
//!
//! `cluster::KubeCluster` joins them and implements lifecycle's `Cluster`.
//!
//! Only `fault` looks at status codes, only `observe` and `annotations` at labels, annotations
//! and states, only `spec` at Pod specs, only `names` knows their texts.

pub mod annotations;
mod backoff;
mod calls;
mod client;
mod clock;
pub mod cluster;
pub mod connect;
mod credentials;
pub mod events;
#[cfg(test)]
mod fake;
pub mod fault;
mod kubeconfig;
mod lenient;
pub mod manifest;
pub mod names;
pub mod namespace;
pub mod object;
pub mod observe;
pub mod probe;
pub mod retry;
mod spec;
mod tls;
pub mod types;
pub mod watch;
