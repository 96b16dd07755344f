//! All that knows Kubernetes: connection, manifests, writes and the shared watch.

pub mod manifest;
pub mod names;
