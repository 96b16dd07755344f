//! Calls of the daemon and of sandboxes.

use std::{fmt, io, net::SocketAddr, str::FromStr};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use kubernetes::fetch::{FetchError, PlainUrl, fetch};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout_at};

/// The longest answer that is read, in bytes: a list of 100,000 sandboxes.
const ANSWER_MAX: usize = 64 << 20;

/// The URL of a daemon, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonUrl(PlainUrl);

/// Not a valid [`DaemonUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected http:// and a host, without a path, such as http://127.0.0.1:8002")]
pub struct InvalidDaemonUrl;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DaemonError {
    /// Nothing listens there.
    Refused,
    /// Any other failure.
    Other(String),
}

// === impl DaemonUrl ===

impl DaemonUrl {
    /// Returns the URL of a listen address.
    #[must_use]
    pub fn of(address: SocketAddr) -> Self {
        Self(PlainUrl::of(address, ""))
    }
}

impl FromStr for DaemonUrl {
    type Err = InvalidDaemonUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDaemonUrl> {
        text.parse().ok().and_then(PlainUrl::without_path).map(Self).ok_or(InvalidDaemonUrl)
    }
}

impl fmt::Display for DaemonUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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
) -> Result<Response<Bytes>, DaemonError> {
    let other = |why: &str| DaemonError::Other(why.to_owned());
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{server}{path}"))
        .header(header::ACCEPT, "application/json, text/plain")
        .header(header::USER_AGENT, "sandbox-provisioner-doctor");
    if let Some(key) = key {
        let value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()));
        let mut value = value.map_err(|_| other("the key cannot be sent in a header"))?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    let answer = timeout_at(deadline, fetch(request, ANSWER_MAX)).await.map_err(|_| other("timed out"))?;
    answer.map_err(|error| match error {
        FetchError::Unreachable(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            DaemonError::Refused
        }
        FetchError::Unreachable(error) => DaemonError::Other(error.to_string()),
        FetchError::Broken => other("the answer is not HTTP, or it broke off"),
        error => DaemonError::Other(error.to_string()),
    })
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
