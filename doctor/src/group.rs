//! The groups of checks.

use std::fmt;

/// A group of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// The settings.
    Settings,
    /// The kubeconfig and the credentials in it.
    Kubeconfig,
    /// The way to the API server, and its health.
    Connection,
    /// The API server's certificate.
    Certificate,
    /// The rights of the daemon.
    Rights,
    /// The namespace of the sandboxes.
    Namespace,
    /// Claims, storage classes and host paths.
    Storage,
    /// The way to sandboxes, and network policies.
    Network,
    /// The nodes.
    Nodes,
    /// The images of sandboxes.
    Images,
    /// The node ports of the cluster.
    NodePorts,
    /// The sandboxes.
    Sandboxes,
    /// The daemon.
    Daemon,
}

// === impl Group ===

impl Group {
    /// All groups, in the order of their codes.
    pub const ALL: [Self; 13] = [
        Self::Settings,
        Self::Kubeconfig,
        Self::Connection,
        Self::Certificate,
        Self::Rights,
        Self::Namespace,
        Self::Storage,
        Self::Network,
        Self::Nodes,
        Self::Images,
        Self::NodePorts,
        Self::Sandboxes,
        Self::Daemon,
    ];

    /// Returns the name on the command line and in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Kubeconfig => "kubeconfig",
            Self::Connection => "connection",
            Self::Certificate => "certificate",
            Self::Rights => "rights",
            Self::Namespace => "namespace",
            Self::Storage => "storage",
            Self::Network => "network",
            Self::Nodes => "nodes",
            Self::Images => "images",
            Self::NodePorts => "node-ports",
            Self::Sandboxes => "sandboxes",
            Self::Daemon => "daemon",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
