//! Calls of the REST API.

use std::{future::Future, io, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, USER_AGENT},
    response::Parts,
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    environment::Target,
    error::{CallError, Cause, Refusal},
    tls::Tls,
};

/// The largest answer that is read, in bytes: a list of many thousands of sandboxes.
const BODY_MAX: usize = 256 << 20;

/// How long a connection may take. A host that is switched off does not answer at all.
const CONNECT: Duration = Duration::from_secs(5);

/// The characters of a path segment that need no escape.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A client of one daemon. Each call has its own connection.
pub struct Api {
    target: Target,
    tls: Option<Tls>,
}

/// A call.
#[derive(Debug, Clone, Default)]
pub struct Call<'a> {
    /// The path of the API, with its query.
    pub path: &'a str,
    /// The method.
    pub method: Method,
    /// The body.
    pub body: Option<&'a Value>,
    /// The name of the caller, which is sent as `X-Owner`.
    pub owner: Option<&'a str>,
}

/// The body of a stream of events, or of a text. Dropping it closes the connection.
pub struct Stream {
    body: Incoming,
    _connection: Connection,
}

/// The task of a connection, which ends with it.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns a text as one segment of a path, or as a value of a query.
#[must_use]
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Returns the path of a sandbox.
#[must_use]
pub fn sandbox(id: &str) -> String {
    format!("/api/sandboxes/{}", escaped(id))
}

// === impl Api ===

impl Api {
    /// Returns a client of the target.
    pub fn new(target: Target) -> Result<Self, CallError> {
        let tls =
            target.url.is_tls.then(|| Tls::new(&target.url.host, target.ca_file.as_deref())).transpose();
        match tls {
            Ok(tls) => Ok(Self { target, tls }),
            Err(why) => Err(CallError { url: Box::new(target.url), cause: Cause::Certificates(why) }),
        }
    }

    /// Returns the URL of the daemon.
    #[must_use]
    pub fn url(&self) -> &crate::url::BaseUrl {
        &self.target.url
    }

    /// Returns how long a call may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.target.timeout
    }

    /// Reads a path.
    pub async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Call { path, ..Call::default() }).await
    }

    /// Sends a call, and returns the body of a 200.
    pub async fn call(&self, call: Call<'_>) -> Result<Value, CallError> {
        self.call_within(call, self.target.timeout).await
    }

    /// Sends a call that may take this long.
    pub async fn call_within(&self, call: Call<'_>, limit: Duration) -> Result<Value, CallError> {
        let request = self.request(&call, "application/json, application/problem+json")?;
        let exchange = async {
            let (response, _connection) = self.send(request).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, BODY_MAX).collect().await.map_err(|error| body_error(&*error))?;
            self.json(&head, &body.to_bytes())
        };
        self.within(limit, exchange).await
    }

    /// Opens a stream of events, after the event with this id.
    pub async fn open(&self, path: &str, last_id: Option<&str>) -> Result<Stream, CallError> {
        let call = Call { path, ..Call::default() };
        let mut request = self.request(&call, "text/event-stream, application/problem+json")?;
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            request.headers_mut().insert("last-event-id", id);
        }
        let (_, stream) = self.open_as(request, "text/event-stream").await?;
        Ok(stream)
    }

    /// Opens a text, such as a log. Returns the headers and the text.
    pub async fn open_text(&self, path: &str) -> Result<(HeaderMap, Stream), CallError> {
        let call = Call { path, ..Call::default() };
        let request = self.request(&call, "text/plain, application/problem+json")?;
        self.open_as(request, "text/plain").await
    }

    /// Sends a request whose answer has this media type. Waits only for the head of the answer.
    async fn open_as(
        &self,
        request: Request<Full<Bytes>>,
        kind: &str,
    ) -> Result<(HeaderMap, Stream), CallError> {
        let exchange = async {
            let (response, connection) = self.send(request).await?;
            let (head, body) = response.into_parts();
            if head.status == StatusCode::OK && media_type(&head.headers) == Some(kind) {
                return Ok((head.headers, Stream { body, _connection: connection }));
            }
            let body = Limited::new(body, BODY_MAX).collect().await.map_err(|error| body_error(&*error))?;
            Err(self.json(&head, &body.to_bytes()).err().unwrap_or_else(|| foreign(&head)))
        };
        self.within(self.target.timeout, exchange).await
    }

    /// Returns an error that says that the answer is not one of this API.
    #[must_use]
    pub fn foreign(&self) -> CallError {
        let content_type = Some("another JSON document".to_owned());
        self.error(Cause::Foreign { status: StatusCode::OK, content_type, location: None })
    }

    /// Returns an error of this daemon.
    #[must_use]
    pub fn error(&self, cause: Cause) -> CallError {
        CallError { url: Box::new(self.target.url.clone()), cause }
    }

    async fn within<T>(
        &self,
        limit: Duration,
        exchange: impl Future<Output = Result<T, Cause>>,
    ) -> Result<T, CallError> {
        let late = Cause::TimedOut { after: limit, is_request_timeout: limit == self.target.timeout };
        let outcome = timeout(limit, exchange).await.unwrap_or(Err(late));
        outcome.map_err(|cause| self.error(cause))
    }

    fn request(&self, call: &Call<'_>, accept: &'static str) -> Result<Request<Full<Bytes>>, CallError> {
        let invalid = |error: http::Error| self.error(Cause::Cut(error.to_string()));
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(self.target.url.target(call.path))
            .header(HOST, self.target.url.authority.clone())
            .header(USER_AGENT, concat!("sandbox-provisioner/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, accept);
        if let Some(key) = &self.target.key {
            request = request.header("x-api-key", key.clone());
        }
        if let Some(owner) = call.owner {
            request = request.header("x-owner", owner);
        }
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = call.body.map(Value::to_string).unwrap_or_default();
        request.body(Full::from(body)).map_err(invalid)
    }

    /// Sends a request on a new connection.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<(Response<Incoming>, Connection), Cause> {
        let url = &self.target.url;
        let connect = TcpStream::connect((&*url.host, url.port));
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the host does not answer");
        let stream =
            timeout(CONNECT, connect).await.unwrap_or_else(|_| Err(late())).map_err(Cause::Unreachable)?;
        // A failure only costs time.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => exchange(stream, request).await,
            Some(tls) => exchange(tls.connect(stream).await.map_err(Cause::Tls)?, request).await,
        }
    }

    /// Returns the JSON of a 200 or 202, or the error of the API.
    fn json(&self, head: &Parts, body: &[u8]) -> Result<Value, Cause> {
        let is_json =
            matches!(media_type(&head.headers), Some("application/json" | "application/problem+json"));
        let body: Option<Value> = is_json.then(|| serde_json::from_slice(body).ok()).flatten();
        match body {
            Some(body) if matches!(head.status, StatusCode::OK | StatusCode::ACCEPTED) => Ok(body),
            body if head.status == StatusCode::UNAUTHORIZED => {
                Err(self.refused(head, body.unwrap_or_default()))
            }
            Some(body) if !head.status.is_success() && body.get("detail").is_some() => {
                Err(self.refused(head, body))
            }
            _ => Err(foreign(head)),
        }
    }

    fn refused(&self, head: &Parts, body: Value) -> Cause {
        let text = |name: &str| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
        Cause::Refused(Box::new(Refusal {
            status: head.status,
            body,
            retry_after: text(RETRY_AFTER.as_str())
                .and_then(|text| text.parse().ok())
                .map(Duration::from_secs),
            request_id: text("x-request-id"),
            key_origin: self.target.key_origin.clone(),
        }))
    }
}

/// Sends a request over this stream.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, Connection), Cause> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| cause(&error))?;
    let connection = Connection(tokio::spawn(async move { drop(connection.await) }));
    let response = sender.send_request(request).await.map_err(|error| cause(&error))?;
    Ok((response, connection))
}

fn cause(error: &hyper::Error) -> Cause {
    if error.is_parse() { Cause::NotHttp } else { Cause::Cut(with_sources(error)) }
}

fn body_error(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Cause {
    if error.is::<LengthLimitError>() {
        return Cause::TooLarge(BODY_MAX);
    }
    Cause::Cut(with_sources(error))
}

/// Returns the text of an error and of those that caused it.
fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

fn foreign(head: &Parts) -> Cause {
    Cause::Foreign {
        status: head.status,
        content_type: media_type(&head.headers).map(str::to_owned),
        location: head.headers.get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned),
    }
}

/// Returns the media type without its parameters.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim())
}

// === impl Stream ===

impl Stream {
    /// Returns the next bytes; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, String>> {
        loop {
            return match self.body.frame().await? {
                Err(error) => Some(Err(with_sources(&error))),
                Ok(frame) => match frame.into_data() {
                    Ok(data) => Some(Ok(data)),
                    Err(_trailers) => continue,
                },
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that an id cannot lead to another path.
    #[test]
    fn ids_are_one_segment() {
        assert_eq!(sandbox("abc-1"), "/api/sandboxes/abc-1");
        assert_eq!(sandbox("a/b?c#d é"), "/api/sandboxes/a%2Fb%3Fc%23d%20%C3%A9");
    }
}
