//! The settings: a typed, validated [`Settings`], built once before anything else.
//!
//! A value comes from the last of these that contains it: the built-in default, the TOML file, an environment
//! variable, a flag. Each value keeps its origin, so that an error message and `serve --check` can show it.
//!
//! ```text
//!   file ──┐
//!   env  ──┼─▸ layers ──▸ resolve ──▸ Settings         keys: each setting's names, default and rule in words
//!   flags ─┘   (texts)       │                         rules: the same rules as functions
//!                            └──▸ Problems, all of them, one line each
//! ```
//!
//! Only [`environment::Environment::of_process`] reads the process environment.

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

/// All settings. Each value is valid, and so is their combination.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The daemon's own HTTP service.
    pub http: Http,
    /// The connection to the cluster.
    pub kubernetes: Kubernetes,
    /// The contents of a sandbox's Pod, Service and URL, including the namespace.
    pub template: Template,
    /// The lifetimes of sandboxes.
    pub lifetimes: Lifetimes,
    /// Set if the daemon runs on the embedded cluster instead of a real one.
    pub embedded: Option<Embedded>,
    /// The level and the format of the log.
    pub log: Log,
}

/// The daemon's own HTTP service.
#[derive(Debug, Clone)]
pub struct Http {
    /// The listen address; with port 0 the system chooses a port.
    pub listen: SocketAddr,
    /// The API key of `/api`. `None` admits everyone; it is only possible on a loopback address or with
    /// `PROVISIONER_AUTH=none`.
    pub api_key: Option<SecretString>,
    /// The number of open connections; a further one is answered 503 and closed.
    pub max_connections: NonZeroUsize,
    /// How long a shutdown waits for requests in flight.
    pub drain_deadline: DrainDeadline,
    /// How much of that time new connections are still accepted, while the daemon is not ready.
    pub drain_delay: DrainDelay,
}

/// The connection to the cluster.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    /// The kubeconfig; if the file does not exist, the in-cluster configuration is used.
    pub kubeconfig: PathBuf,
    /// Whether this process runs in a Pod, whose service account then replaces a missing kubeconfig.
    pub in_cluster: bool,
    /// The API server's address, instead of that of the kubeconfig.
    pub api_server: Option<http::Uri>,
    /// The name against which the API server's certificate is checked, instead of that of the kubeconfig's server.
    pub tls_server_name: Option<String>,
    /// Whether the check of the API server's certificate is disabled. The daemon logs a warning.
    pub insecure_skip_tls_verify: bool,
    /// The number of calls to the API server in flight; each is a connection, since the client uses HTTP/1.1.
    pub max_in_flight: NonZeroUsize,
    /// The maximal age of the known cluster state before requests are answered 503.
    pub staleness_limit: StalenessLimit,
}

/// The embedded cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// The address on which the simulated sandboxes listen, each on its node port.
    pub sandbox_bind: IpAddr,
}

/// The level and the format of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The format of a log line.
    pub format: LogFormat,
    /// The least severe level that is logged.
    pub level: tracing::Level,
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// One JSON object per line.
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
            // Part of the limits.
            max_in_flight: _,
            // For the status view, not for the connection.
            staleness_limit: _,
        } = self.kubernetes.clone();
        Options { kubeconfig, in_cluster, api_server, tls_server_name, insecure_skip_tls_verify }
    }

    /// Limits on the calls to the cluster.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { in_flight: self.kubernetes.max_in_flight.get(), ..Limits::default() }
    }
}
