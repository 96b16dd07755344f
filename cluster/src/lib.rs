//! All that knows Kubernetes: connection, manifests, writes and the shared watch.
