//! The daemon without its socket: the connection to the cluster, the actors, the watch. The simulation runs it with
//! a paused clock, where real sockets do not work.

use std::sync::Arc;

use actors::{
    backend::Backend as _,
    sandboxes::{Rules, Sandboxes, SpawnErr},
};
use kubernetes::{cluster::KubeCluster, connect::Connection};
use lifecycle::{
    network::{Enforced, NetworkReport},
    traits::Cluster as _,
};
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{attach, profiles};
use crate::{
    admin::{self, Admin, Check, Checks},
    http::{
        self, Capabilities,
        auth::Auth,
        body,
        frontend::{Deadlines, Frontend},
        metrics::HttpMetrics,
    },
    metrics::Metrics,
    settings::{ClusterSettings, Settings},
};

/// The running core. Dropping it stops everything at once, like a crash.
pub struct Core {
    sandboxes: Sandboxes,
    edge: Frontend,
    admin: Frontend,
    /// Cancelled before the core stops; from then on it is not ready.
    stop: CancellationToken,
    /// Connects, then updates the view until it is dropped.
    attached: Task<()>,
}

/// A task that is aborted when this is dropped.
#[derive(Debug)]
pub(super) struct Task<T>(pub(super) JoinHandle<T>);

// === impl Core ===

impl Core {
    /// Starts the core on the current runtime, also if the cluster cannot be reached.
    ///
    /// `embedded` replaces the cluster of the settings.
    ///
    /// # Errors
    /// If the supervisor cannot be spawned.
    pub async fn start(settings: &Settings, embedded: Option<simcluster::Cluster>) -> Result<Self, SpawnErr> {
        let ClusterSettings { kubernetes, template, probes, .. } = &settings.clusters.first;
        let (namespace, limits) = (&template.namespace, kubernetes.limits);
        let (connection, options) = match embedded {
            Some(cluster) => (Connection::from_service(cluster.service(), namespace, limits), None),
            None => (Connection::new(namespace, limits), Some(kubernetes.connect.clone())),
        };
        let cluster = KubeCluster::new(connection.clone(), Arc::new(template.clone()), probes.clone())
            .with_exit_logs(kubernetes.exit_log_lines);
        let cluster = Arc::new(cluster);
        let rules = Rules {
            staleness: kubernetes.staleness_limit,
            policy: settings.policy,
            reap_limits: settings.reap_limits,
            creates_at_once: limits.creates_at_once(),
            streams_max: settings.http.max_streams,
        };
        let sandboxes = Sandboxes::start(cluster.clone(), rules, connection).await?;
        let sandboxes = if template.profiles.have_workspaces() {
            sandboxes.with_workspaces(cluster.clone(), &rules)
        } else {
            sandboxes
        };
        let workspaces = sandboxes.workspaces().cloned();
        let attached = attach::run(options, cluster.clone(), sandboxes.view().clone(), workspaces);
        let attached = Task(tokio::spawn(attached));

        let capabilities = Capabilities {
            lark_cli_init_image: template.lark_init_image.is_some(),
            lark_cli_broker_image: template.lark_broker_image.is_some(),
        };
        let stop = CancellationToken::new();
        let checks = checks(cluster.clone(), sandboxes.clone(), stop.clone());
        let http_metrics = HttpMetrics::default();
        let metrics = Metrics::new(
            checks.clone(),
            |registry| cluster.connection().register_shared_metrics(registry),
            |registry| {
                http_metrics.register(registry);
                sandboxes.register_metrics(registry);
                cluster.connection().register_own_metrics(registry);
            },
        );
        let key = auth(settings.http.api_key.as_ref());
        let metrics_auth = if settings.http.metrics_need_key { key.clone() } else { Auth::Open };
        let admin = Admin { checks, metrics: Some((metrics, metrics_auth)) };
        // A listener of their own takes the metrics from the main one.
        let main = match settings.http.metrics_listen {
            Some(_) => Admin { metrics: None, ..admin.clone() },
            None => admin.clone(),
        };
        let profiles = profiles::of(template);
        let routes = http::routes(sandboxes.clone(), capabilities, profiles, body::Limits::default(), main);
        let edge = Frontend::new(routes, key, Deadlines::default(), http_metrics.clone())
            .with_slow_after(settings.http.slow_after);
        let admin = Frontend::new(admin::routes(admin), Auth::Open, Deadlines::default(), http_metrics);
        Ok(Self { sandboxes, edge, admin, stop, attached })
    }

    /// The backend of the routes.
    #[must_use]
    pub fn edge(&self) -> &Frontend {
        &self.edge
    }

    /// The routes of a listener for the metrics alone.
    #[must_use]
    pub(super) fn admin(&self) -> &Frontend {
        &self.admin
    }

    /// Cancel this token before the core stops: it still answers, but is not ready.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// The handle that the routes use.
    #[must_use]
    pub fn sandboxes(&self) -> &Sandboxes {
        &self.sandboxes
    }

    /// Waits until a part has ended, and returns its name.
    pub(super) async fn ended(&mut self) -> &'static str {
        tokio::select! {
            _ = &mut self.attached.0 => "watch on the cluster",
            () = self.sandboxes.ended() => "supervisor",
        }
    }
}

fn auth(key: Option<&SecretString>) -> Auth {
    key.map_or(Auth::Open, |key| Auth::Key(key.clone()))
}

/// The checks of `/readyz`.
fn checks(cluster: Arc<KubeCluster>, sandboxes: Sandboxes, stop: CancellationToken) -> Checks {
    let or_why =
        |name, why: Option<String>| Check { name, outcome: why.map_or(Ok(()), Err), optional: false };
    Arc::new(move || {
        let missing = sandboxes.missing();
        let watch = |name: &'static str| {
            let why = missing.iter().find(|(missing, _)| *missing == name).map(|(_, why)| why.clone());
            or_why(name, why)
        };
        vec![
            or_why("shutdown", stop.is_cancelled().then(|| "shutting down".to_owned())),
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
        .chain(cluster.exit_logs_check().map(|outcome| Check { name: "read-logs", outcome, optional: true }))
        .collect()
    })
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

impl Drop for Core {
    fn drop(&mut self) {
        self.sandboxes.kill();
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
