//! The adapter to Kubernetes: connection, manifests, writes and the shared watch, for one cluster.
//!
//! ```text
//!   connect ─▸ Connection ─┬─▸ cluster ── manifest, annotations, names ──▸ POST, PATCH, DELETE, GET
//!                          ├─▸ events ──▸ POST of Events
//!                          ├─▸ quota ──▸ LIST of quotas
//!                          ├─▸ exit_logs ──▸ GET of logs
//!                          ├─▸ watch ── kube_runtime ── types ── observe ──▸ lifecycle's `WatchSink`
//!                          ├─▸ version ──▸ GET of the API server's version
//!                          └─▸ namespace
//!   probe ── fetch ──▸ the sandbox itself, and the metrics API
//!   every call: calls ── fault ── retry or backoff
//! ```
//!
//! `cluster::KubeCluster` joins them and implements lifecycle's `Cluster`.
//!
//! Only `fault` looks at status codes, only `observe` and `annotations` at labels, annotations
//! and states, only `spec` at Pod specs, only `names` knows their texts.

mod backoff;
mod calls;
pub mod certificate;
mod client;
mod clock;
pub mod cluster;
pub mod connect;
mod credentials;
mod events;
mod exit_logs;
#[cfg(test)]
mod fake;
pub mod fetch;
pub mod inspect;
mod kept_request;
mod lenient;
pub mod manifest;
mod metrics;
mod namespace;
pub mod network;
pub mod probe;
pub mod profile;
mod quota;
mod retry;
mod spec;
mod tls;
mod version;
mod watch;

// The fuzz targets and the integration tests also need these.
pub mod annotations;
pub mod fault;
pub mod kubeconfig;
pub mod names;
pub mod object;
pub mod observe;
pub mod types;
