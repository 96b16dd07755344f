//! `sandbox-provisioner health`: asks a daemon whether it is alive. Container health checks run it, because the image
//! has no shell and no curl.

use std::{io, net::SocketAddr, time::Duration};

use http::{Request, StatusCode, header};
use kubernetes::fetch::{FetchError, PlainUrl, fetch};

use crate::settings::rules;

/// How long the daemon has to answer: less than the 3 s of our own examples.
const DEADLINE: Duration = Duration::from_secs(2);

/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 64 << 20;

/// Why a health check failed.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The connection failed.
    #[error("cannot connect to {url}: {source}")]
    Unreachable {
        /// The URL.
        url: PlainUrl,
        /// The error of the operating system.
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("{url} timed out after {} s", DEADLINE.as_secs())]
    TimedOut {
        /// The URL.
        url: PlainUrl,
    },
    /// The response was not a 200.
    #[error("{url} answered {answer:?} instead of 200")]
    Answered {
        /// The URL.
        url: PlainUrl,
        /// The version and the status, or why there is no response.
        answer: String,
    },
}

/// Requests the URL once.
///
/// # Errors
/// [`HealthError`] unless the answer is a 200 in time.
pub async fn check(url: &PlainUrl) -> Result<(), HealthError> {
    let request = Request::get(url.to_string()).header(header::USER_AGENT, "sandbox-provisioner-health");
    let answer = match tokio::time::timeout(DEADLINE, fetch(request, ANSWER_MAX)).await {
        Ok(Ok(answer)) if answer.status() == StatusCode::OK => return Ok(()),
        Ok(Ok(answer)) => format!("{:?} {}", answer.version(), answer.status()),
        Ok(Err(FetchError::Unreachable(source))) => {
            return Err(HealthError::Unreachable { url: url.clone(), source });
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => return Err(HealthError::TimedOut { url: url.clone() }),
    };
    Err(HealthError::Answered { url: url.clone(), answer })
}

/// Returns the URL of `/health` of a daemon on this machine that listens on this address.
#[must_use]
pub fn of_listener(mut listen: SocketAddr) -> PlainUrl {
    listen.set_ip(rules::reachable(listen.ip()));
    PlainUrl::of(listen, "/health")
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

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
            assert_eq!(PlainUrl::from_str(text).ok().map(|url| url.to_string()).as_deref(), url, "{text}");
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
            assert_eq!(of_listener(listen.parse().unwrap()).to_string(), url);
        }
    }

    async fn checked(answer: &'static str) -> Result<(), HealthError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = of_listener(listener.local_addr().unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
            assert!(request.starts_with("get /health http/1.1\r\n"), "{request}");
            assert!(request.contains("\r\nhost: 127.0.0.1:"), "{request}");
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
        let error = check(&of_listener(free)).await.unwrap_err();
        assert!(matches!(error, HealthError::Unreachable { .. }), "{error}");
    }
}
