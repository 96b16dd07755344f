//! Reads the facts of X.509 certificates that operators ask for.

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// The time in which something is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: Timestamp,
    /// The last moment.
    pub until: Timestamp,
}

/// Returns the validity of a certificate, or `None` if it cannot be read.
#[must_use]
pub fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let found = parsed.validity();
    Some(Validity {
        from: Timestamp::from_second(found.not_before.timestamp()).ok()?,
        until: Timestamp::from_second(found.not_after.timestamp()).ok()?,
    })
}

/// Returns the validity of the first certificate of a PEM file, which is the one of its owner.
pub(crate) fn validity_of_pem(pem: &[u8]) -> Option<Validity> {
    validity(&CertificateDer::from_pem_slice(pem).ok()?)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// Guards that the first certificate of a chain counts, and that an unreadable one has no validity.
    #[test]
    fn the_first_certificate_counts() {
        let certificate = |year| {
            let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(year, 1, 1);
            params.not_after = rcgen::date_time_ymd(year + 1, 1, 1);
            let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let encoded = base64::engine::general_purpose::STANDARD.encode(made.der());
            format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n")
        };
        let chain = certificate(2031) + &certificate(2041);
        let wanted = Validity {
            from: "2031-01-01T00:00:00Z".parse().unwrap(),
            until: "2032-01-01T00:00:00Z".parse().unwrap(),
        };
        assert_eq!(validity_of_pem(chain.as_bytes()), Some(wanted));
        for pem in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(validity_of_pem(pem.as_bytes()), None, "{pem:?}");
        }
    }
}
