//! The stack of one cluster: its connection, its actors, and the task that follows it. Stacks share nothing but the limit of
//! the number of open streams, which are those of the daemon.

use std::sync::Arc;

use actors::{
    sandboxes::{Rules, Sandboxes, SpawnErr},
    streams::Streams,
};
use fleet::{
    Member,
    check::{Check, Checks},
};
use kubernetes::{cluster::KubeCluster, connect::Connection};
use lifecycle::{
    ids::ClusterName,
    network::{Enforced, NetworkReport},
    placement::Terms,
    traits::Cluster as _,
};

use tracing::{Instrument as _, Span};

use super::{attach, core::Task};
use crate::{
    metrics::Metrics,
    settings::{ClusterSettings, Settings},
};

/// A running stack. Dropping it stops everything at once, like a crash.
pub(super) struct Stack {
    cluster: Arc<KubeCluster>,
    sandboxes: Sandboxes,
    terms: Terms,
    /// Connects, then updates the view until it is dropped.
    pub(super) attached: Task<()>,
}

// === impl Stack ===

impl Stack {
    /// Starts the stack of the cluster, also if the cluster cannot be reached.
    ///
    /// `embedded` replaces the cluster of the settings.
    ///
    /// # Errors
    /// If the supervisor cannot be spawned.
    pub(super) async fn start(
        cluster: ClusterSettings,
        settings: &Settings,
        streams: Streams,
        embedded: Option<simcluster::Cluster>,
    ) -> Result<Self, SpawnErr> {
        let ClusterSettings { name, terms, kubernetes, template, probes } = cluster;
        let (namespace, limits) = (template.namespace.as_str(), kubernetes.limits);
        let has_workspaces = template.profiles.have_workspaces();
        let (connection, options) = match embedded {
            Some(cluster) => (Connection::from_service(cluster.service(), namespace, limits), None),
            None => (Connection::new(namespace, limits), Some(kubernetes.connect)),
        };
        let cluster = KubeCluster::new(connection.clone(), Arc::new(template), probes)
            .with_exit_logs(kubernetes.exit_log_lines);
        let cluster = Arc::new(cluster);
        let rules = Rules {
            staleness: kubernetes.staleness_limit,
            policy: settings.policy,
            reap_limits: settings.reap_limits,
            creates_at_once: limits.creates_at_once(),
        };
        let sandboxes = Sandboxes::start(name, cluster.clone(), rules, streams, connection).await?;
        let sandboxes =
            if has_workspaces { sandboxes.with_workspaces(cluster.clone(), &rules) } else { sandboxes };
        let workspaces = sandboxes.workspaces().cloned();
        let attached = attach::run(options, cluster.clone(), sandboxes.view().clone(), workspaces);
        let span = match sandboxes.view().cluster() {
            // The only cluster of a file without tables needs no name.
            name if *name == ClusterName::DEFAULT => Span::none(),
            // Also with PROVISIONER_LOG_LEVEL=error the lines name their cluster.
            name => tracing::error_span!("stack", cluster = %name),
        };
        let attached = Task(tokio::spawn(attached.instrument(span)));
        Ok(Self { cluster, sandboxes, terms, attached })
    }

    /// Returns the stack as a member of the fleet.
    pub(super) fn member(&self) -> Member {
        Member::new(self.sandboxes.clone(), self.checks(), self.terms.clone())
    }

    /// Adds the metrics of the cluster.
    pub(super) fn register_metrics(&self, metrics: &Metrics) {
        let connection = self.cluster.connection();
        metrics.add_cluster(
            self.sandboxes.view().cluster(),
            |registry| connection.register_shared_metrics(registry),
            |registry| {
                self.sandboxes.register_metrics(registry);
                connection.register_own_metrics(registry);
            },
        );
    }

    /// Returns the checks of the cluster.
    fn checks(&self) -> Checks {
        let (cluster, sandboxes) = (self.cluster.clone(), self.sandboxes.clone());
        let or_why =
            |name, why: Option<String>| Check { name, outcome: why.map_or(Ok(()), Err), optional: false };
        Arc::new(move || {
            let unready = sandboxes.unready_checks();
            let watch = |name: &'static str| {
                let why = unready.iter().find(|(unready, _)| *unready == name).map(|(_, why)| why.clone());
                or_why(name, why)
            };
            vec![
                or_why("cluster", cluster.connection().unready_reason()),
                or_why("namespace", cluster.namespace().unready_reason()),
                watch("watch-pods"),
                watch("watch-services"),
                Check { optional: true, ..or_why("watch-events", cluster.pod_events_failure()) },
            ]
            .into_iter()
            .chain(sandboxes.workspaces().map(|workspaces| Check {
                optional: true,
                ..or_why("watch-workspaces", workspaces.unready_reason())
            }))
            .chain(network_checks(&cluster.network()))
            .chain(cluster.exit_logs_check().map(|outcome| Check {
                name: "read-logs",
                outcome,
                optional: true,
            }))
            .collect()
        })
    }
}

/// The checks of the network policies, if a profile uses them.
fn network_checks(report: &NetworkReport) -> Vec<Check> {
    if !report.is_used {
        return Vec::new();
    }
    let policies = report.policies.as_ref().map_or(Ok(()), |why| Err(why.to_string()));
    let enforced = match report.enforced {
        Enforced::Yes => Ok(()),
        Enforced::No | Enforced::Unknown => Err(report.message.to_string()),
    };
    vec![
        Check { name: "network-policies", outcome: policies, optional: true },
        Check { name: "network-enforcement", outcome: enforced, optional: true },
    ]
}
