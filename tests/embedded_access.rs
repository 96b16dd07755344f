//! The daemon on a cluster that asks for rights, over TLS, with the role that `config/rbac.yaml` gives it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod embedded_access {
    mod command;
    mod deerflow_role;
    mod guarded;
    mod kubectl;
    mod rights;
    #[path = "../daemon/support.rs"]
    #[allow(dead_code, reason = "shared with the tests of the whole daemon, which use all of it")]
    mod support;
}
