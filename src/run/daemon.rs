//! The daemon as a value: tests and benchmarks run it in their own process, the program runs one.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use actors::sandboxes::Sandboxes;
use tokio::net::TcpListener;

use super::core::{Core, Task};
use crate::{
    listener,
    settings::{self, Settings},
};

/// How long actors have to end what they are at, once no request is left that waits for them: a delete that
/// is being finished, a pair that is being rolled back. With the default drain deadline that makes 29 s, and Kubernetes
/// gives 30.
const ACTORS_PATIENCE: Duration = Duration::from_secs(4);

/// A running daemon.
///
/// Dropping it cuts everything off, as a crash would; [`Daemon::stop`] ends it in good order.
pub struct Daemon {
    address: SocketAddr,
    /// Serves until the core is told to stop, then drains.
    http: Task<listener::Drained>,
    core: Core,
    /// How long a shutdown may take until no request is left.
    drain_deadline: Duration,
}

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error(
        "cannot listen on {address}: {source}; choose another address with --listen, PROVISIONER_LISTEN or `listen` in the settings file"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The actors could not be started.
    #[error("cannot start the supervisor: {0}")]
    Supervisor(#[from] actors::sandboxes::SpawnErr),
}

/// How long before the drain deadline requests that still wait are told that we are shutting down, so that nobody's
/// connection is cut without an answer; half of a shorter deadline.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a shutdown ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Stopped {
    /// Requests that were answered 503 because the drain deadline came before their end.
    pub rejected: usize,
    /// Connections that were cut.
    pub cut: usize,
}

/// How the daemon's running ended without being asked to.
#[derive(Debug, thiserror::Error)]
#[error("the daemon's {part} ended unexpectedly; exiting so that it is started anew")]
pub struct Ended {
    /// Which part.
    part: &'static str,
}

// === impl Daemon ===

impl Daemon {
    /// Starts the daemon on the present runtime. A cluster that is away does not keep it from starting.
    ///
    /// `embedded` takes the place of the cluster that the settings name.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(
        settings: &Settings,
        embedded: Option<simcluster::Cluster>,
    ) -> Result<Self, StartError> {
        let settings::Http { listen, api_key: _, max_connections, drain_deadline, drain_delay } =
            &settings.http;

        let listener = TcpListener::bind(listen)
            .await
            .map_err(|source| StartError::Listen { address: *listen, source })?;
        let address =
            listener.local_addr().map_err(|source| StartError::Listen { address: *listen, source })?;

        let core = Core::start(settings, embedded).await?;
        let edge = core.edge().clone();
        let delay = drain_delay.get().min(drain_deadline.get());
        let limits = listener::Limits {
            connections: max_connections.get(),
            delay,
            drain: drain_deadline.get().saturating_sub(delay),
            ..listener::Limits::default()
        };
        let app = move |request, peer| {
            let edge = edge.clone();
            async move { edge.answer(request, Some(peer)).await }
        };
        let stopped = core.stop().clone().cancelled_owned();
        let http = Task(tokio::spawn(listener::serve(listener, limits, app, stopped)));

        Ok(Self { address, http, core, drain_deadline: drain_deadline.get() })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The handle that the routes use.
    #[must_use]
    pub fn sandboxes(&self) -> &Sandboxes {
        self.core.sandboxes()
    }

    /// Waits for as long as all is well.
    ///
    /// # Errors
    /// When a part ends that should not: then the whole has to.
    pub async fn run(&mut self) -> Result<Infallible, Ended> {
        let part = tokio::select! {
            _ = &mut self.http.0 => "HTTP service",
            part = self.core.ended() => part,
        };
        Err(Ended { part })
    }

    /// Ends in good order: it is no longer ready, then takes no connection any more; requests in flight end, or
    /// are answered 503 shortly before the drain deadline; and actors end what they are at.
    pub async fn stop(mut self) -> Stopped {
        self.core.stop().cancel();
        let drain_token = self.drain_deadline.saturating_sub(LAST_WORDS.min(self.drain_deadline / 2));
        let drained = tokio::select! {
            drained = &mut self.http.0 => drained,
            () = tokio::time::sleep(drain_token) => {
                self.core.edge().drain_token().cancel();
                (&mut self.http.0).await
            }
        };
        let listener::Drained { cut } = drained.unwrap_or(listener::Drained { cut: 0 });
        self.core.sandboxes().shut_down(ACTORS_PATIENCE).await;
        Stopped { rejected: self.core.edge().rejected(), cut }
    }
}
