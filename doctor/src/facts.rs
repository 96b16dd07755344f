//! The gathered facts, of which each check is a function. JSON objects are as the API server returned them.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use kubernetes::inspect::{Access, Failure, OpenError, PolicyState, ReachError, SandboxObjects, Validity};
use lifecycle::{error::ClusterErrorKind, ids::ClusterName};
use serde_json::Value;

use crate::{
    check::Outcome,
    http::DaemonError,
    subject::{Machine, SettingsFacts},
};

/// The facts of a diagnosis.
#[derive(Debug)]
pub struct Facts {
    /// The settings.
    pub(crate) settings: SettingsFacts,
    /// The machine.
    pub(crate) machine: Machine,
    /// The connection.
    pub(crate) access: AccessFacts,
    /// The way to the API server; `None` if it was not tried.
    pub(crate) reach: Option<Result<Option<Validity>, ReachError>>,
    /// The cluster.
    pub(crate) cluster: ClusterFacts,
    /// An earlier cluster of the settings with the same namespace.
    pub(crate) double_of: Option<ClusterName>,
    /// The dialled sandboxes.
    pub(crate) network: NetworkFacts,
    /// The daemon.
    pub(crate) daemon: DaemonFacts,
}

/// How the connection was opened.
#[derive(Debug)]
pub(crate) enum AccessFacts {
    /// The cluster is in this process. Its sandboxes may be those of another process.
    Embedded { has_sandboxes: bool },
    /// It was opened.
    Opened(Access),
    /// It was not opened.
    Failed(OpenError),
}

/// A fact of the cluster that may be unknown.
pub(crate) type Read<T> = Result<T, Unread>;

/// Why a fact is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It was not asked for, because an earlier step failed or nothing needs it.
    NotAsked,
    /// The call failed.
    Failed(Failure),
}

/// The facts of the cluster.
#[derive(Debug)]
pub(crate) struct ClusterFacts {
    pub version: Read<Value>,
    /// The time of the call for the version.
    pub latency: Option<Duration>,
    /// The API server's clock less the clock of this machine.
    pub skew: Option<SignedDuration>,
    pub ready: Read<()>,
    pub etcd: Read<()>,
    /// The metrics of the API server.
    pub metrics: Read<String>,
    /// The resources of the core group.
    pub resources: Read<Value>,
    /// Whether the daemon has a right, by its name.
    pub rights: BTreeMap<String, Read<bool>>,
    pub namespace: Read<Value>,
    pub quotas: Read<Vec<Value>>,
    /// The dry run of each Pod, by its profile, and of a Service.
    pub pod_dry_runs: Vec<(String, Read<()>)>,
    /// The number of profiles without a dry run.
    pub untried_profiles: usize,
    pub service_dry_run: Read<()>,
    pub claims: BTreeMap<String, Read<Value>>,
    pub storage_classes: Read<Vec<Value>>,
    pub runtime_classes: BTreeMap<String, Read<Value>>,
    pub priority_classes: BTreeMap<String, Read<Value>>,
    pub nodes: Read<Vec<Value>>,
    /// The Services of all namespaces.
    pub services: Read<Vec<Value>>,
    pub sandboxes: Option<SandboxObjects>,
    pub policies: Read<Vec<(String, PolicyState)>>,
}

/// The facts about the way to sandboxes.
#[derive(Debug, Default)]
pub(crate) struct NetworkFacts {
    /// Whether `NODE_HOST` has an address; `None` if it was not tried.
    pub node_host: Option<Result<(), String>>,
    /// The dialled URLs of ready sandboxes, each with the status of the answer.
    pub dialled: Vec<(String, Result<u16, String>)>,
}

/// The facts about the daemon.
#[derive(Debug, Default)]
pub(crate) struct DaemonFacts {
    pub url: String,
    pub is_named: bool,
    pub version: &'static str,
    /// The status of `/health`; `None` if it was not asked.
    pub health: Option<Result<u16, DaemonError>>,
    /// The answer of `GET /api/sandboxes`.
    pub list: Option<Result<DaemonList, DaemonError>>,
    /// The answer of `/readyz?verbose`.
    pub ready: Option<Result<Value, DaemonError>>,
    /// The metrics.
    pub metrics: Option<Result<String, DaemonError>>,
    /// The answer of `/api/network/check`.
    pub network_check: Option<Result<Value, DaemonError>>,
}

/// The sandboxes that the daemon lists.
#[derive(Debug)]
pub(crate) struct DaemonList {
    /// The status of the answer.
    pub status: u16,
    /// The ids of the sandboxes.
    pub ids: BTreeSet<String>,
    /// Whether the daemon leaves out the cluster, because it does not know its state.
    pub is_incomplete: bool,
}

/// Finds the clusters whose namespace is that of an earlier one: two tables of the settings lead to it.
pub fn find_doubles<'a>(clusters: impl IntoIterator<Item = (&'a ClusterName, &'a mut Facts)>) {
    let mut first = BTreeMap::new();
    for (name, facts) in clusters {
        let namespace = facts.cluster.namespace.as_ref().ok();
        let Some(uid) = namespace.and_then(|namespace| namespace["metadata"]["uid"].as_str()) else {
            continue;
        };
        match first.entry(uid.to_owned()) {
            Entry::Vacant(entry) => drop(entry.insert(name)),
            Entry::Occupied(other) => facts.double_of = Some((*other.get()).clone()),
        }
    }
}

// === impl ClusterFacts ===

impl Default for ClusterFacts {
    fn default() -> Self {
        Self {
            version: Err(Unread::NotAsked),
            latency: None,
            skew: None,
            ready: Err(Unread::NotAsked),
            etcd: Err(Unread::NotAsked),
            metrics: Err(Unread::NotAsked),
            resources: Err(Unread::NotAsked),
            rights: BTreeMap::new(),
            namespace: Err(Unread::NotAsked),
            quotas: Err(Unread::NotAsked),
            pod_dry_runs: Vec::new(),
            untried_profiles: 0,
            service_dry_run: Err(Unread::NotAsked),
            claims: BTreeMap::new(),
            storage_classes: Err(Unread::NotAsked),
            runtime_classes: BTreeMap::new(),
            priority_classes: BTreeMap::new(),
            nodes: Err(Unread::NotAsked),
            services: Err(Unread::NotAsked),
            sandboxes: None,
            policies: Err(Unread::NotAsked),
        }
    }
}

// === impl Unread ===

impl Unread {
    /// Returns whether the right for the call is missing.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.is_forbidden())
    }

    /// Returns whether the object or the path does not exist.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.is_absent())
    }

    /// Returns the class of the failure.
    pub fn kind(&self) -> Option<ClusterErrorKind> {
        match self {
            Self::NotAsked => None,
            Self::Failed(failure) => Some(failure.fault.kind),
        }
    }

    /// Returns the text of the failure.
    pub fn text(&self) -> String {
        match self {
            Self::NotAsked => "not asked".to_owned(),
            Self::Failed(failure) => failure.fault.to_string(),
        }
    }

    /// Skips a check that needs this fact.
    pub fn skip(&self, what: &str) -> Outcome {
        match self {
            Self::NotAsked => Outcome::skipped(format!("{what} could not be read")),
            failed if failed.is_forbidden() => Outcome::skipped(format!("not allowed to read {what}")),
            failed if failed.is_absent() => Outcome::skipped(format!("the cluster does not serve {what}")),
            Self::Failed(failure) => Outcome::skipped(format!("{what} could not be read: {}", failure.fault)),
        }
    }
}

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

// === impl Facts ===

impl Facts {
    /// Returns the time of the API server's clock.
    pub(crate) fn cluster_now(&self) -> Timestamp {
        let skew = self.cluster.skew.unwrap_or_default();
        self.machine.now.saturating_add(skew).unwrap_or(self.machine.now)
    }

    /// Returns the properties of the connection, or the outcome of a check that does not apply without one.
    pub(crate) fn access(&self) -> Result<&Access, Outcome> {
        match &self.access {
            AccessFacts::Opened(access) => Ok(access),
            AccessFacts::Embedded { .. } => {
                Err(Outcome::skipped("the embedded cluster is in the daemon itself"))
            }
            AccessFacts::Failed(_) => Err(Outcome::skipped("there is no connection")),
        }
    }

    /// Returns whether the daemon runs on an embedded cluster of its own, so that the facts are those of another cluster.
    pub(crate) fn is_of_another_cluster(&self) -> bool {
        matches!(self.access, AccessFacts::Embedded { has_sandboxes: false })
    }

    /// Returns the objects of sandboxes, or the outcome of a check that does not apply without them.
    pub(crate) fn sandboxes(&self) -> Result<&SandboxObjects, Outcome> {
        if self.is_of_another_cluster() {
            let why =
                "the sandboxes of the embedded cluster are in the daemon; GET /api/sandboxes shows them";
            return Err(Outcome::skipped(why));
        }
        self.cluster.sandboxes.as_ref().ok_or_else(|| Outcome::skipped("the sandboxes could not be read"))
    }
}
