//! The contract with DeerFlow's Gateways: what its 2.1 provisioner was recorded to answer, and the request bodies that
//! Gateways of both versions send, on the whole daemon but its socket and an embedded cluster, under a paused clock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod deerflow {
    mod gateways;
    mod recordings;
    mod world;
}
