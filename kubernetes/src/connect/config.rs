//! Loads the configuration of the connection: the kubeconfig file, or the Pod's service account.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use jiff::Timestamp;
use kube::Client;
use tokio::time::Instant;

use crate::{
    certificate::Validity,
    client::{self, ClientError, Timeouts},
    credentials::{self, CredentialKind, Credentials, CredentialsError, Loaded},
    kubeconfig::{Content, Context, Impersonation, KubeconfigError, Login},
};

/// The address of the API server and the options of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The path of the kubeconfig file.
    pub kubeconfig: PathBuf,
    /// The setting that has the path, for the errors about it.
    pub setting: String,
    /// The name of the kubeconfig's context; by default its current one. With a name, the service account is not used.
    pub context: Option<String>,
    /// The API server's address if this program runs in a Pod. Without a kubeconfig it then uses the Pod's service
    /// account.
    pub in_cluster: Option<ServiceAddress>,
    /// The API server's address. It replaces the address of the kubeconfig, and only that: the certificate is still
    /// checked against the same authority and the same name.
    pub api_server: Option<Uri>,
    /// The name that the API server's certificate must contain, instead of its host name.
    pub tls_server_name: Option<String>,
    /// Whether to accept any certificate of the API server.
    pub insecure_skip_tls_verify: bool,
}

/// The API server's address as Kubernetes gives it to each Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAddress {
    /// The host: an IPv4 or IPv6 address, or a name.
    pub host: String,
    /// The port.
    pub port: String,
}

/// The error for a connection that cannot be set up. It contains nothing of the kubeconfig's content.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig does not exist, or is empty.
    #[error(
        "Kubeconfig not found at {}, or empty (waited {} s); mount a kubeconfig file there, or set {setting} to where it is",
        path.display(), waited.as_secs()
    )]
    NotFound {
        /// The path of the kubeconfig.
        path: PathBuf,
        /// The time that it was waited for.
        waited: Duration,
        /// The setting that has the path.
        setting: String,
    },
    /// The kubeconfig's path is a directory. Docker creates one if it mounts a missing file.
    #[error(
        "Kubeconfig path is a directory: {}; mount the kubeconfig file itself (a missing file is mounted as a \
         directory), or set {setting} to a file",
        path.display()
    )]
    IsDirectory {
        /// The path of the directory.
        path: PathBuf,
        /// The setting that has the path.
        setting: String,
    },
    /// The kubeconfig cannot be read.
    #[error("Kubeconfig at {} cannot be read ({kind}); check the file's owner and mode", path.display())]
    Unreadable {
        /// The path of the kubeconfig.
        path: PathBuf,
        /// The error of the operating system.
        kind: io::ErrorKind,
    },
    /// The kubeconfig is invalid or incomplete.
    #[error("Kubeconfig at {} is not usable: {why}", path.display())]
    Invalid {
        /// The path of the kubeconfig.
        path: PathBuf,
        /// The part that is missing or invalid.
        #[source]
        why: KubeconfigError,
    },
    /// The kubeconfig was replaced by one for another API server.
    #[error(
        "Kubeconfig at {} now names another API server; restart the daemon to use it, or restore the file",
        path.display()
    )]
    OtherServer {
        /// The path of the kubeconfig.
        path: PathBuf,
    },
    /// The Pod's service account cannot be used.
    #[error(
        "the in-cluster configuration is not usable: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not an address"
    )]
    InCluster,
    /// The credentials cannot be loaded.
    #[error("{origin} is not usable: {why}")]
    Credentials {
        /// Where the configuration comes from.
        origin: String,
        /// The reason.
        #[source]
        why: CredentialsError,
    },
    /// The client could not be built from the configuration.
    #[error("{origin} is not usable: {why}")]
    Client {
        /// Where the configuration comes from.
        origin: String,
        /// The reason.
        #[source]
        why: ClientError,
    },
}

/// The time to wait for a missing kubeconfig. It is the same as in DeerFlow's provisioner, which may start before the
/// volume of the file is mounted.
pub const KUBECONFIG_WAIT: Duration = Duration::from_secs(30);

/// The interval at which a missing kubeconfig is checked.
const KUBECONFIG_POLL: Duration = Duration::from_millis(500);

/// The timeout for establishing a connection. Kubernetes' own clients allow 30 s, which is as long as our callers wait.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the API server is and how to log in to it, with the options applied.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    pub context: Context,
    /// The server that the kubeconfig names, which the options may replace.
    named_server: Uri,
    /// Where the configuration comes from, for errors.
    origin: String,
}

/// The settings and credentials of an open connection.
#[derive(Debug, Clone)]
pub struct Opened {
    configuration: Configuration,
    loaded: Loaded,
}

/// The two clients of a connection and the API server's address.
pub(super) struct Clients {
    pub calls: Client,
    pub watch: Client,
    pub server: String,
}

// === impl Options ===

impl Options {
    /// Returns the address for the Pod's service account, if that may replace a missing kubeconfig.
    fn service_address(&self) -> Option<&ServiceAddress> {
        self.in_cluster.as_ref().filter(|_| self.context.is_none())
    }
}

// === impl Configuration ===

impl Configuration {
    /// Reads the kubeconfig, or finds the Pod's service account. Waits up to [`KUBECONFIG_WAIT`] for a missing
    /// kubeconfig.
    ///
    /// # Errors
    /// Returns an error if there is no usable configuration.
    pub(super) async fn find(options: &Options) -> Result<Self, ConnectError> {
        match (find(options), options.service_address()) {
            (Err(ConnectError::NotFound { .. }), Some(address)) => {
                let context = service_account(address, Path::new(SERVICE_ACCOUNT))?;
                return Ok(Self::new(options, context, "the Pod's service account".to_owned()));
            }
            (Err(ConnectError::NotFound { .. }), None) => wait_for(options).await?,
            (found, _) => found?,
        }
        Self::read(options).await
    }

    /// Returns where the configuration comes from, for errors.
    pub(crate) fn origin_text(&self) -> &str {
        &self.origin
    }

    async fn read(options: &Options) -> Result<Self, ConnectError> {
        let path = &options.kubeconfig;
        let bytes = credentials::read_file(path.clone())
            .await
            .map_err(|kind| ConnectError::Unreadable { path: path.clone(), kind })?;
        let directory = path.parent().unwrap_or(Path::new("."));
        let context = Context::read(&bytes, directory, options.context.as_deref())
            .map_err(|why| ConnectError::Invalid { path: path.clone(), why })?;
        Ok(Self::new(options, context, format!("Kubeconfig at {}", path.display())))
    }

    fn new(options: &Options, context: Context, origin: String) -> Self {
        Self { named_server: context.server.clone(), context: apply(options, context), origin }
    }
}

/// Reads the kubeconfig, or finds the Pod's service account, without waiting for a missing kubeconfig.
///
/// # Errors
/// Returns an error if there is no usable configuration.
pub(crate) async fn find_now(options: &Options) -> Result<Configuration, ConnectError> {
    match (find(options), options.service_address()) {
        (Err(ConnectError::NotFound { path, setting, .. }), None) => {
            Err(ConnectError::NotFound { path, waited: Duration::ZERO, setting })
        }
        _ => Configuration::find(options).await,
    }
}

// === impl Opened ===

impl Opened {
    /// Loads the credentials of a configuration.
    ///
    /// # Errors
    /// Returns an error if they cannot be loaded.
    pub(crate) async fn load(configuration: Configuration) -> Result<Self, ConnectError> {
        let loaded = credentials::load(&configuration.context)
            .await
            .map_err(|why| ConnectError::Credentials { origin: configuration.origin.clone(), why })?;
        Ok(Self { configuration, loaded })
    }

    /// Returns the credentials.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.loaded.credentials
    }

    /// Loads the credentials again from where they came from, without reading the kubeconfig again.
    ///
    /// # Errors
    /// Returns an error if they cannot be loaded.
    pub(super) async fn reload(&self) -> Result<Self, ConnectError> {
        Self::load(self.configuration.clone()).await
    }

    /// Reads the kubeconfig again, because the API server does not take the credentials.
    ///
    /// # Errors
    /// Returns an error if it is not usable, or names another API server: the sandboxes are on the one that it named
    /// before.
    pub(super) async fn reread(&self, options: &Options) -> Result<Self, ConnectError> {
        if find(options).is_err() {
            return self.reload().await;
        }
        let configuration = Configuration::read(options).await?;
        if configuration.named_server != self.configuration.named_server {
            return Err(ConnectError::OtherServer { path: options.kubeconfig.clone() });
        }
        Self::load(configuration).await
    }

    /// Returns whether both have the same credentials, valid for the same time.
    pub(super) fn is_equivalent(&self, other: &Self) -> bool {
        self.loaded == other.loaded
    }

    /// Returns the time from which the credentials are no longer valid, if it is known.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        self.loaded.expires_at
    }

    /// Returns how long the credentials of this kind are valid, if it is known.
    pub(crate) fn validity(&self, kind: CredentialKind) -> Option<Validity> {
        self.loaded.validity(kind, Timestamp::now())
    }

    /// Returns whether the credentials come from files that may be replaced at any time.
    pub(super) fn has_files(&self) -> bool {
        let Context { authority, identity, login, .. } = &self.configuration.context;
        let contents =
            authority.iter().chain(identity.iter().flat_map(|(certificate, key)| [certificate, key]));
        let runs_plugin = matches!(login, Login::Plugin(_));
        let has_file = matches!(login, Login::TokenFile { .. })
            || contents.into_iter().any(|content| matches!(content, Content::File(_)));
        has_file && !runs_plugin
    }

    /// Builds the client of calls and the client of the watch. Makes no call.
    ///
    /// # Errors
    /// Returns an error if a certificate, a key or the proxy is not usable.
    pub(super) fn clients(&self, namespace: &str, watch_timeout: Duration) -> Result<Clients, ConnectError> {
        let Configuration { context, origin, .. } = &self.configuration;
        let build = |read| {
            let timeouts = Timeouts { connect: CONNECT_TIMEOUT, read };
            client::build(context, &self.loaded.credentials, namespace, timeouts)
                .map_err(|why| ConnectError::Client { origin: origin.clone(), why })
        };
        // The watch's timeout is a safeguard in addition to its own timeouts. It starts with the request, not with the
        // idle connection.
        let (calls, watch) = (build(None)?, build(Some(watch_timeout + Duration::from_secs(10)))?);
        Ok(Clients { calls, watch, server: server(&context.server) })
    }
}

/// The directory of a Pod's service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Builds the context of a Pod's service account. Its namespace is not read: the settings have one. Without a
/// certificate authority the machine's own certificates count, as in Kubernetes' own clients.
pub(super) fn service_account(
    ServiceAddress { host, port }: &ServiceAddress,
    directory: &Path,
) -> Result<Context, ConnectError> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let address = format!("https://{host}:{port}");
    let authority = directory.join("ca.crt");
    Ok(Context {
        server: address.parse().map_err(|_| ConnectError::InCluster)?,
        tls_server_name: None,
        insecure: false,
        authority: authority.exists().then_some(Content::File(authority)),
        proxy: None,
        identity: None,
        login: Login::TokenFile { path: directory.join("token"), fallback: None },
        impersonation: Impersonation::default(),
    })
}

async fn wait_for(options: &Options) -> Result<(), ConnectError> {
    let end = Instant::now() + KUBECONFIG_WAIT;
    tracing::info!(path = %options.kubeconfig.display(), "no kubeconfig yet; waiting for it");
    loop {
        tokio::time::sleep(KUBECONFIG_POLL).await;
        match find(options) {
            Err(ConnectError::NotFound { .. }) if Instant::now() < end => {}
            found => return found,
        }
    }
}

/// Checks once for the kubeconfig. An empty file is still being written and counts as missing.
fn find(options: &Options) -> Result<(), ConnectError> {
    let (path, setting) = (|| options.kubeconfig.clone(), || options.setting.clone());
    match std::fs::metadata(&options.kubeconfig) {
        Ok(found) if found.is_dir() => Err(ConnectError::IsDirectory { path: path(), setting: setting() }),
        Ok(found) if found.len() > 0 || !found.is_file() => Ok(()),
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(ConnectError::Unreadable { path: path(), kind: error.kind() })
        }
        _ => Err(ConnectError::NotFound { path: path(), waited: KUBECONFIG_WAIT, setting: setting() }),
    }
}

/// Applies the options to a context.
pub(super) fn apply(options: &Options, mut context: Context) -> Context {
    if let Some(address) = &options.api_server {
        // The certificate contains the name of the kubeconfig's server, not the address that replaces it.
        if context.tls_server_name.is_none() && address.scheme() == Some(&Scheme::HTTPS) {
            context.tls_server_name = context.server.host().map(bare_host);
        }
        context.server = address.clone();
        context.proxy = None;
    }
    if let Some(name) = &options.tls_server_name {
        context.tls_server_name = Some(name.clone());
    }
    context.insecure |= options.insecure_skip_tls_verify;
    context
}

/// Returns the scheme, host and port of the API server. The rest of the URL may contain a password.
pub(crate) fn server(url: &Uri) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme_str().unwrap_or("https"), url.host().unwrap_or_default())
}

/// Returns the host of a URL as certificates write it: without the brackets of an IPv6 address.
pub(crate) fn bare_host(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}
