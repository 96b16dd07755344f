//! The daemon on a cluster with RBAC, over TLS, with the role of `config/rbac.yaml`.

mod command;
mod deerflow_role;
mod guarded;
mod kubectl;
mod rights;
