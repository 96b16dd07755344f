//! What should happen to a sandbox, as pure functions of values.
//!
//! This crate is the middle of the program: it knows no Kubernetes client, no actor, no HTTP server, no
//! environment and no wall clock. The edges (`cluster`, `actors`, the program's HTTP routes) translate
//! their world into the types here and carry out what [`step`](step::step) decides.
//!
//! ```text
//!   request ──▸ step(sandbox, event, now) ──▸ (sandbox, actions) ──▸ traits::Cluster
//!                 ▲                                                      │
//!                 └──────────────── outcomes, as events ◂────────────────┘
//! ```

pub mod budget;
pub mod error;
pub mod hold;
pub mod ids;
pub mod lifetime;
pub mod observed;
pub mod phase;
pub mod reap_limiter;
pub mod request;
pub mod spec;
pub mod step;
pub mod traits;
