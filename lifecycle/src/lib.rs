//! The decisions about a sandbox, as pure functions of values.
//!
//! This crate does no I/O. It has no Kubernetes client, actor, HTTP server, environment or wall clock. The other
//! crates (`kubernetes`, `actors`, the HTTP API) convert their data into the types of this crate, and execute what
//! [`step`](step::step) decides.
//!
//! ```text
//!   request ──▸ step(sandbox, event, now) ──▸ (sandbox, actions) ──▸ traits::Cluster
//!                 ▲                                                      │
//!                 └──────────────── outcomes, as events ◂────────────────┘
//! ```

pub mod activity;
pub mod budget;
pub mod error;
pub mod exit;
pub mod hold;
pub mod ids;
pub mod labels;
pub mod lifetime;
pub mod log;
mod named;
pub mod network;
pub mod observed;
pub mod operation;
pub mod phase;
pub mod placement;
pub mod pod_event;
pub mod pull;
pub mod readiness;
pub mod reap_limiter;
pub mod request;
pub mod resize;
pub mod selector;
pub mod spec;
pub mod step;
pub mod text;
pub mod timeline;
pub mod traits;
pub mod workspace;
