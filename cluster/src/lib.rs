//! All that knows Kubernetes: connection, manifests, writes and the shared watch.

mod backoff;
mod calls;
pub mod connect;
#[cfg(test)]
mod fake;
pub mod fault;
pub mod lean;
pub mod link;
pub mod manifest;
pub mod names;
pub mod namespace;
pub mod read;
pub mod retry;
mod tolerant;
pub mod watch;
pub mod writes;
