//! Loads the configuration of the connection: the kubeconfig file, or the Pod's service account.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use tokio::time::Instant;

/// The address of the API server and the options of the connection.
#[derive(Debug, Clone)]
pub struct Options {
    /// The path of the kubeconfig file.
    pub kubeconfig: PathBuf,
    /// Whether this program runs in a Pod (`KUBERNETES_SERVICE_HOST` is set). Without a kubeconfig it then uses the
    /// Pod's service account.
    pub in_cluster: bool,
    /// The API server's address. It replaces the address of the kubeconfig, and only that: the certificate is still
    /// checked against the same authority and the same name.
    pub api_server: Option<Uri>,
    /// The name that the API server's certificate must contain, instead of its host name.
    pub tls_server_name: Option<String>,
    /// Whether to accept any certificate of the API server.
    pub insecure_skip_tls_verify: bool,
}

/// The error for a connection that cannot be set up. It contains nothing of the kubeconfig's content.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig does not exist.
    #[error(
        "Kubeconfig not found at {} (waited {} s); mount a kubeconfig file there, or set KUBECONFIG_PATH to where it is",
        path.display(), waited.as_secs()
    )]
    NotFound {
        /// The path of the kubeconfig.
        path: PathBuf,
        /// The time that it was waited for.
        waited: Duration,
    },
    /// The kubeconfig's path is a directory. Docker creates one if it mounts a missing file.
    #[error(
        "Kubeconfig path is a directory: {}; mount the kubeconfig file itself (a missing file is mounted as a \
         directory), or set KUBECONFIG_PATH to a file",
        path.display()
    )]
    IsDirectory {
        /// The path of the directory.
        path: PathBuf,
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
        why: &'static str,
    },
    /// The Pod's service account cannot be used.
    #[error("the in-cluster configuration is not usable: {why}")]
    InCluster {
        /// The part that is missing.
        why: String,
    },
    /// The client could not be built from the configuration.
    #[error("no connection can be made to the API server: {why}")]
    Client {
        /// The reason.
        why: &'static str,
    },
}

/// The time to wait for a missing kubeconfig. It is the same as in DeerFlow's provisioner, which may start before the
/// volume of the file is mounted.
pub const KUBECONFIG_WAIT: Duration = Duration::from_secs(30);

/// The interval at which a missing kubeconfig is checked.
const KUBECONFIG_POLL: Duration = Duration::from_millis(500);

/// The timeout for establishing a connection. Kubernetes' own clients allow 30 s, which is as long as our callers wait.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Builds the client of calls and the client of the watch. Returns them with the API server's URL.
///
/// # Errors
/// Returns an error if there is no usable configuration.
pub async fn clients(
    options: &Options,
    watch_timeout: Duration,
) -> Result<(Client, Client, String), ConnectError> {
    let mut config = load(options).await?;
    apply(options, &mut config);
    let mut watch = config.clone();
    // This timeout is a safeguard in addition to the watch's own timeouts. It starts with the request, not with the
    // idle connection.
    watch.read_timeout = Some(watch_timeout + Duration::from_secs(10));
    watch.reset_reader_on_write = true;
    let server = server(&config.cluster_url);
    Ok((client(config).await?, client(watch).await?, server))
}

pub(super) async fn load(options: &Options) -> Result<Config, ConnectError> {
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
    // `kube` also uses HTTPS_PROXY and ignores NO_PROXY. That variable is meant for the registry and similar hosts. In
    // a cluster it is not used for the API server either.
    if !proxied && config.proxy_url.take().is_some() {
        tracing::info!("HTTPS_PROXY is set; the API server is reached without it");
    }
    Ok(config)
}

pub(super) fn names_proxy(kubeconfig: &Kubeconfig) -> bool {
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

/// Checks once for the kubeconfig. An empty file is still being written and counts as missing.
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

/// Describes the error of a kubeconfig without quoting it: the parser's error contains the invalid line.
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

/// Applies the options to the loaded configuration, and turns off the client's own retries.
pub(super) fn apply(options: &Options, config: &mut Config) {
    if let Some(address) = &options.api_server {
        // The certificate contains the name of the kubeconfig's server, not the address that replaces it.
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

/// Returns the scheme, host and port of the API server. The rest of the URL may contain a password.
pub(super) fn server(url: &Uri) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme_str().unwrap_or("https"), url.host().unwrap_or_default())
}

/// Returns the host of a URL as certificates write it: without the brackets of an IPv6 address.
pub(super) fn bare_host(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Builds a client. A kubeconfig may name a program that provides the credentials. The program is run on a thread for
/// blocking tasks, not on one that serves requests.
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
