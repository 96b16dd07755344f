//! The input of a diagnosis: the settings, and where the cluster and the daemon are.

use std::net::SocketAddr;

use jiff::Timestamp;
use kubernetes::{
    connect::{Connection, Options},
    manifest::Template,
};
use lifecycle::ids::ClusterName;
use secrecy::SecretString;

use crate::http::DaemonUrl;

/// The subject of a diagnosis.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The facts about the settings.
    pub settings: SettingsFacts,
    /// The machine on which the diagnosis runs.
    pub machine: Machine,
    /// The cluster.
    pub cluster: Cluster,
    /// Its name, if the settings have several.
    pub name: Option<ClusterName>,
    /// The daemon.
    pub daemon: Daemon,
}

/// The settings as the checks need them.
#[derive(Debug, Clone, Default)]
pub struct SettingsFacts {
    /// The errors that `serve` would stop with, one line each.
    pub problems: Vec<String>,
    /// The address on which the daemon listens.
    pub listen: Option<SocketAddr>,
    /// Whether there is an API key.
    pub has_key: bool,
    /// A sentence for each profile that no cluster offers.
    pub unoffered_profiles: Vec<String>,
    /// The contents of a sandbox's Pod, Service and URL.
    pub template: Template,
    /// Whether the CPU use of idle sandboxes is read.
    pub reads_metrics: bool,
    /// Whether the logs of ended containers are read.
    pub reads_logs: bool,
}

/// The machine on which the diagnosis runs.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Whether the process runs in a container.
    pub is_container: bool,
    /// Whether the process runs in a Pod.
    pub is_pod: bool,
    /// The time of its clock.
    pub now: Timestamp,
}

/// The cluster of a diagnosis.
#[derive(Debug, Clone)]
pub enum Cluster {
    /// The cluster of these options.
    Configured(Options),
    /// A cluster in this process, whose sandboxes may be those of another process.
    Embedded {
        /// The connection to it.
        connection: Connection,
        /// Whether the sandboxes of the daemon are on it.
        has_sandboxes: bool,
    },
}

/// The daemon of a diagnosis.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// Its URL.
    pub url: DaemonUrl,
    /// Whether an operator has named the URL, so that a daemon must be there.
    pub is_named: bool,
    /// The URL of its metrics; `None` if it has none that can be reached.
    pub metrics: Option<DaemonUrl>,
    /// The API key.
    pub key: Option<SecretString>,
    /// The version of this program.
    pub version: &'static str,
}
