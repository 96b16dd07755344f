//! The daemon as a value, so that tests and benchmarks can run it in their own process.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use fleet::Fleet;
use futures::future::OptionFuture;
use lifecycle::ids::ClusterName;
use tokio::net::TcpListener;

use super::core::{Core, Task};
use crate::{
    listener,
    settings::{self, ClusterSettings, Settings},
};

/// How long actors have to finish a delete or a rollback after the last request has ended. Together with the default
/// drain deadline this is 29 s; Kubernetes' default grace period is 30 s.
const ACTORS_PATIENCE: Duration = Duration::from_secs(4);

/// A running daemon.
///
/// Dropping it stops everything at once, like a crash; [`Daemon::stop`] stops it gracefully.
pub struct Daemon {
    address: SocketAddr,
    /// Serves until the core is stopped, then drains.
    http: Task<listener::Drained>,
    /// The listener of the metrics, if they have one of their own.
    metrics: Option<(SocketAddr, Task<listener::Drained>)>,
    core: Core,
    /// The deadline for the last request at a shutdown.
    drain_deadline: Duration,
}

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use, or not an address of this machine.
    #[error(
        "cannot listen on {address}: {source}; choose another address with {setting} in the settings file"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// How to choose another address.
        setting: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The actors could not be started.
    #[error("cannot start the supervisor: {0}")]
    Supervisor(#[from] actors::sandboxes::SpawnErr),
}

/// How long before the drain deadline waiting requests are answered 503, so that no connection is closed without a
/// response. With a shorter drain deadline, half of it.
const REJECT_BEFORE: Duration = Duration::from_secs(1);

/// The limits of the listener of the metrics, which a few scrapers use. A scrape in flight at a shutdown ends at once.
const METRICS_LIMITS: listener::Limits = listener::Limits {
    connections: 64,
    head_time: Duration::from_secs(10),
    head_bytes: 32 << 10,
    stall: Duration::from_secs(10),
    linger: Duration::from_secs(2),
    delay: Duration::ZERO,
    drain: Duration::from_secs(1),
};

/// Listens on an address. Returns the address that the system has chosen if the port was 0.
async fn bind(listen: SocketAddr, setting: &'static str) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address: listen, setting, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// How a shutdown ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Stopped {
    /// Requests that were answered 503 because of the drain deadline.
    pub rejected: usize,
    /// Connections that were closed before their end.
    pub cut: usize,
}

/// The daemon stopped because a part of it failed.
#[derive(Debug, thiserror::Error)]
#[error("the daemon's {part} ended unexpectedly; exiting, so that it is restarted")]
pub struct Ended {
    /// The name of the part.
    part: &'static str,
}

// === impl Daemon ===

impl Daemon {
    /// Starts the daemon on the current runtime, also if no cluster can be reached.
    ///
    /// `embedded` replaces clusters of the settings.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(
        settings: &Settings,
        embedded: impl IntoIterator<Item = (ClusterName, simcluster::Cluster)>,
    ) -> Result<Self, StartError> {
        let settings::Http {
            listen,
            api_key: _,
            max_connections,
            max_streams: _,
            metrics_listen,
            metrics_need_key: _,
            drain_deadline,
            drain_delay,
            slow_after: _,
        } = &settings.http;

        let (listener, address) = bind(*listen, "--listen, PROVISIONER_LISTEN or `listen`").await?;
        let metrics_listener = match metrics_listen {
            Some(listen) => Some(bind(*listen, "PROVISIONER_METRICS_LISTEN or `metrics_listen`").await?),
            None => None,
        };

        let core = Core::start(settings, embedded).await?;
        let frontend = core.frontend().clone();
        let delay = (*drain_delay).min(*drain_deadline);
        let limits = listener::Limits {
            connections: *max_connections,
            delay,
            drain: drain_deadline.saturating_sub(delay),
            ..listener::Limits::default()
        };
        let stopped = || core.stop().clone().cancelled_owned();
        let http = Task(tokio::spawn(listener::serve(listener, limits, frontend, stopped())));
        let metrics = metrics_listener.map(|(listener, address)| {
            let served = listener::serve(listener, METRICS_LIMITS, core.admin().clone(), stopped());
            (address, Task(tokio::spawn(served)))
        });

        Ok(Self { address, http, metrics, core, drain_deadline: *drain_deadline })
    }

    /// The address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address on which it serves the metrics, if that is another one.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|(address, _)| *address)
    }

    /// The clusters.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        self.core.fleet()
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
    ) -> Result<(), StartError> {
        Ok(self.core.add_cluster(cluster, settings, embedded).await?)
    }

    /// Waits until a part fails.
    ///
    /// # Errors
    /// If a part has ended: then the whole daemon must stop.
    pub async fn run(&mut self) -> Result<Infallible, Ended> {
        let metrics = OptionFuture::from(self.metrics.as_mut().map(|(_, served)| &mut served.0));
        let part = tokio::select! {
            _ = &mut self.http.0 => "HTTP service",
            Some(_) = metrics => "listener of the metrics",
            part = self.core.ended() => part,
        };
        Err(Ended { part })
    }

    /// Stops gracefully: first it is not ready and no request waits for a sandbox any more, then it accepts no connections. Requests in flight finish, or are
    /// answered 503 shortly before the drain deadline. Then the actors finish their operations.
    pub async fn stop(mut self) -> Stopped {
        self.core.stop().cancel();
        self.core.fleet().end_waits();
        let drain_token = self.drain_deadline.saturating_sub(REJECT_BEFORE.min(self.drain_deadline / 2));
        let drained = tokio::select! {
            drained = &mut self.http.0 => drained,
            () = tokio::time::sleep(drain_token) => {
                self.core.frontend().drain_token().cancel();
                (&mut self.http.0).await
            }
        };
        let listener::Drained { aborted } = drained.unwrap_or(listener::Drained { aborted: 0 });
        self.core.fleet().shut_down(ACTORS_PATIENCE).await;
        Stopped { rejected: self.core.frontend().rejected(), cut: aborted }
    }
}
