//! Opens a connection as the daemon does, without waiting for a missing kubeconfig, and tells its properties.

use std::{sync::Arc, time::Duration};

use http::{Uri, uri::Scheme};
use jiff::Timestamp;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::time::{Instant, timeout_at};

use crate::{
    certificate::Validity,
    client,
    connect::{self, ConnectError, Connection, Limits, Options, find_now},
    credentials::{CredentialKind, Credentials, CredentialsError, PluginError},
    kubeconfig::{Context, Login},
    tls,
};

/// The properties of a connection. They contain no secret.
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Where the configuration comes from.
    pub origin: Origin,
    /// The scheme, the host and the port of the API server.
    pub server: String,
    /// The host of the API server, without the brackets of an IPv6 address.
    pub host: String,
    /// The port of the API server.
    pub port: u16,
    /// Whether the API server is reached with TLS.
    pub is_https: bool,
    /// Whether a proxy is between.
    pub has_proxy: bool,
    /// Whether the API server's certificate is checked.
    pub checks_certificate: bool,
    /// The validity of the client certificate, if there is one.
    pub client_certificate: Option<Validity>,
    /// The end of the token, if it is known.
    pub token_end: Option<Timestamp>,
    /// Whether the daemon gets a new token by itself: from a file or a plugin.
    pub token_is_renewed: bool,
}

/// Where the configuration of a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The kubeconfig.
    Kubeconfig,
    /// The service account of the Pod.
    ServiceAccount,
}

/// A connection that may be used for calls.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Its properties.
    pub access: Access,
    /// The connection.
    pub connection: Connection,
    pub(super) tls: Option<Tls>,
}

/// The TLS configuration of a connection.
#[derive(Clone)]
pub(super) struct Tls {
    pub config: Arc<ClientConfig>,
    pub name: ServerName<'static>,
}

/// The error for a connection that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// As for the daemon.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The files with credentials were not read in time.
    #[error("the files with credentials could not be read in time")]
    TimedOut,
}

/// Opens a connection. Credentials must be loaded before `deadline`.
///
/// # Errors
/// Returns an error if there is no usable configuration, also if the kubeconfig does not exist yet.
pub async fn open(
    options: &Options,
    namespace: &str,
    limits: Limits,
    deadline: Instant,
) -> Result<Opened, OpenError> {
    let begin = Instant::now();
    let configuration = timeout_at(deadline, find_now(options)).await.map_err(|_| OpenError::TimedOut)??;
    let (context, origin) = (configuration.context.clone(), configuration.origin_text().to_owned());
    let loaded = match timeout_at(deadline, connect::Opened::load(configuration)).await {
        Ok(loaded) => loaded?,
        Err(_) => return Err(late(&context, origin, begin.elapsed())),
    };
    let connection = Connection::new(namespace, limits);
    connection.connect(&loaded)?;
    let tls = tls_of(&context, loaded.credentials());
    let access = access(&context, &loaded, options);
    Ok(Opened { access, connection, tls })
}

fn late(context: &Context, origin: String, after: Duration) -> OpenError {
    match &context.login {
        Login::Plugin(plugin) => {
            let why = PluginError::TimedOut { command: plugin.command.clone(), after };
            ConnectError::Credentials { origin, why: CredentialsError::Plugin(why) }.into()
        }
        _ => OpenError::TimedOut,
    }
}

fn access(context: &Context, loaded: &connect::Opened, options: &Options) -> Access {
    let is_https = context.server.scheme() != Some(&Scheme::HTTP);
    let host = connect::bare_host(context.server.host().unwrap_or_default());
    let is_kubeconfig = options.in_cluster.is_none() || options.kubeconfig.exists();
    Access {
        origin: if is_kubeconfig { Origin::Kubeconfig } else { Origin::ServiceAccount },
        server: connect::server(&context.server),
        host,
        port: port(&context.server, is_https),
        is_https,
        has_proxy: context.proxy.is_some(),
        checks_certificate: !context.insecure,
        client_certificate: loaded.validity(CredentialKind::Certificate),
        token_end: loaded.validity(CredentialKind::Token).map(|validity| validity.until),
        token_is_renewed: matches!(context.login, Login::TokenFile { .. } | Login::Plugin(_)),
    }
}

fn port(server: &Uri, is_https: bool) -> u16 {
    server.port_u16().unwrap_or(if is_https { 443 } else { 80 })
}

fn tls_of(context: &Context, credentials: &Credentials) -> Option<Tls> {
    // The same configuration has just built the clients, so it has no errors.
    let config = tls::configure(client::config(context), credentials).ok()?;
    let host = context
        .tls_server_name
        .clone()
        .unwrap_or_else(|| connect::bare_host(context.server.host().unwrap_or_default()));
    let name = ServerName::try_from(host).ok()?;
    Some(Tls { config: Arc::new(config), name })
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}
