//! The settings: one typed, validated [`Settings`], put together once, before anything else is built.
//!
//! A value comes from the last of these that gives one: the built-in default, the TOML file, an environment
//! variable, a flag. Each value keeps where it came from, so that a bad one can be named to the person who
//! wrote it, and so that `serve --check` can say what is in force and why.
//!
//! ```text
//!   file ─┐
//!   env  ─┼─▸ layers ──▸ resolve ──▸ Settings            keys: every setting's name, default and rule
//!   flags ┘     (text)      │
//!                           └──▸ Problems, all of them, one line each
//! ```
//!
//! Nothing else in this program reads the process environment.

use std::{
    net::{IpAddr, SocketAddr},
    num::{NonZeroU16, NonZeroUsize},
    path::PathBuf,
};

use secrecy::SecretString;

pub mod durations;
pub mod names;
pub mod paths;

use self::{
    durations::{DrainDeadline, StalenessLimit},
    names::{Image, Namespace, NodeHost, PvcName, ServerUrl, TlsServerName},
    paths::HostPath,
};

/// All settings, valid each by itself and together.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The daemon's own HTTP service.
    pub http: Http,
    /// How the cluster is reached and read.
    pub kubernetes: Kubernetes,
    /// What a sandbox's Pod and Service are made of.
    pub sandbox: Sandbox,
    /// Set when the daemon runs on the embedded cluster in place of a real one.
    pub embedded: Option<Embedded>,
    /// What is logged, and in which shape.
    pub log: Log,
}

/// The daemon's own HTTP service.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Who may use `/api`.
    pub auth: Auth,
    /// Connections served at once; a further one waits to be accepted.
    pub max_connections: NonZeroUsize,
    /// How long a shutdown waits for what is in flight.
    pub drain_deadline: DrainDeadline,
}

/// Who may use `/api`.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Whoever sends this key.
    Key(SecretString),
    /// Anybody, because the listen address is a loopback one and no key is configured.
    LoopbackOnly,
    /// Anybody, because `PROVISIONER_AUTH=none` says so.
    Off,
}

/// How the cluster is reached and read.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    /// The namespace that holds the sandboxes; made if missing.
    pub namespace: Namespace,
    /// The kubeconfig; where there is no such file, the in-cluster configuration is used.
    pub kubeconfig: PathBuf,
    /// The API server's address, in place of the kubeconfig's own.
    pub api_server: Option<ServerUrl>,
    /// The name that the API server's certificate is checked against, in place of the kubeconfig's server's.
    pub tls_server_name: Option<TlsServerName>,
    /// Whether the API server's certificate is not checked at all.
    pub insecure_skip_tls_verify: bool,
    /// Calls to the API server in flight at once; each is a connection, as the client speaks HTTP/1.1.
    pub max_in_flight: NonZeroUsize,
    /// How old what is known of the cluster may be before answers become 503.
    pub staleness_limit: StalenessLimit,
}

/// What a sandbox's Pod and Service are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The sandbox container's image.
    pub image: Image,
    /// The port that the sandbox container serves HTTP on.
    pub container_port: NonZeroU16,
    /// How a sandbox is reached.
    pub service_type: ServiceType,
    /// The host part of a `NodePort` sandbox's URL, as it stands in the URL.
    pub node_host: NodeHost,
    /// The directory on the node that holds each thread's `user-data`.
    pub threads_host_path: HostPath,
    /// The DeerFlow state directory on the node; `None` where it was set to nothing.
    pub host_base_dir: Option<HostPath>,
    /// The skills directory on the node in the older layout, mounted as one.
    pub skills_host_path: Option<HostPath>,
    /// The claim that holds the skills, in place of host paths.
    pub skills_pvc: Option<PvcName>,
    /// Where in the skills claim a sandbox's skills are, with `{user_id}` and `{thread_id}` filled in.
    pub skills_pvc_subpath_template: Option<String>,
    /// The claim that holds the users' data, in place of host paths.
    pub userdata_pvc: Option<PvcName>,
    /// The init container's image that brings the Lark command line.
    pub lark_cli_init_image: Option<Image>,
    /// The image of the Lark command line's broker.
    pub lark_cli_broker_image: Option<Image>,
    /// Lark subcommands that the broker refuses, separated by commas; handed on as it is.
    pub lark_broker_deny_subcommands: Option<String>,
}

/// How a sandbox is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceType {
    /// On a port of every node.
    NodePort,
    /// On the Service's own address, inside the cluster only.
    ClusterIp,
}

/// The embedded cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// Where the simulated sandboxes listen, each on its node port.
    pub sandbox_bind: IpAddr,
}

/// What is logged, and in which shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The shape of a log line.
    pub format: LogFormat,
    /// The least severe level that is logged.
    pub level: tracing::Level,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

// === impl ServiceType ===

impl ServiceType {
    /// Reads a Service type as Kubernetes spells it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "NodePort" => Some(Self::NodePort),
            "ClusterIP" => Some(Self::ClusterIp),
            _ => None,
        }
    }
}

// === impl LogFormat ===

impl LogFormat {
    /// Reads a format's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}
