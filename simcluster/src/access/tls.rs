//! Self-signed certificates.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{ToSpan as _, Zoned};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::accept::accept;
use crate::cluster::Cluster;
use crate::serve::serve_connection;

/// A certificate for the API server and the authority that signed it. Both are created in memory: a restart creates
/// new ones.
///
/// ```
/// let tls = simcluster::Tls::generate(&["my-machine.local".to_owned()]).unwrap();
/// assert!(tls.authority().starts_with("-----BEGIN CERTIFICATE-----"));
/// ```
#[derive(Clone)]
pub struct Tls {
    authority: String,
    acceptor: TlsAcceptor,
}

/// Why no certificate was created.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// An invalid address or DNS name, or no randomness for a key.
    #[error("cannot create a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library rejects the certificate.
    #[error("cannot use the certificate: {0}")]
    Unusable(#[from] tokio_rustls::rustls::Error),
}

/// The names of a cluster on this machine, from the machine itself and from a container.
const NAMES: [&str; 6] =
    ["localhost", "127.0.0.1", "::1", "host.docker.internal", "kubernetes", "kubernetes.default.svc"];

/// The timeout of the TLS handshake, as long as `kubectl`'s.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The validity of a certificate, in years.
const YEARS: i32 = 1;

// === impl Tls ===

impl Tls {
    /// Creates an authority and a certificate for 127.0.0.1, `::1`, `localhost`, `host.docker.internal`, the Service
    /// `kubernetes` (its DNS names), and more names or addresses.
    ///
    /// # Errors
    ///
    /// [`TlsError::Certificate`] for a name that is not valid in a certificate.
    pub fn generate(more: &[String]) -> Result<Self, TlsError> {
        let today = Zoned::now().date();
        let authority_key = KeyPair::generate()?;
        let mut authority = params(Vec::new(), "simcluster-ca", today)?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = authority.self_signed(&authority_key)?;
        let pem = pem::encode(&pem::Pem::new("CERTIFICATE", certificate.der().to_vec()));

        let mut names: Vec<String> = NAMES.map(str::to_owned).to_vec();
        names.extend(more.iter().filter(|name| !NAMES.contains(&name.as_str())).cloned());
        let mut server = params(names, "kube-apiserver", today)?;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;
        let signed = server.signed_by(&server_key, &Issuer::new(authority, authority_key))?;

        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![signed.der().clone(), certificate.der().clone()], key)?;
        // The server does not support HTTP/2.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { authority: pem, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Returns the authority's certificate as PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl std::fmt::Debug for Tls {
    /// Hides the key, which is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("authority", &self.authority).finish_non_exhaustive()
    }
}

fn params(names: Vec<String>, common_name: &str, today: Date) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let midnight = |date: Date| {
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    // Valid since yesterday, for clients whose clock is behind.
    params.not_before = midnight(today.saturating_sub(1.day()));
    params.not_after = midnight(today.saturating_add(YEARS.years()));
    Ok(params)
}

/// Like [`serve`](crate::serve()), over TLS. While the cluster is unavailable, connections are closed after the
/// handshake.
pub async fn serve_tls(
    listener: TcpListener,
    cluster: Cluster,
    tls: Tls,
    shutdown: impl Future<Output = ()> + Send,
) {
    let serve = move |stream: TcpStream| {
        let handshake = timeout(HANDSHAKE_TIMEOUT, tls.acceptor.accept(stream));
        let service = cluster.service();
        async move {
            match handshake.await {
                Ok(Ok(stream)) => serve_connection(stream, service).await,
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake timed out"),
            }
        }
    };
    accept(&listener, serve, shutdown).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that a name that is not valid in a certificate is an error.
    #[test]
    fn extra_names_are_validated() {
        assert!(Tls::generate(&["10.0.0.1".to_owned(), "localhost".to_owned()]).is_ok());
        assert!(matches!(Tls::generate(&["na\u{ef}ve".to_owned()]), Err(TlsError::Certificate(_))));
    }

    #[test]
    fn the_key_is_not_shown() {
        let tls = Tls::generate(&[]).unwrap();
        assert!(!format!("{tls:?}").contains("PRIVATE"));
    }
}
