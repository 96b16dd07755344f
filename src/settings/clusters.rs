//! The clusters: tables of the settings file, `[clusters.NAME]`. Variables and flags cannot define them.
//!
//! A table says how many sandboxes its cluster gets. Its other values replace those of the same settings for that cluster
//! alone; a variable or a flag does not replace them.

mod tables;

use std::{collections::BTreeMap, fmt, time::Duration};

use ::kubernetes::{connect::ServiceAddress, manifest::Template, probe::ProbeOptions};
use lifecycle::{ids::ClusterName, lifetime::LIMIT_MAX, placement::Terms};

pub use self::tables::changed_keys;
pub(super) use self::tables::{Table, parse};
use super::{
    format::{DurationRange, OrWord},
    kubernetes::{self, Kubernetes},
    lark, network, probing,
    problem::Problem,
    reader::{Reader, Reported},
    sandbox,
    setting::{DefaultValue, Scope, Section, Setting},
    sources::Sources,
    volumes,
};

/// The key of the tables in the settings file.
pub(super) const KEY: &str = "clusters";

pub(super) const SECTION: Section =
    Section { heading: "Clusters", scope: Scope::Daemon, settings: &[&LOSS_TIMEOUT] };

static LOSS_TIMEOUT: Setting<OrWord<DurationRange>> = Setting {
    variable: "PROVISIONER_CLUSTER_LOSS_TIMEOUT",
    format: OrWord(DurationRange(Duration::from_secs(1)..=LIMIT_MAX), "never"),
    default: DefaultValue::Text("5m"),
    help: "With several clusters, how long one is away before a POST creates its sandboxes on another; when it is back, the older ones are deleted",
};

/// The settings of one cluster.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// Its name; [`ClusterName::DEFAULT`] if the settings name none.
    pub name: ClusterName,
    /// The terms on which it gets sandboxes.
    pub terms: Terms,
    /// The connection to it.
    pub kubernetes: Kubernetes,
    /// The contents of a sandbox's Pod, Service and URL, including the namespace.
    pub template: Template,
    /// The activity probes of idle sandboxes.
    pub probes: ProbeOptions,
}

/// The clusters, in the order of their names. There is at least one.
#[derive(Debug, Clone)]
pub struct Clusters {
    /// The first one, or the only one.
    pub first: ClusterSettings,
    /// The others.
    pub others: Vec<ClusterSettings>,
}

pub(super) fn read_loss_timeout(reader: &Reader<'_>) -> Result<Option<Duration>, Reported> {
    reader.get(&LOSS_TIMEOUT)
}

/// Reads the settings of a cluster from its values, which were checked. `kubeconfig` is the field of its table that has the
/// path of its kubeconfig, if there is one.
pub(super) fn read(
    name: ClusterName,
    terms: Terms,
    values: &Sources,
    kubeconfig: Option<String>,
    in_cluster: Option<ServiceAddress>,
) -> Result<ClusterSettings, Reported> {
    let reader = Reader::new(values, [].into_iter(), false);
    let mut template = Template::default();
    let mut kubernetes = kubernetes::read(&reader, in_cluster, &mut template)?;
    if let Some(field) = kubeconfig {
        kubernetes.connect.setting = field;
    }
    sandbox::read(&reader, &mut template)?;
    volumes::read(&reader, &mut template)?;
    lark::read(&reader, &mut template)?;
    network::read(&reader, &mut template)?;
    Ok(ClusterSettings { name, terms, kubernetes, template, probes: probing::read(&reader)? })
}

/// Returns a problem for each cluster whose sandboxes would be in the same namespace of the same API server as those of
/// another: each would take the other's for its own. Two kubeconfigs of one API server are noticed when both are read.
pub(super) fn overlaps(clusters: &Clusters) -> Vec<Problem> {
    let mut seen = BTreeMap::new();
    let mut problems = Vec::new();
    for cluster in clusters.iter() {
        let place = Place::of(cluster);
        if let Some(other) = seen.insert(place.clone(), &cluster.name) {
            problems.push(Problem::new(format!(
                "{KEY}.{}: its sandboxes would be in {place}, as those of {KEY}.{other}; give one of them another \
                 kubeconfig, context, api_server or namespace",
                cluster.name
            )));
        }
    }
    problems
}

/// Where the sandboxes of a cluster are, as far as the settings tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    server: Server,
    namespace: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Server {
    Address(String),
    Kubeconfig { path: String, context: Option<String> },
}

// === impl Clusters ===

impl Clusters {
    /// Returns the clusters in the order of their names. `None` if there is none.
    pub(super) fn new(clusters: impl IntoIterator<Item = ClusterSettings>) -> Option<Self> {
        let mut clusters = clusters.into_iter();
        Some(Self { first: clusters.next()?, others: clusters.collect() })
    }

    /// Returns all clusters.
    pub fn iter(&self) -> impl Iterator<Item = &ClusterSettings> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Returns all clusters, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut ClusterSettings> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }

    /// Returns the cluster with this name.
    #[must_use]
    pub fn get(&self, name: &ClusterName) -> Option<&ClusterSettings> {
        self.iter().find(|cluster| cluster.name == *name)
    }

    /// Returns whether there are several.
    #[must_use]
    pub fn are_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// Returns the names, separated by commas.
    #[must_use]
    pub fn names(&self) -> String {
        self.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

// === impl Place ===

impl Place {
    pub(super) fn of(ClusterSettings { kubernetes, template, .. }: &ClusterSettings) -> Self {
        let options = &kubernetes.connect;
        let server = match &options.api_server {
            Some(address) => Server::Address(address.to_string()),
            None => Server::Kubeconfig {
                path: options.kubeconfig.display().to_string(),
                context: options.context.clone(),
            },
        };
        Self { server, namespace: template.namespace.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the namespace {:?} of ", self.namespace)?;
        match &self.server {
            Server::Address(address) => write!(f, "the API server {address}"),
            Server::Kubeconfig { path, context: None } => {
                write!(f, "the current context of the kubeconfig {path:?}")
            }
            Server::Kubeconfig { path, context: Some(context) } => {
                write!(f, "the context {context:?} of the kubeconfig {path:?}")
            }
        }
    }
}
