//! Reaches the API server step by step: its name, its port, and TLS.

use std::{io, sync::Arc};

use jiff::Timestamp;
use rustls::{CertificateError, Error, pki_types::UnixTime};
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::access::{Opened, Tls};
use crate::certificate::{self, Validity};

/// The step at which the API server cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReachError {
    /// The name has no address.
    NotResolved {
        /// The error of the operating system.
        why: String,
    },
    /// No connection was accepted.
    NotConnected {
        /// The error of the operating system; `TimedOut` without an answer.
        kind: io::ErrorKind,
    },
    /// TLS was not established.
    Tls(TlsFault),
}

/// Why TLS was not established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFault {
    /// The server does not speak TLS.
    NotTls,
    /// The certificate is from another authority.
    UnknownAuthority,
    /// The certificate has other names.
    WrongName {
        /// The name that the certificate should have.
        expected: String,
        /// The names that it has.
        presented: Vec<String>,
    },
    /// The certificate is no longer valid.
    Expired {
        /// Its last moment, if it is known.
        end: Option<Timestamp>,
    },
    /// The certificate is not yet valid.
    NotYetValid {
        /// Its first moment, if it is known.
        begin: Option<Timestamp>,
    },
    /// Any other failure, such as a broken connection.
    Other(String),
}

/// Reaches the API server of a connection, and returns the validity of its certificate; `None` without TLS, or if the
/// certificate cannot be read. A connection through a proxy is not tried.
///
/// # Errors
/// Returns the step that failed. A step that does not end before `deadline` has failed.
pub async fn reach(opened: &Opened, deadline: Instant) -> Result<Option<Validity>, ReachError> {
    let access = &opened.access;
    if access.has_proxy {
        return Ok(None);
    }
    let resolved = timeout_at(deadline, lookup_host((access.host.as_str(), access.port))).await;
    let addresses: Vec<_> = match resolved {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return Err(ReachError::NotResolved { why: error.to_string() }),
        Err(_) => return Err(ReachError::NotResolved { why: "timed out".to_owned() }),
    };
    if addresses.is_empty() {
        return Err(ReachError::NotResolved { why: "the name has no address".to_owned() });
    }
    let stream = match timeout_at(deadline, TcpStream::connect(&addresses[..])).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(ReachError::NotConnected { kind: error.kind() }),
        Err(_) => return Err(ReachError::NotConnected { kind: io::ErrorKind::TimedOut }),
    };
    match &opened.tls {
        Some(tls) if access.is_https => handshake(tls, stream, deadline).await.map_err(ReachError::Tls),
        _ => Ok(None),
    }
}

async fn handshake(tls: &Tls, stream: TcpStream, deadline: Instant) -> Result<Option<Validity>, TlsFault> {
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    match timeout_at(deadline, connector.connect(tls.name.clone(), stream)).await {
        Ok(Ok(stream)) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            Ok(certificate.and_then(certificate::validity))
        }
        Ok(Err(error)) => Err(fault(&error)),
        Err(_) => Err(TlsFault::Other("the handshake timed out".to_owned())),
    }
}

fn fault(error: &io::Error) -> TlsFault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidMessage(_)) => TlsFault::NotTls,
        Some(Error::InvalidCertificate(why)) => certificate_fault(why),
        Some(other) => TlsFault::Other(other.to_string()),
        None => TlsFault::Other(error.kind().to_string()),
    }
}

fn certificate_fault(error: &CertificateError) -> TlsFault {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::UnknownAuthority,
        CertificateError::NotValidForNameContext { expected, presented } => {
            TlsFault::WrongName { expected: expected.to_str().into_owned(), presented: presented.clone() }
        }
        CertificateError::NotValidForName => {
            TlsFault::WrongName { expected: String::new(), presented: Vec::new() }
        }
        CertificateError::Expired => TlsFault::Expired { end: None },
        CertificateError::ExpiredContext { not_after, .. } => TlsFault::Expired { end: moment(*not_after) },
        CertificateError::NotValidYet => TlsFault::NotYetValid { begin: None },
        CertificateError::NotValidYetContext { not_before, .. } => {
            TlsFault::NotYetValid { begin: moment(*not_before) }
        }
        other => TlsFault::Other(Error::from(other.clone()).to_string()),
    }
}

fn moment(time: UnixTime) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.as_secs()).ok()?).ok()
}
