//! The connection to the API server.
//!
//! Connecting is lazy: no call is made here. An API server that cannot be reached fails the first call, not the
//! startup. There are two clients, so that calls and the watch never wait for each other.

mod config;
mod renewal;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;
use kube::{Client, client::Body};
use lifecycle::{budget, traits::Clock};
use parking_lot::RwLock;
use prometheus_client::registry::Registry;
use tower::{BoxError, Service};

use self::config::Configuration;
pub use self::config::{ConnectError, KUBECONFIG_WAIT, Opened, Options, ServiceAddress};
pub(crate) use self::config::{bare_host, find_now, server};
use crate::{
    calls::{self, Calls},
    clock::ServerClock,
    credentials::CredentialKind,
    fault::CallError,
    kubeconfig::{Context, Login},
    metrics::Metrics,
};

/// The limits on calls to the API server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The maximum number of calls in flight. Each uses a connection. The watch is not counted.
    pub in_flight: usize,
    /// The time in which a write is retried, and after which an unanswered one is checked with a read.
    pub write: Duration,
    /// The deadline of a write that is not a create.
    pub unattended_write: Duration,
    /// The deadline of a read, including retries.
    pub read: Duration,
    /// The maximum length of an answer, in bytes. An event of a watch may have a quarter of it.
    pub answer: usize,
}

/// A connection to the API server, which may not exist yet. Until it does, each call fails with the reason.
///
/// It is cheap to clone and stays usable for the lifetime of the process. All clones are connected together.
#[derive(Clone)]
pub struct Connection {
    namespace: Arc<str>,
    limits: Limits,
    clock: Arc<ServerClock>,
    /// The clients, or the reason why there are none yet.
    clients: Arc<RwLock<Result<Clients, Arc<str>>>>,
    metrics: Metrics,
}

struct Clients {
    /// The client for reads and writes of single objects.
    calls: Calls,
    /// The client for the shared watch.
    watch: Calls,
}

/// The timeout that a watch request asks for. The end of a quiet watch proves that the connection is alive, so this is
/// also the maximum age of the state of a quiet cluster. The API server's default of half an hour, and the 290 s of
/// `kube`, would leave a dead connection unnoticed for as long.
pub(crate) const WATCH_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum length of an answer, in bytes: a page of 500 Pods is about 10 MiB, and the API server's own maximum for an
/// object is 1.5 MiB.
const ANSWER_MAX: usize = 64 << 20;

/// The maximum number of calls of the watch in flight: one list or watch request for each of the four kinds.
const WATCH_IN_FLIGHT: usize = 4;

// === impl Limits ===

impl Default for Limits {
    /// Uses the deadlines of the [`budget`].
    fn default() -> Self {
        Self {
            in_flight: 64,
            write: budget::WRITE,
            unattended_write: budget::UNATTENDED_WRITE,
            read: budget::READ,
            answer: ANSWER_MAX,
        }
    }
}

impl Limits {
    /// Returns how many sandboxes to create at once. Each needs two calls, and creates may use only a part of all
    /// calls.
    #[must_use]
    pub const fn creates_at_once(&self) -> usize {
        let pairs = calls::creates_of(self.in_flight) / 2;
        if pairs == 0 { 1 } else { pairs }
    }
}

// === impl Connection ===

impl Connection {
    /// Returns a handle without a connection. [`Connection::open`] connects it.
    #[must_use]
    pub fn new(namespace: &str, limits: Limits) -> Self {
        Self {
            namespace: namespace.into(),
            limits,
            clock: Arc::default(),
            clients: Arc::new(RwLock::new(Err("not connected yet".into()))),
            metrics: Metrics::default(),
        }
    }

    /// Creates a connection over any service that behaves like an API server, such as the embedded cluster.
    ///
    /// Must be called within a tokio runtime. If the service fails with an [`std::io::Error`] of kind
    /// `ConnectionRefused`, or with a message that starts with "connection refused", nothing was sent. After any other
    /// error the outcome of a write is unknown.
    pub fn from_service<S, B>(service: S, namespace: &str, limits: Limits) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let connection = Self::new(namespace, limits);
        let calls = Client::new(service.clone(), namespace);
        connection.set_clients(calls, Client::new(service, namespace), None);
        connection
    }

    /// Connects with these options. Waits up to [`KUBECONFIG_WAIT`] for a missing kubeconfig. On failure, the error
    /// becomes the reason of all calls that fail for lack of a connection.
    ///
    /// # Errors
    /// Returns an error if there is no usable configuration. An API server that cannot be reached is not an error here.
    pub async fn open(&self, options: &Options) -> Result<Opened, ConnectError> {
        let opened = async {
            let configuration = Configuration::find(options).await?;
            let Context { insecure, login, .. } = &configuration.context;
            if *insecure {
                tracing::warn!(
                    "the API server's certificate is NOT checked: anyone on the way can read the credentials and act \
                     in the cluster; give the name in the certificate instead of switching the check off"
                );
            }
            if let Login::Plugin(plugin) = login {
                *self.clients.write() =
                    Err(format!("waiting for the credential plugin {}", plugin.command.display()).into());
            }
            let opened = Opened::load(configuration).await?;
            self.connect(&opened)?;
            Ok(opened)
        };
        let opened = opened.await;
        if let Err(error) = &opened {
            *self.clients.write() = Err(ConnectError::to_string(error).into());
        }
        opened
    }

    /// Uses these credentials from the next call on.
    pub(crate) fn connect(&self, opened: &Opened) -> Result<(), ConnectError> {
        let built = opened.clients(&self.namespace, WATCH_TIMEOUT)?;
        self.set_clients(built.calls, built.watch, Some(built.server.into()));
        for kind in CredentialKind::ALL {
            self.metrics.set_validity(kind.name(), opened.validity(kind));
        }
        Ok(())
    }

    /// Uses two clients that do not retry by themselves.
    fn set_clients(&self, calls: Client, watch: Client, server: Option<Arc<str>>) {
        let mut clients = self.clients.write();
        *clients = Ok(match &*clients {
            Ok(old) => Clients { calls: old.calls.with_client(calls), watch: old.watch.with_client(watch) },
            Err(_) => Clients {
                calls: Calls::new(
                    calls,
                    self.limits.in_flight,
                    self.limits.answer,
                    self.clock.clone(),
                    server.clone(),
                    self.metrics.clone(),
                ),
                watch: Calls::new(
                    watch,
                    WATCH_IN_FLIGHT,
                    self.limits.answer,
                    self.clock.clone(),
                    server,
                    self.metrics.clone(),
                ),
            },
        });
    }

    /// Returns the client for reads and writes of single objects.
    ///
    /// # Errors
    /// [`CallError::NotConnected`] while there is no connection.
    pub(crate) fn calls(&self) -> Result<Calls, CallError> {
        self.client(|clients| &clients.calls)
    }

    /// Returns the client for the shared watch.
    ///
    /// # Errors
    /// [`CallError::NotConnected`] while there is no connection.
    pub(crate) fn watch(&self) -> Result<Calls, CallError> {
        self.client(|clients| &clients.watch)
    }

    fn client(&self, which: impl Fn(&Clients) -> &Calls) -> Result<Calls, CallError> {
        match &*self.clients.read() {
            Ok(clients) => Ok(which(clients).clone()),
            Err(why) => Err(CallError::NotConnected { why: why.clone() }),
        }
    }

    /// Adds the metrics of the calls to the API server that other Kubernetes clients have too.
    pub fn register_shared_metrics(&self, registry: &mut Registry) {
        self.metrics.register_shared(registry);
    }

    /// Adds the metrics of the calls to the API server that only this program has.
    pub fn register_own_metrics(&self, registry: &mut Registry) {
        self.metrics.register_own(registry);
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns the reason why there is no connection, or `None` if there is one.
    #[must_use]
    pub fn unready_reason(&self) -> Option<String> {
        self.clients.read().as_ref().err().map(ToString::to_string)
    }

    /// Returns the namespace of all sandboxes.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }
}

impl Clock for Connection {
    /// Returns the time of the API server's clock; before its first answer, the time of this machine's clock.
    fn wall(&self) -> Timestamp {
        self.clock.now().unwrap_or_else(Timestamp::now)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("namespace", &self.namespace)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
