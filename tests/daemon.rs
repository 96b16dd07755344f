//! The whole daemon on an embedded cluster, over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod daemon {
    mod adoption;
    mod away;
    mod calls;
    mod contract;
    mod lifetimes;
    #[path = "../support/listen.rs"]
    mod listen;
    mod races;
    mod restart;
    mod support;
    mod urls;
    mod watch;
}
