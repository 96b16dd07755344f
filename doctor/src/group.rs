//! The groups of checks.

lifecycle::named! {
    /// A group of checks.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Group {
        /// The settings.
        Settings = "settings",
        /// The kubeconfig and the credentials in it.
        Kubeconfig = "kubeconfig",
        /// The way to the API server, and its health.
        Connection = "connection",
        /// The API server's certificate.
        Certificate = "certificate",
        /// The rights of the daemon.
        Rights = "rights",
        /// The namespace of the sandboxes.
        Namespace = "namespace",
        /// Claims, storage classes and host paths.
        Storage = "storage",
        /// The way to sandboxes, and network policies.
        Network = "network",
        /// The nodes.
        Nodes = "nodes",
        /// The images of sandboxes.
        Images = "images",
        /// The node ports of the cluster.
        NodePorts = "node-ports",
        /// The sandboxes.
        Sandboxes = "sandboxes",
        /// The daemon.
        Daemon = "daemon",
    }
}
