//! Sends one request over its own connection: plain HTTP/1.1, without redirects and without connection reuse.

use std::{fmt, io, net::SocketAddr, pin::pin, str::FromStr};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{HeaderValue, Response, Uri, header, request, uri::Scheme};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The maximum length of an answer's head, in bytes.
const HEAD_MAX: usize = 16 << 10;

/// The error for a missing answer. It contains no text from the server.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The request has another scheme, or is invalid.
    #[error("the URL is not plain http")]
    NotHttp,
    /// There is no connection.
    #[error("the server could not be reached: {0}")]
    Unreachable(io::Error),
    /// The body has more than this many bytes.
    #[error("the answer is longer than {} KiB", .0 >> 10)]
    TooLong(usize),
    /// The answer is incomplete, or not HTTP.
    #[error("the connection broke before the answer's end")]
    Broken,
}

/// The `http` URL of a server, with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainUrl {
    host: String,
    port: u16,
    path: String,
}

/// Not a valid [`PlainUrl`]: another scheme, no host, or a user or a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid URL: expected http:// and a host, such as http://127.0.0.1:8002/health")]
pub struct InvalidUrl;

/// Sends a request to its URL, and reads a body of at most `body_max` bytes. Has no timeout of its own; dropping the
/// future closes the connection.
///
/// # Errors
/// [`FetchError`] without a complete answer.
pub async fn fetch(request: request::Builder, body_max: usize) -> Result<Response<Bytes>, FetchError> {
    let request = request.header(header::CONNECTION, "close").body(Empty::<Bytes>::new());
    let mut request = request.map_err(|_| FetchError::NotHttp)?;
    let url = std::mem::take(request.uri_mut());
    let authority = url.authority().filter(|_| url.scheme() == Some(&Scheme::HTTP));
    let authority = authority.ok_or(FetchError::NotHttp)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| FetchError::NotHttp)?;
    request.headers_mut().insert(header::HOST, host);
    *request.uri_mut() = url.path_and_query().cloned().map_or_else(Uri::default, Uri::from);

    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80)))
        .await
        .map_err(FetchError::Unreachable)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| FetchError::Broken)?;
    let exchange = pin!(async {
        let (head, body) = sender.send_request(request).await.map_err(|_| FetchError::Broken)?.into_parts();
        match Limited::new(body, body_max).collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLong(body_max)),
            Err(_) => Err(FetchError::Broken),
        }
    });
    // The connection is polled here, because a separate task could outlive this call. If the connection ends first, the
    // exchange has received all its data.
    match select(exchange, pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, exchange)) => exchange.await,
    }
}

// === impl PlainUrl ===

impl PlainUrl {
    /// Returns the URL of a path on the server at this address.
    #[must_use]
    pub fn of(address: SocketAddr, path: &str) -> Self {
        let host = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        Self { host, port: address.port(), path: path.to_owned() }
    }

    /// Returns the URL of the server alone; `None` if this one has a path or a query.
    #[must_use]
    pub fn without_path(self) -> Option<Self> {
        (self.path == "/").then(|| Self { path: String::new(), ..self })
    }
}

impl FromStr for PlainUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidUrl)?;
        let authority = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTP)).ok_or(InvalidUrl)?;
        if authority.host().is_empty() || authority.as_str().contains('@') {
            return Err(InvalidUrl);
        }
        Ok(Self {
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(80),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }
}

impl fmt::Display for PlainUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}
