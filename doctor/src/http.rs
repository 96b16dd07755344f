//! A small HTTP client for the daemon and for sandboxes: plain HTTP/1.1, a connection for each request.

use std::{fmt, io, net::SocketAddr, pin::pin, str::FromStr};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

/// The longest answer that is read, in bytes: a list of 100,000 sandboxes.
const ANSWER_MAX: usize = 64 << 20;

/// The URL of a daemon, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonUrl {
    host: String,
    port: u16,
}

/// Not a valid [`DaemonUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidDaemonUrl;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DaemonError {
    /// Nothing listens there.
    Refused,
    /// Any other failure.
    Other(String),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: Bytes,
}

// === impl DaemonUrl ===

impl DaemonUrl {
    /// Returns the URL of a listen address.
    #[must_use]
    pub fn of(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        Self { host, port: address.port() }
    }
}

impl FromStr for DaemonUrl {
    type Err = InvalidDaemonUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDaemonUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidDaemonUrl)?;
        let authority = uri.authority().ok_or(InvalidDaemonUrl)?;
        let is_plain = uri.scheme_str() == Some("http") && !authority.as_str().contains('@');
        if !is_plain || uri.path() != "/" || uri.query().is_some() || authority.host().is_empty() {
            return Err(InvalidDaemonUrl);
        }
        Ok(Self { host: authority.host().to_owned(), port: authority.port_u16().unwrap_or(80) })
    }
}

impl fmt::Display for DaemonUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

impl fmt::Display for InvalidDaemonUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected http:// and a host, without a path, such as http://127.0.0.1:8002")
    }
}

impl std::error::Error for InvalidDaemonUrl {}

/// Sends a request to a server, such as `http://127.0.0.1:8002`.
///
/// # Errors
/// Returns an error without a complete answer before `deadline`.
pub(crate) async fn call(
    method: Method,
    server: &str,
    path: &str,
    key: Option<&SecretString>,
    deadline: Instant,
) -> Result<Answer, DaemonError> {
    match timeout_at(deadline, exchange(method, server, path, key)).await {
        Ok(answer) => answer,
        Err(_) => Err(DaemonError::Other("timed out".to_owned())),
    }
}

async fn exchange(
    method: Method,
    server: &str,
    path: &str,
    key: Option<&SecretString>,
) -> Result<Answer, DaemonError> {
    let other = |why: &str| DaemonError::Other(why.to_owned());
    let url: Uri = server.parse().map_err(|_| other("not a URL"))?;
    let authority = url.authority().ok_or_else(|| other("not a URL"))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await;
    let stream = stream.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => DaemonError::Refused,
        _ => DaemonError::Other(error.to_string()),
    })?;
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority.as_str())
        .header(header::ACCEPT, "application/json, text/plain")
        .header(header::CONNECTION, "close")
        .header(header::USER_AGENT, "sandbox-provisioner-doctor");
    if let Some(key) = key {
        let value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()));
        let mut value = value.map_err(|_| other("the key cannot be sent in a header"))?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|_| other("not a URL"))?;
    let broken = || other("the answer is not HTTP, or it broke off");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| broken())?;
    let exchange = pin!(async {
        let response = sender.send_request(request).await.map_err(|_| broken())?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await.map_err(|_| broken())?;
        Ok(Answer { status, body: body.to_bytes() })
    });
    // If the connection ends first, the exchange has received all its data.
    match select(exchange, pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, exchange)) => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that only plain URLs without a path and credentials are taken.
    #[test]
    fn urls_of_daemons_are_plain() {
        for (text, url) in [
            ("http://127.0.0.1:8002", Some("http://127.0.0.1:8002")),
            ("http://localhost/", Some("http://localhost:80")),
            ("http://[::1]:8002", Some("http://[::1]:8002")),
            ("https://localhost", None),
            ("http://u:p@localhost", None),
            ("http://localhost/api", None),
            ("localhost:8002", None),
            ("", None),
        ] {
            assert_eq!(DaemonUrl::from_str(text).ok().map(|url| url.to_string()).as_deref(), url, "{text}");
        }
        assert_eq!(DaemonUrl::of("[::1]:80".parse().unwrap()).to_string(), "http://[::1]:80");
    }
}
