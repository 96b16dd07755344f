//! The daemon without its socket: the stacks of the clusters, and the routes. The simulation runs it with
//! a paused clock, where real sockets do not work.

use std::sync::Arc;

use actors::sandboxes::SpawnErr;
use fleet::{
    Fleet,
    check::{Check, Checks},
};
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{profiles, stack::Stack};
use crate::{
    admin::{self, Admin},
    http::{
        self, Capabilities,
        auth::Auth,
        body,
        frontend::{Deadlines, Frontend},
        metrics::HttpMetrics,
    },
    metrics::Metrics,
    settings::Settings,
};

/// The running core. Dropping it stops everything at once, like a crash.
pub struct Core {
    fleet: Fleet,
    stack: Stack,
    edge: Frontend,
    admin: Frontend,
    /// Cancelled before the core stops; from then on it is not ready.
    stop: CancellationToken,
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
        let first = &settings.clusters.first;
        let template = &first.template;
        let stack = Stack::start(first, settings, embedded).await?;
        let fleet = Fleet::new(stack.member(), [], None);

        let capabilities = Capabilities {
            lark_cli_init_image: template.lark_init_image.is_some(),
            lark_cli_broker_image: template.lark_broker_image.is_some(),
        };
        let stop = CancellationToken::new();
        let checks = checks(fleet.clone(), stop.clone());
        let http_metrics = HttpMetrics::default();
        let metrics = Metrics::new(
            checks.clone(),
            |registry| stack.connection().register_shared_metrics(registry),
            |registry| {
                http_metrics.register(registry);
                stack.sandboxes().register_metrics(registry);
                stack.connection().register_own_metrics(registry);
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
        let routes = http::routes(fleet.clone(), capabilities, profiles, body::Limits::default(), main);
        let edge = Frontend::new(routes, key, Deadlines::default(), http_metrics.clone())
            .with_slow_after(settings.http.slow_after);
        let admin = Frontend::new(admin::routes(admin), Auth::Open, Deadlines::default(), http_metrics);
        Ok(Self { fleet, stack, edge, admin, stop })
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

    /// The clusters.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Waits until a part has ended, and returns its name.
    pub(super) async fn ended(&mut self) -> &'static str {
        tokio::select! {
            _ = &mut self.stack.attached.0 => "watch on the cluster",
            () = self.fleet.ended() => "supervisor",
        }
    }
}

fn auth(key: Option<&SecretString>) -> Auth {
    key.map_or(Auth::Open, |key| Auth::Key(key.clone()))
}

/// Returns the checks of `/readyz`.
fn checks(fleet: Fleet, stop: CancellationToken) -> Checks {
    Arc::new(move || {
        let why = stop.is_cancelled().then(|| "shutting down".to_owned());
        let shutdown = Check { name: "shutdown", outcome: why.map_or(Ok(()), Err), optional: false };
        let of_clusters = fleet.members().iter().flat_map(|member| (member.checks)()).collect::<Vec<_>>();
        [shutdown].into_iter().chain(of_clusters).collect()
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
