//! Nothing secret is told: keys, tokens and kubeconfigs are planted with a mark, and the mark is looked for in all
//! that the program says, at every level of its log, and in all that it writes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod secrets {
    mod api_server;
    mod clusters;
    mod kubeconfig;
    mod mark;
    mod panics;
    mod program;
    mod settings;
    #[path = "../daemon/support.rs"]
    #[allow(dead_code, reason = "shared with the tests of the whole daemon, which use all of it")]
    mod support;
}
