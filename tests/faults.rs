//! Faults, one by one, on the whole daemon but its socket under a paused clock: what its caller sees, what its operator
//! sees, and how it heals. `docs/failure-modes.md` has the table of them all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod faults {
    mod api_server;
    #[path = "../support/listen.rs"]
    mod listen;
    mod namespace;
    mod objects;
    mod pods;
    mod requests;
    mod watch;
    mod world;
}
