//! The TLS configuration of the connection to the API server.

use std::sync::Arc;

use kube::{Config, client::ConfigExt as _};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};

use crate::{credentials::Credentials, kubeconfig::Secret};

/// The error for certificates and keys that cannot be used. It contains nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The certificate authority contains no certificate that can be read.
    #[error("its certificate authority cannot be loaded: no usable certificate in PEM")]
    Authority,
    /// The client key is on an unsupported curve.
    #[error(
        "its user's client key is on the curve P-521, which is not supported; use a key on P-256 or P-384, or RSA"
    )]
    CurveP521,
    /// The client key is encrypted.
    #[error("its user's client key is encrypted, which is not supported; store it without a password")]
    EncryptedKey,
    /// The client certificate or its key cannot be used.
    #[error(
        "its user's client certificate or client key cannot be used: expected PEM, and a key that belongs to the certificate"
    )]
    Identity,
    /// The name to check the certificate against is invalid.
    #[error("its TLS server name is not a DNS name or an IP address")]
    ServerName,
    /// The machine's own certificates cannot be loaded.
    #[error("it names no certificate authority, and this machine's own certificates cannot be loaded")]
    Roots,
}

/// The object identifier of the curve P-521 (secp521r1, 1.3.132.0.35) in DER.
const CURVE_P521: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];

/// Builds the TLS configuration for these credentials. `config` says whether certificates are checked.
///
/// # Errors
/// Returns an error if a certificate or a key cannot be used.
pub(crate) fn configure(mut config: Config, credentials: &Credentials) -> Result<ClientConfig, TlsError> {
    if let Some((Secret(certificate), Secret(key))) = &credentials.identity {
        check_key(key)?;
        // kube reads both from the user's inline data.
        let encode = |pem: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pem);
        config.auth_info.client_certificate_data = Some(encode(certificate));
        config.auth_info.client_key_data = Some(encode(key).into());
    }
    let authorities = credentials.authority.as_ref().map(|Secret(pem)| authorities(pem)).transpose()?;
    config.root_cert =
        authorities.as_ref().map(|(found, _)| found.iter().map(|certificate| certificate.to_vec()).collect());
    let refused = if credentials.identity.is_some() { TlsError::Identity } else { TlsError::Roots };
    let mut tls = config.rustls_client_config().map_err(|_| refused)?;
    if let (Some((authorities, store)), false) = (authorities, config.accept_invalid_certs) {
        tls.dangerous().set_certificate_verifier(Arc::new(Verifier::new(authorities, store)?));
    }
    Ok(tls)
}

/// Reads the certificates of a PEM file. Anything else in it, an invalid certificate included, is skipped, as Kubernetes' own
/// clients do.
fn authorities(pem: &[u8]) -> Result<(Vec<CertificateDer<'static>>, RootCertStore), TlsError> {
    let mut store = RootCertStore::empty();
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .filter(|certificate| store.add(certificate.clone()).is_ok())
        .collect();
    if found.is_empty() { Err(TlsError::Authority) } else { Ok((found, store)) }
}

/// Names the kinds of keys that cannot be used. All others are left to the library.
fn check_key(pem: &[u8]) -> Result<(), TlsError> {
    let text = String::from_utf8_lossy(pem);
    if text.contains("ENCRYPTED") {
        return Err(TlsError::EncryptedKey);
    }
    let der = rustls::pki_types::PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::Identity)?;
    let is_p521 = der.secret_der().windows(CURVE_P521.len()).any(|window| window == CURVE_P521);
    if is_p521 { Err(TlsError::CurveP521) } else { Ok(()) }
}

/// Checks the API server's certificate as usual, and also accepts one that the kubeconfig itself names as the
/// certificate authority. Kubernetes' own clients accept it, whereas webpki accepts no certificate of an authority as a
/// server's, and no certificate without that of its issuer.
#[derive(Debug)]
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    authorities: Vec<CertificateDer<'static>>,
}

// === impl Verifier ===

impl Verifier {
    fn new(authorities: Vec<CertificateDer<'static>>, store: RootCertStore) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
        Ok(Self { usual: usual.map_err(|_| TlsError::Authority)?, authorities })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // "An authority is used as a server" has no variant of its own. Whether the certificate is expired is
            // checked before both, and has one.
            Err(Error::InvalidCertificate(CertificateError::Other(_) | CertificateError::UnknownIssuer))
                if self.authorities.iter().any(|authority| authority.as_ref() == end_entity.as_ref()) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
