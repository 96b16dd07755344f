//! The HTTP client of the exporter.

use std::{
    fmt, io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{HttpClient, HttpError};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::runtime::Handle;

/// The longest deadline of a call.
const DEADLINE_MAX: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes. It only says how many spans were refused.
const ANSWER_MAX: usize = 64 << 10;

/// Calls the collector from the exporter's thread, in the tokio runtime of the program.
pub(crate) struct CollectorClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
    /// The deadline of a call.
    deadline: Duration,
    /// Whether the last call failed, so that an outage is logged once.
    failing: AtomicBool,
}

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file with the certificate authority cannot be read.
    #[error("cannot read the certificate authority of the collector from {path:?}: {source}")]
    Unreadable {
        /// The path.
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file does not contain certificates.
    #[error("{path:?} does not contain certificates in PEM format")]
    Invalid {
        /// The path.
        path: String,
    },
    /// The system has no usable certificate authorities.
    #[error("cannot use the certificate authorities of the system: {0}")]
    System(#[from] rustls::Error),
}

// === impl CollectorClient ===

impl CollectorClient {
    /// Creates a client that trusts the certificate authorities in this file, or else those of the system.
    pub(crate) fn new(certificate: Option<&str>, deadline: Option<Duration>) -> Result<Self, TlsError> {
        let tls = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()?;
        let tls = match certificate {
            Some(path) => tls.with_root_certificates(roots(path)?),
            None => tls.with_platform_verifier()?,
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let deadline = deadline.unwrap_or(DEADLINE_MAX).min(DEADLINE_MAX);
        Ok(Self { client, runtime: Handle::current(), deadline, failing: AtomicBool::new(false) })
    }

    /// Logs the begin and the end of an outage.
    fn note(&self, outcome: Result<(), String>) {
        let was_failing = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Err(why) if !was_failing => {
                tracing::warn!(why, "spans cannot be exported; they are lost until the collector answers");
            }
            Ok(()) if was_failing => tracing::info!("spans are exported again"),
            _ => {}
        }
    }
}

fn roots(path: &str) -> Result<RootCertStore, TlsError> {
    let invalid = || TlsError::Invalid { path: path.to_owned() };
    let text =
        std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        roots.add(certificate.map_err(|_| invalid())?).map_err(|_| invalid())?;
    }
    if roots.is_empty() { Err(invalid()) } else { Ok(roots) }
}

#[async_trait::async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, deadline) = (self.client.clone(), self.deadline);
        // The exporter's thread is not one of the runtime.
        let call = self.runtime.spawn(async move {
            let call = async {
                let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
                let body = Limited::new(body, ANSWER_MAX).collect().await?.to_bytes();
                Ok::<_, HttpError>(Response::from_parts(head, body))
            };
            tokio::time::timeout(deadline, call).await.map_err(HttpError::from).flatten()
        });
        // The call is cancelled when the program ends, which says nothing about the collector.
        let answer = call.await?;
        self.note(match &answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("the collector answered {}", answer.status())),
            Err(error) => Err(with_sources(&**error)),
        });
        answer
    }
}

/// Returns the text of an error with its causes, which the HTTP client keeps apart.
fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

impl fmt::Debug for CollectorClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CollectorClient")
    }
}
