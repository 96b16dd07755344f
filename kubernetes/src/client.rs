//! Builds a client of the API server from an address and credentials.
//!
//! `kube` can do so from its own `Config`. It then runs credential plugins on its own, for each client and without an
//! end, reads proxies from the environment, and gives no way to check a certificate that is its own authority.

use std::time::Duration;

use http::{Request, Uri, header::AUTHORIZATION};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{
        self,
        connect::{
            HttpConnector,
            proxy::{SocksV5, Tunnel},
        },
    },
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt as _},
};
use lifecycle::budget;
use rustls::pki_types::ServerName;
use tower::{BoxError, Service, ServiceBuilder};

use crate::{
    credentials::Credentials,
    kubeconfig::Context,
    tls::{self, TlsError},
};

/// The timeouts of a client's connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// For establishing a connection.
    pub connect: Duration,
    /// Without a byte of an answer, from the request on.
    pub read: Option<Duration>,
}

/// The error for a client that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificates or keys are not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The proxy's address is not usable.
    #[error(
        "its cluster's proxy-url is not a URL that begins with http:// or socks5://; correct it, or give an address \
         that needs no proxy (K8S_API_SERVER)"
    )]
    Proxy,
    /// The names to act as are not usable.
    #[error("its user's as, as-uid, as-groups or as-user-extra cannot be sent in a header")]
    Impersonation,
}

/// Builds a client. It makes no call.
///
/// # Errors
/// Returns an error if a part of the context or the credentials is not usable.
pub(crate) fn build(
    context: &Context,
    credentials: &Credentials,
    namespace: &str,
    timeouts: Timeouts,
) -> Result<Client, ClientError> {
    let config = config(context);
    let mut http = HttpConnector::new();
    // The scheme is handled by the TLS connector around it.
    http.enforce_http(false);
    // A connection whose other end is gone without a word would look like a slow admission.
    #[cfg(target_os = "linux")]
    http.set_tcp_user_timeout(Some(budget::WRITE));
    let builder = Builder { config, context, credentials, namespace, timeouts };
    let Some(proxy) = &context.proxy else {
        return builder.over(http);
    };
    let address: Uri = proxy.parse().map_err(|_| ClientError::Proxy)?;
    match address.scheme_str() {
        Some("http") => builder.over(Tunnel::new(address, http)),
        Some("socks5") => builder.over(SocksV5::new(address, http)),
        _ => Err(ClientError::Proxy),
    }
}

/// Fills in what `kube`'s layers read.
pub(crate) fn config(context: &Context) -> Config {
    let mut config = Config::new(context.server.clone());
    config.accept_invalid_certs = context.insecure;
    let acts_as = context.impersonation.clone();
    config.auth_info.impersonate = acts_as.user;
    config.auth_info.impersonate_uid = acts_as.uid;
    config.auth_info.impersonate_groups = Some(acts_as.groups);
    config.auth_info.impersonate_user_extra = Some(acts_as.extra.into_iter().collect());
    config
}

struct Builder<'a> {
    config: Config,
    context: &'a Context,
    credentials: &'a Credentials,
    namespace: &'a str,
    timeouts: Timeouts,
}

// === impl Builder ===

impl Builder<'_> {
    /// Builds the client over this connector, which opens the TCP connections.
    fn over<C>(self, connector: C) -> Result<Client, ClientError>
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response:
            hyper::rt::Read + hyper::rt::Write + legacy::connect::Connection + Send + Unpin + 'static,
        C::Future: Send + 'static,
        C::Error: Into<BoxError>,
    {
        let tls = tls::configure(self.config.clone(), self.credentials)?;
        let mut https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        if let Some(name) = &self.context.tls_server_name {
            let name = ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName)?;
            https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
        }
        let mut connector = TimeoutConnector::new(https.enable_http1().wrap_connector(connector));
        connector.set_connect_timeout(Some(self.timeouts.connect));
        connector.set_read_timeout(self.timeouts.read);
        // Without it a read timeout would begin while the request is still being sent.
        connector.set_reset_reader_on_write(true);
        let client = legacy::Builder::new(TokioExecutor::new()).build::<_, Body>(connector);

        let headers = self.config.extra_headers_layer().map_err(|_| ClientError::Impersonation)?;
        let authorization = self.credentials.authorization.clone();
        let service = ServiceBuilder::new()
            .layer(self.config.base_uri_layer())
            .layer(headers)
            .map_request(move |mut request: Request<Body>| {
                if let Some(value) = &authorization {
                    request.headers_mut().insert(AUTHORIZATION, value.clone());
                }
                request
            })
            .service(client);
        Ok(Client::new(service, self.namespace))
    }
}
