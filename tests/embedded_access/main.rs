//! The daemon on a cluster with RBAC, over TLS, with the role of `config/rbac.yaml`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod command;
mod deerflow_role;
mod guarded;
mod kubectl;
mod rights;
