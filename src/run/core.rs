//! The daemon without its socket: the stacks of the clusters, and the routes. The simulation runs it with
//! a paused clock, where real sockets do not work.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use actors::{sandboxes::SpawnErr, streams::Streams};
use fleet::{Fleet, Member, check::Check};
use futures::future::{select_all, try_join_all};
use kubernetes::manifest::Template;
use lifecycle::ids::ClusterName;
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{profiles, stack::Stack};
use crate::{
    admin::{self, Admin, Readiness, ReadinessChecks},
    http::{
        self, Capabilities,
        auth::Auth,
        body,
        frontend::{Deadlines, Frontend},
        metrics::HttpMetrics,
    },
    metrics::Metrics,
    settings::{ClusterSettings, Clusters, Settings},
};

/// The running core. Dropping it stops everything at once, like a crash.
pub struct Core {
    fleet: Fleet,
    /// Deletes sandboxes that several clusters have.
    twins: Task<Infallible>,
    /// One for each cluster.
    stacks: Vec<Stack>,
    streams: Streams,
    metrics: Metrics,
    frontend: Frontend,
    admin: Frontend,
    /// Cancelled before the core stops; from then on it is not ready.
    stop: CancellationToken,
}

/// A task that is aborted when this is dropped.
#[derive(Debug)]
pub(super) struct Task<T>(pub(super) JoinHandle<T>);

// === impl Core ===

impl Core {
    /// Starts the core on the current runtime, also if no cluster can be reached.
    ///
    /// `embedded` replaces clusters of the settings.
    ///
    /// # Errors
    /// If a supervisor cannot be spawned.
    pub async fn start(
        settings: &Settings,
        embedded: impl IntoIterator<Item = (ClusterName, simcluster::Cluster)>,
    ) -> Result<Self, SpawnErr> {
        let embedded: BTreeMap<_, _> = embedded.into_iter().collect();
        let streams = Streams::new(settings.http.max_streams);
        let start = |cluster: &ClusterSettings| {
            let embedded = embedded.get(&cluster.name).cloned();
            Stack::start(cluster.clone(), settings, streams.clone(), embedded)
        };
        let first = start(&settings.clusters.first).await?;
        let others = try_join_all(settings.clusters.others.iter().map(start)).await?;
        let fleet =
            Fleet::new(first.member(), others.iter().map(Stack::member), settings.cluster_loss_timeout);
        let settling = fleet.clone();
        let twins = Task(tokio::spawn(async move { settling.settle_twins().await }));
        let stacks: Vec<_> = [first].into_iter().chain(others).collect();

        let stop = CancellationToken::new();
        let checks = checks(fleet.clone(), stop.clone());
        let http_metrics = HttpMetrics::default();
        let metrics = Metrics::new(checks.clone(), |registry| {
            http_metrics.register(registry);
            streams.register(registry);
        });
        for stack in &stacks {
            stack.register_metrics(&metrics);
        }
        let key = auth(settings.http.api_key.as_ref());
        let metrics_auth = if settings.http.metrics_need_key { key.clone() } else { Auth::Open };
        let admin = Admin { checks, metrics: Some((metrics.clone(), metrics_auth)) };
        // A listener of their own takes the metrics from the main one.
        let main = match settings.http.metrics_listen {
            Some(_) => Admin { metrics: None, ..admin.clone() },
            None => admin.clone(),
        };
        // The profiles are the same for all clusters.
        let profiles = profiles::of(&settings.clusters.first.template);
        let capabilities = capabilities(&settings.clusters);
        let routes = http::routes(fleet.clone(), capabilities, profiles, body::Limits::default(), main);
        let frontend = Frontend::new(routes, key, Deadlines::default(), http_metrics.clone())
            .with_slow_after(settings.http.slow_after);
        let admin = Frontend::new(admin::routes(admin), Auth::Open, Deadlines::default(), http_metrics);
        Ok(Self { fleet, twins, stacks, streams, metrics, frontend, admin, stop })
    }

    /// Adds a cluster, also if it cannot be reached. `embedded` replaces it.
    ///
    /// # Errors
    /// If the supervisor cannot be spawned.
    pub async fn add_cluster(
        &mut self,
        cluster: ClusterSettings,
        settings: &Settings,
        embedded: Option<simcluster::Cluster>,
    ) -> Result<(), SpawnErr> {
        let stack = Stack::start(cluster, settings, self.streams.clone(), embedded).await?;
        stack.register_metrics(&self.metrics);
        self.fleet.add(stack.member());
        self.stacks.push(stack);
        Ok(())
    }

    /// The backend of the routes.
    #[must_use]
    pub fn frontend(&self) -> &Frontend {
        &self.frontend
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

    /// The clusters.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Waits until a part has ended, and returns its name.
    pub(super) async fn ended(&mut self) -> &'static str {
        let attached = self.stacks.iter_mut().map(|stack| &mut stack.attached.0);
        tokio::select! {
            _ = select_all(attached) => "watch on the cluster",
            () = self.fleet.ended() => "supervisor",
            _ = &mut self.twins.0 => "comparison of the clusters",
        }
    }
}

fn auth(key: Option<&SecretString>) -> Auth {
    key.map_or(Auth::Open, |key| Auth::Key(key.clone()))
}

/// Returns the features that all clusters have.
fn capabilities(clusters: &Clusters) -> Capabilities {
    let have = |has: fn(&Template) -> bool| clusters.iter().all(|cluster| has(&cluster.template));
    Capabilities {
        lark_cli_init_image: have(|template| template.lark_init_image.is_some()),
        lark_cli_broker_image: have(|template| template.lark_broker_image.is_some()),
    }
}

/// Returns the checks of `/readyz`.
fn checks(fleet: Fleet, stop: CancellationToken) -> ReadinessChecks {
    Arc::new(move || {
        let why = stop.is_cancelled().then(|| "shutting down".to_owned());
        let shutdown = Check { name: "shutdown", outcome: why.map_or(Ok(()), Err), optional: false };
        let of = |member: &Member| (member.name().clone(), (member.checks)());
        Readiness { daemon: vec![shutdown], clusters: fleet.members().iter().map(of).collect() }
    })
}

impl Drop for Core {
    fn drop(&mut self) {
        self.fleet.kill();
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
