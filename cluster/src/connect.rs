//! From settings to a connection with the API server.
//!
//! Connecting is lazy: nothing is sent here, and an API server that is away is a fault of the first call, not
//! of the start. Two clients are made, so that calls never wait for the watch nor the watch for calls.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri, uri::Scheme};
use jiff::Timestamp;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use tokio::time::Instant;
use tower::{BoxError, Service};

use lifecycle::budget;

use crate::{
    calls::{self, Calls},
    clock::ServerClock,
    watch,
};

/// Where the cluster is, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Options {
    /// The kubeconfig file.
    pub kubeconfig: PathBuf,
    /// Whether we run in a Pod (`KUBERNETES_SERVICE_HOST` is set): its service account serves where there is
    /// no kubeconfig.
    pub in_cluster: bool,
    /// The API server's address, in place of the kubeconfig's. It changes the address only: the certificate
    /// is checked against the same authority and under the same name as before.
    pub api_server: Option<Uri>,
    /// The name that the API server's certificate is checked for, in place of its own host's.
    pub tls_server_name: Option<String>,
    /// Not to check the API server's certificate at all.
    pub insecure_skip_tls_verify: bool,
    /// The namespace of all sandboxes.
    pub namespace: String,
    /// Bounds on calls.
    pub limits: Limits,
}

/// Bounds on the calls to the API server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many calls may be in flight at once, each of them a connection. The watch is not among them.
    pub in_flight: usize,
    /// When a write must have ended, retries included.
    pub write: Duration,
    /// When a read must have ended, retries included.
    pub read: Duration,
}

/// A connection with the API server: cheap to clone, and good for as long as the process lives.
#[derive(Clone)]
pub struct Connection {
    /// For reads and writes of single objects.
    pub(crate) calls: Calls,
    /// For the shared watch alone.
    pub(crate) watch: Calls,
    pub(crate) namespace: Arc<str>,
    pub(crate) limits: Limits,
}

/// Why no connection could be set up. Nothing of a kubeconfig's content is in it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no kubeconfig.
    #[error(
        "Kubeconfig not found at {} (waited {} s); mount a kubeconfig file there, or set KUBECONFIG_PATH to where it is",
        path.display(), waited.as_secs()
    )]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
        /// For how long.
        waited: Duration,
    },
    /// There is a directory in the kubeconfig's place, as Docker makes one for a missing file.
    #[error(
        "Kubeconfig path is a directory: {}; mount the kubeconfig file itself (a missing file is mounted as a \
         directory), or set KUBECONFIG_PATH to a file",
        path.display()
    )]
    IsDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The kubeconfig cannot be read.
    #[error("Kubeconfig at {} cannot be read ({kind}); check the file's owner and mode", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// The kubeconfig is not one, or not a complete one.
    #[error("Kubeconfig at {} is not usable: {why}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        why: &'static str,
    },
    /// The Pod's service account is not usable.
    #[error("the in-cluster configuration is not usable: {why}")]
    InCluster {
        /// What is missing.
        why: String,
    },
    /// No client could be made of the configuration.
    #[error("no connection can be made to the API server: {why}")]
    Client {
        /// What is wrong.
        why: &'static str,
    },
}

/// How long a missing kubeconfig is waited for: as long as the original provisioner does, which may start
/// before the volume that the file is on.
pub const KUBECONFIG_WAIT: Duration = Duration::from_secs(30);

/// How often a missing kubeconfig is looked for.
const KUBECONFIG_POLL: Duration = Duration::from_millis(500);

/// When a connection must have come about. Kubernetes' own clients allow 30 s, as long as our callers wait.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How many calls of the watch may be in flight: a list or the opening of a watch for each of the two kinds.
const WATCH_IN_FLIGHT: usize = 2;

// === impl Limits ===

impl Default for Limits {
    /// The deadlines of the [`budget`].
    fn default() -> Self {
        Self { in_flight: 64, write: budget::WRITE, read: budget::READ }
    }
}

impl Limits {
    /// How many sandboxes to make at once: each takes two calls, and creates have their share of the calls.
    #[must_use]
    pub const fn creates_at_once(&self) -> usize {
        let pairs = calls::creates_of(self.in_flight) / 2;
        if pairs == 0 { 1 } else { pairs }
    }
}

// === impl Connection ===

impl Connection {
    /// A connection as the options have it. Waits up to [`KUBECONFIG_WAIT`] for a missing kubeconfig.
    ///
    /// # Errors
    /// When there is no usable configuration. An API server that is away is no error here.
    pub async fn open(options: &Options) -> Result<Self, ConnectError> {
        let mut config = load(options).await?;
        apply(options, &mut config);
        let mut watch = config.clone();
        // A second line behind the watch's own timeouts; it counts from the request, not from the idle pool.
        watch.read_timeout = Some(watch::TIMEOUT + Duration::from_secs(10));
        watch.reset_reader_on_write = true;
        let server: Arc<str> = server(&config.cluster_url).into();
        let Self { calls, watch, namespace, limits } = Self::from_clients(
            client(config).await?,
            client(watch).await?,
            &options.namespace,
            options.limits,
        );
        Ok(Self { calls: calls.at(server.clone()), watch: watch.at(server), namespace, limits })
    }

    /// A connection through any service that answers as an API server does, such as an embedded one.
    ///
    /// Must be called within a tokio runtime. An error of the service tells that nothing was sent if it is an
    /// [`io::Error`] of kind `ConnectionRefused` or reads "connection refused"; after any other the outcome of
    /// a write is unknown.
    pub fn from_service<S, B>(service: S, namespace: &str, limits: Limits) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let calls = Client::new(service.clone(), namespace);
        Self::from_clients(calls, Client::new(service, namespace), namespace, limits)
    }

    /// A connection through two clients that retry nothing themselves.
    fn from_clients(calls: Client, watch: Client, namespace: &str, limits: Limits) -> Self {
        let clock = Arc::<ServerClock>::default();
        Self {
            calls: Calls::new(calls, limits.in_flight, clock.clone()),
            watch: Calls::new(watch, WATCH_IN_FLIGHT, clock),
            namespace: namespace.into(),
            limits,
        }
    }

    /// What the API server's clock shows; `None` before its first answer.
    #[must_use]
    pub fn server_time(&self) -> Option<Timestamp> {
        self.calls.clock().now()
    }

    /// The namespace of all sandboxes.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
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

// === configuration ===

async fn load(options: &Options) -> Result<Config, ConnectError> {
    let path = &options.kubeconfig;
    match find(path) {
        Err(ConnectError::NotFound { .. }) if options.in_cluster => {
            return Config::incluster_env()
                .map_err(|error| ConnectError::InCluster { why: error.to_string() });
        }
        Err(ConnectError::NotFound { .. }) => wait_for(path).await?,
        other => other?,
    }
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| refused(path, &error))?;
    let proxied = names_proxy(&kubeconfig);
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| refused(path, &error))?;
    // `kube` also takes HTTPS_PROXY, without a thought for NO_PROXY. That variable is there for the registry
    // and the like; in a cluster it is not looked at either.
    if !proxied && config.proxy_url.take().is_some() {
        tracing::info!("HTTPS_PROXY is set; the API server is reached without it");
    }
    Ok(config)
}

fn names_proxy(kubeconfig: &Kubeconfig) -> bool {
    kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref()).any(|c| c.proxy_url.is_some())
}

async fn wait_for(path: &Path) -> Result<(), ConnectError> {
    let end = Instant::now() + KUBECONFIG_WAIT;
    tracing::info!(path = %path.display(), "no kubeconfig yet; waiting for it");
    loop {
        tokio::time::sleep(KUBECONFIG_POLL).await;
        match find(path) {
            Err(ConnectError::NotFound { .. }) if Instant::now() < end => {}
            found => return found,
        }
    }
}

/// Looks once. A file that is still empty is being written: it is not there yet.
fn find(path: &Path) -> Result<(), ConnectError> {
    let path = || path.to_owned();
    match std::fs::metadata(path()) {
        Ok(found) if found.is_dir() => Err(ConnectError::IsDirectory { path: path() }),
        Ok(found) if found.len() > 0 || !found.is_file() => Ok(()),
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(ConnectError::Unreadable { path: path(), kind: error.kind() })
        }
        _ => Err(ConnectError::NotFound { path: path(), waited: KUBECONFIG_WAIT }),
    }
}

/// What is wrong with a kubeconfig, without a word of it: a parser's complaint quotes the line.
fn refused(path: &Path, error: &KubeconfigError) -> ConnectError {
    let why = match error {
        KubeconfigError::ReadConfig(source, _) if source.kind() != io::ErrorKind::InvalidData => {
            return ConnectError::Unreadable { path: path.to_owned(), kind: source.kind() };
        }
        KubeconfigError::CurrentContextNotSet => "it names no current-context",
        KubeconfigError::LoadContext(_) => "its current-context is not among its contexts",
        KubeconfigError::LoadClusterOfContext(_) => "its context's cluster is not among its clusters",
        KubeconfigError::MissingClusterUrl => "its cluster has no server",
        KubeconfigError::ParseClusterUrl(_) => "its cluster's server is not a URL",
        KubeconfigError::ParseProxyUrl(_) => "its proxy-url (or HTTPS_PROXY) is not a URL",
        KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => {
            "its certificate authority cannot be loaded"
        }
        KubeconfigError::LoadClientCertificate(_) => "its user's client certificate cannot be loaded",
        KubeconfigError::LoadClientKey(_) => "its user's client key cannot be loaded",
        _ => "it is not a valid kubeconfig",
    };
    ConnectError::Invalid { path: path.to_owned(), why }
}

/// The options' changes to what was loaded, and our own policy in place of the client's.
fn apply(options: &Options, config: &mut Config) {
    if let Some(address) = &options.api_server {
        // The certificate names the kubeconfig's server, not the address by which we reach it.
        if config.tls_server_name.is_none() && address.scheme() == Some(&Scheme::HTTPS) {
            config.tls_server_name = config.cluster_url.host().map(bare_host);
        }
        config.cluster_url = address.clone();
    }
    if let Some(name) = &options.tls_server_name {
        config.tls_server_name = Some(name.clone());
    }
    if options.insecure_skip_tls_verify {
        config.accept_invalid_certs = true;
    }
    if config.accept_invalid_certs {
        tracing::warn!(
            "the API server's certificate is NOT checked: anyone on the way can read the credentials and \
             act in the cluster; give the name in the certificate instead of switching the check off"
        );
    }
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
}

/// Where the API server is: scheme, host and port, without the rest of its URL, which may hold a password.
fn server(url: &Uri) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme_str().unwrap_or("https"), url.host().unwrap_or_default())
}

/// A URL's host as a certificate has it: without the brackets of an IPv6 address.
fn bare_host(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Makes a client. A kubeconfig may name a program that gives the credentials, which is run (and waited
/// for) here: not on a thread that serves requests.
async fn client(config: Config) -> Result<Client, ConnectError> {
    let made = tokio::task::spawn_blocking(move || Client::try_from(config)).await;
    let error = match made {
        Ok(Ok(client)) => return Ok(client),
        Ok(Err(error)) => error,
        Err(_) => return Err(ConnectError::Client { why: "setting up the client failed" }),
    };
    Err(ConnectError::Client {
        why: match error {
            kube::Error::Auth(_) => "the kubeconfig's user gives no usable credentials",
            kube::Error::RustlsTls(_) => "its certificates, keys or TLS server name are not usable",
            kube::Error::ProxyProtocolDisabled { .. } | kube::Error::ProxyProtocolUnsupported { .. } => {
                "the kubeconfig has a proxy-url, which is not supported; give an address that needs none (K8S_API_SERVER)"
            }
            _ => "the configuration is not usable",
        },
    })
}

#[cfg(test)]
mod tests;
