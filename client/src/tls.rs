//! HTTPS, for a daemon behind a proxy.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The TLS of one host.
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

// === impl Tls ===

impl Tls {
    /// Trusts the certificates of the file, or those of the system.
    pub fn new(host: &str, ca_file: Option<&Path>) -> Result<Self, String> {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is not a valid host name"))?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots(ca_file)?)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Encrypts a connection.
    pub async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = ca_file else {
        let found = rustls_native_certs::load_native_certs();
        let (usable, _) = roots.add_parsable_certificates(found.certs);
        if usable == 0 {
            let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
            return Err(format!("those of the system: {why}"));
        }
        return Ok(roots);
    };
    let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| failed(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(&error))?;
        roots.add(certificate).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        return Err(failed(&"it has no certificate"));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that a wrong file of certificates is named.
    #[test]
    fn unusable_files_are_named() {
        let empty = std::env::temp_dir().join(format!("client-ca-{}", std::process::id()));
        std::fs::write(&empty, "no certificate").unwrap();
        for (file, why) in [(Path::new("/nonexistent"), "/nonexistent: "), (&*empty, "it has no certificate")]
        {
            let error = Tls::new("h", Some(file)).err().unwrap();
            assert!(error.contains(why), "{error}");
        }
        std::fs::remove_file(&empty).unwrap();
    }
}
