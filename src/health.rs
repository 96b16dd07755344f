//! `sandbox-provisioner health`: asks a daemon whether it is alive. Container health checks run it, because the image
//! has no shell and no curl.

use std::{fmt, io, net::SocketAddr, str::FromStr, time::Duration};

use http::Uri;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::settings::rules;

/// How long the daemon has to answer: less than the 3 s of our own examples.
const DEADLINE: Duration = Duration::from_secs(2);

/// The longest status line that is read, in bytes.
const STATUS_LINE_MAX: u64 = 64;

/// The `http` URL to request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthUrl {
    host: String,
    port: u16,
    path: String,
}

/// Why a health check failed.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// Not a valid [`HealthUrl`].
    #[error("invalid health URL: expected http:// and a host, such as http://127.0.0.1:8002/health")]
    InvalidUrl,
    /// The connection failed.
    #[error("cannot connect to {url}: {source}")]
    Unreachable {
        /// The URL.
        url: HealthUrl,
        /// The error of the operating system.
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("{url} timed out after {} s", DEADLINE.as_secs())]
    TimedOut {
        /// The URL.
        url: HealthUrl,
    },
    /// The response was not a 200.
    #[error("{url} answered {answer:?} instead of 200")]
    Answered {
        /// The URL.
        url: HealthUrl,
        /// The beginning of the response.
        answer: String,
    },
}

/// Requests the URL once.
///
/// # Errors
/// [`HealthError`] unless the answer is a 200 in time.
pub async fn check(url: &HealthUrl) -> Result<(), HealthError> {
    let answer = match tokio::time::timeout(DEADLINE, ask(url)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(source)) => return Err(HealthError::Unreachable { url: url.clone(), source }),
        Err(_) => return Err(HealthError::TimedOut { url: url.clone() }),
    };
    let mut words = answer.split(' ');
    if words.next().is_some_and(|version| version.starts_with("HTTP/1.")) && words.next() == Some("200") {
        return Ok(());
    }
    Err(HealthError::Answered { url: url.clone(), answer })
}

/// Sends a GET and returns the status line.
async fn ask(url: &HealthUrl) -> io::Result<String> {
    let bare = url.host.trim_start_matches('[').trim_end_matches(']');
    let mut stream = TcpStream::connect((bare, url.port)).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}:{}\r\nUser-Agent: sandbox-provisioner-health\r\nConnection: close\r\n\r\n",
        url.path, url.host, url.port
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(STATUS_LINE_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}

// === impl HealthUrl ===

impl HealthUrl {
    /// `/health` of a daemon on this machine that listens on this address.
    #[must_use]
    pub fn of_listener(listen: SocketAddr) -> Self {
        let address = SocketAddr::new(rules::reachable(listen.ip()), 0).to_string();
        let host = address.strip_suffix(":0").unwrap_or(&address).to_owned();
        Self { host, port: listen.port(), path: "/health".to_owned() }
    }
}

impl FromStr for HealthUrl {
    type Err = HealthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri = Uri::from_str(text).map_err(|_| HealthError::InvalidUrl)?;
        let authority = uri.authority().ok_or(HealthError::InvalidUrl)?;
        if uri.scheme_str() != Some("http")
            || uri.host().is_none_or(str::is_empty)
            || authority.as_str().contains('@')
        {
            return Err(HealthError::InvalidUrl);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { host: authority.host().to_owned(), port: authority.port_u16().unwrap_or(80), path })
    }
}

impl fmt::Display for HealthUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn urls_are_plain_http() {
        for (text, url) in [
            ("http://127.0.0.1:8002/health", Some("http://127.0.0.1:8002/health")),
            ("http://localhost", Some("http://localhost:80/")),
            ("http://[::1]:8002/readyz?verbose", Some("http://[::1]:8002/readyz?verbose")),
            ("https://localhost", None),
            ("http://u:p@localhost", None),
            ("localhost:8002", None),
            ("", None),
        ] {
            assert_eq!(HealthUrl::from_str(text).ok().map(|url| url.to_string()).as_deref(), url, "{text}");
        }
    }

    /// Guards that the URL has the loopback address for an unspecified listen address.
    #[test]
    fn the_url_of_a_listener_is_on_loopback() {
        for (listen, url) in [
            ("0.0.0.0:8002", "http://127.0.0.1:8002/health"),
            ("[::]:8002", "http://[::1]:8002/health"),
            ("192.168.1.2:80", "http://192.168.1.2:80/health"),
        ] {
            assert_eq!(HealthUrl::of_listener(listen.parse().unwrap()).to_string(), url);
        }
    }

    async fn checked(answer: &'static str) -> Result<(), HealthError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = HealthUrl::of_listener(listener.local_addr().unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(answer.as_bytes()).await.unwrap();
            drop(stream);
        };
        tokio::join!(check(&url), server).0
    }

    /// Guards that only a 200 is a success, and that the error contains any other status.
    #[tokio::test]
    async fn only_200_is_healthy() {
        assert!(checked("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.is_ok());
        let error = checked("HTTP/1.1 503 Service Unavailable\r\n\r\n").await.unwrap_err().to_string();
        assert!(error.ends_with("answered \"HTTP/1.1 503 Service Unavailable\" instead of 200"), "{error}");
        assert!(checked("200 hello\r\n").await.is_err());
        assert!(checked("").await.is_err());
    }

    #[tokio::test]
    async fn a_refused_connection_is_an_error() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = check(&HealthUrl::of_listener(free)).await.unwrap_err();
        assert!(matches!(error, HealthError::Unreachable { .. }), "{error}");
    }
}
