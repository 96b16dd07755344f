//! The settings: one typed, validated [`Settings`], put together once, before anything else is built.
//!
//! A value comes from the last of these that gives one: the built-in default, the TOML file, an environment
//! variable, a flag. Each value keeps where it came from, so that a bad one can be named to the person who
//! wrote it, and so that `serve --check` can say what is in force and why.
//!
//! ```text
//!   file ──┐
//!   env  ──┼─▸ layers ──▸ resolve ──▸ Settings         keys: each setting's names, default and rule in words
//!   flags ─┘   (texts)       │                         rules: the same rules as functions
//!                            └──▸ Problems, all of them, one line each
//! ```
//!
//! [`environment::Environment::of_process`] is the only reader of the process environment in this program.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
};

use kubernetes::{
    connect::{Limits, Options},
    manifest::Template,
};
use secrecy::SecretString;

pub mod durations;
pub mod environment;
mod file;
pub mod keys;
pub mod layers;
pub mod lifetimes;
pub mod load;
pub mod problem;
mod resolve;
pub mod rules;
pub mod show;
#[cfg(test)]
mod tests;

use self::{
    durations::{DrainDeadline, DrainDelay, StalenessLimit},
    lifetimes::Lifetimes,
};

/// All settings, valid each by itself and together.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The daemon's own HTTP service.
    pub http: Http,
    /// How the cluster is reached and read.
    pub kubernetes: Kubernetes,
    /// What a sandbox's Pod, Service and URL are made of, the namespace included.
    pub template: Template,
    /// How long sandboxes live.
    pub lifetimes: Lifetimes,
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
    /// The key that `/api` asks for. `None` lets everybody in, which holds on a loopback address only, or
    /// where `PROVISIONER_AUTH=none` says so.
    pub api_key: Option<SecretString>,
    /// Connections open at once; a further one is answered 503 and closed.
    pub max_connections: NonZeroUsize,
    /// How long a shutdown waits for what is in flight.
    pub drain_deadline: DrainDeadline,
    /// For how much of that new connections are still taken, while we are not ready any more.
    pub drain_delay: DrainDelay,
}

/// How the cluster is reached and read.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    /// The kubeconfig; where there is no such file, the in-cluster configuration is used.
    pub kubeconfig: PathBuf,
    /// Whether this process runs in a Pod, whose service account then stands in for a missing kubeconfig.
    pub in_cluster: bool,
    /// The API server's address, in place of the kubeconfig's own.
    pub api_server: Option<http::Uri>,
    /// The name that the API server's certificate is checked against, in place of the kubeconfig's server's.
    pub tls_server_name: Option<String>,
    /// Whether the API server's certificate is not checked at all. To be logged loudly.
    pub insecure_skip_tls_verify: bool,
    /// Calls to the API server in flight at once; each is a connection, as the client speaks HTTP/1.1.
    pub max_in_flight: NonZeroUsize,
    /// How old what is known of the cluster may be before answers become 503.
    pub staleness_limit: StalenessLimit,
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

// === impl Settings ===

impl Settings {
    /// What the manifest builders need.
    #[must_use]
    pub fn template(&self) -> Template {
        self.template.clone()
    }

    /// What connecting to a real cluster needs.
    #[must_use]
    pub fn connect_options(&self) -> Options {
        let Kubernetes {
            kubeconfig,
            in_cluster,
            api_server,
            tls_server_name,
            insecure_skip_tls_verify,
            // By way of the limits.
            max_in_flight: _,
            // The status view's, not the connection's.
            staleness_limit: _,
        } = self.kubernetes.clone();
        Options {
            kubeconfig,
            in_cluster,
            api_server,
            tls_server_name,
            insecure_skip_tls_verify,
            namespace: self.template.namespace.clone(),
            limits: self.limits(),
        }
    }

    /// Bounds on the calls to the cluster, whichever it is.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { in_flight: self.kubernetes.max_in_flight.get(), ..Limits::default() }
    }
}
