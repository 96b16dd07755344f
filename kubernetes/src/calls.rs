//! Sends one call to the API server and reads its answer, within a deadline.
//!
//! `kube` provides the connection, the credentials and the requests. The answer is read here, because `kube` drops the
//! header `Retry-After`, has no deadline, and logs bodies that it cannot parse.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{
    FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _, future, stream::BoxStream,
};
use http::{
    Request, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderName, RETRY_AFTER},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::{Client, client::Body, core::Status};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::{Instant, timeout, timeout_at},
};
use tower::BoxError;
use tracing::{Instrument as _, Span, field::Empty};

use crate::{
    clock::ServerClock,
    fault::CallError,
    metrics::{Metrics, NO_HOST},
};

/// The media type of objects.
const JSON: &str = "application/json";

/// The media type of logs.
const TEXT: &str = "text/plain";

/// The maximum length of the body of an error, in bytes.
const ERROR_MAX: usize = 64 << 10;

/// A text that arrives in parts.
pub type TextStream = BoxStream<'static, Result<Bytes, CallError>>;

/// A client of the API server with a limit on its calls in flight. Cheap to clone; clones share the limit.
#[derive(Clone)]
pub struct Calls {
    client: Client,
    /// A permit for each call in flight. `kube` uses HTTP/1.1, so each is a connection.
    permits: Arc<Semaphore>,
    in_flight: usize,
    /// The maximum length of an answer, in bytes.
    answer_max: usize,
    /// A second permit for each create in flight.
    creates: Arc<Semaphore>,
    clock: Arc<ServerClock>,
    /// The API server's URL, for the error if it cannot be reached.
    server: Option<Arc<str>>,
    /// Notified when the API server does not take this client's credentials.
    rejected: Arc<Notify>,
    metrics: Metrics,
    /// The host and the port of the API server, for the metrics.
    host: Arc<str>,
}

/// Returns the maximum number of creates among this number of calls in flight: three quarters, so that waiting creates
/// do not block deletes and reads.
pub const fn creates_of(in_flight: usize) -> usize {
    let share = in_flight - in_flight / 4;
    if share == 0 { 1 } else { share }
}

// === impl Calls ===

impl Calls {
    /// Creates a client that makes at most this number of calls at once, reads this number of bytes of an answer, and
    /// sets the clock by the answers.
    pub fn new(
        client: Client,
        in_flight: usize,
        answer_max: usize,
        clock: Arc<ServerClock>,
        server: Option<Arc<str>>,
        metrics: Metrics,
    ) -> Self {
        let in_flight = in_flight.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            client,
            permits: Arc::new(Semaphore::new(in_flight)),
            in_flight,
            answer_max,
            creates: Arc::new(Semaphore::new(creates_of(in_flight))),
            clock,
            host: host(server.as_deref()).into(),
            server,
            rejected: Arc::default(),
            metrics,
        }
    }

    /// Returns these calls with another client of the same API server. The calls in flight still count.
    pub fn with_client(&self, client: Client) -> Self {
        Self { client, rejected: Arc::default(), ..self.clone() }
    }

    /// Returns the maximum length of an answer, in bytes.
    pub const fn answer_max(&self) -> usize {
        self.answer_max
    }

    /// Waits until the API server does not take this client's credentials.
    pub async fn rejected(&self) {
        self.rejected.notified().await;
    }

    /// Makes one call and parses its answer. Ends within `deadline`, which includes the wait for a permit.
    pub async fn request<T: DeserializeOwned>(
        &self,
        request: Request<Vec<u8>>,
        deadline: Duration,
    ) -> Result<T, CallError> {
        parse(&self.read(request.map(Body::from), deadline).await?)
    }

    /// Like [`Calls::request`], for a call that creates an object.
    pub async fn create<T: DeserializeOwned>(
        &self,
        request: Request<Vec<u8>>,
        deadline: Duration,
    ) -> Result<T, CallError> {
        let end = Instant::now() + deadline;
        let _permit = self.permit(&self.creates, creates_of(self.in_flight), end).await?;
        parse(&self.read_until(request.map(Body::from), deadline, deadline, end).await?)
    }

    /// Makes one call like [`Calls::request`], and returns the body as it is.
    pub async fn read(&self, request: Request<Body>, deadline: Duration) -> Result<Bytes, CallError> {
        self.read_long(request, deadline, deadline).await
    }

    /// Makes one call whose answer may be long. Its head, and then each part of its body, must arrive within `silence`;
    /// the whole within `deadline`.
    pub async fn read_long(
        &self,
        request: Request<Body>,
        silence: Duration,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        self.read_until(request, silence, deadline, Instant::now() + deadline).await
    }

    async fn read_until(
        &self,
        request: Request<Body>,
        silence: Duration,
        deadline: Duration,
        end: Instant,
    ) -> Result<Bytes, CallError> {
        let _permit = self.permit(&self.permits, self.in_flight, end).await?;
        let exchange = async {
            let head = timeout(silence, self.exchange(request, JSON)).await;
            let answer = head.map_err(|_| CallError::TimedOut { after: silence })??;
            collect(answer, self.answer_max, silence).await
        };
        timeout_at(end, exchange).await.map_err(|_| CallError::TimedOut { after: deadline })?
    }

    /// Makes one call whose answer is a text of at most `max` bytes, such as a log. Ends within `deadline`.
    pub async fn text(
        &self,
        request: Request<Body>,
        max: usize,
        deadline: Duration,
    ) -> Result<String, CallError> {
        let text = self.raw_text(request, max, deadline).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Like [`Calls::text`], and returns the body as it is.
    pub async fn raw_text(
        &self,
        request: Request<Body>,
        max: usize,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        let end = Instant::now() + deadline;
        let _permit = self.permit(&self.permits, self.in_flight, end).await?;
        let exchange = async { collect(self.exchange(request, TEXT).await?, max, deadline).await };
        timeout_at(end, exchange).await.map_err(|_| CallError::TimedOut { after: deadline })?
    }

    /// Opens a call with an endless answer. Waits only for its head, within `deadline`.
    ///
    /// The body does not count against the limit on calls in flight. The caller must end it.
    pub async fn open(
        &self,
        request: Request<Body>,
        deadline: Duration,
    ) -> Result<Response<Body>, CallError> {
        let end = Instant::now() + deadline;
        let _permit = self.permit(&self.permits, self.in_flight, end).await?;
        timeout_at(end, self.exchange(request, JSON))
            .await
            .map_err(|_| CallError::TimedOut { after: deadline })?
    }

    /// Opens a text that does not end by itself, such as a log that is followed.
    ///
    /// Waits for the head of the answer, but only for `patience`: the API server sends that of a log with its first line.
    /// After that the stream has the error, if there is one. The stream does not count against the limit on calls in
    /// flight. Dropping it ends the call.
    pub async fn follow(&self, request: Request<Body>, patience: Duration) -> Result<TextStream, CallError> {
        let end = Instant::now() + patience;
        let calls = self.clone();
        let mut head = Box::pin(async move { calls.exchange(request, TEXT).await });
        let arrived = {
            let _permit = self.permit(&self.permits, self.in_flight, end).await?;
            timeout_at(end, &mut head).await
        };
        let head = match arrived {
            Ok(response) => future::ready(Ok(response?)).left_future(),
            Err(_) => head.right_future(),
        };
        let text = head.map_ok(|response| {
            let failed = |error: kube::Error| CallError::from(error);
            response.into_body().into_data_stream().map_err(failed)
        });
        Ok(text.try_flatten_stream().boxed())
    }

    async fn permit<'p>(
        &self,
        permits: &'p Semaphore,
        bound: usize,
        end: Instant,
    ) -> Result<SemaphorePermit<'p>, CallError> {
        let _counted = self.metrics.waiting();
        match timeout_at(end, permits.acquire()).await {
            // A permit at the deadline is too late: do not send a call whose answer is not awaited.
            Ok(Ok(permit)) if Instant::now() < end => Ok(permit),
            Ok(_) | Err(_) => Err(CallError::Overloaded { bound }),
        }
    }

    /// Sends a request whose answer has this media type, and converts an unsuccessful answer to an error.
    async fn exchange(&self, request: Request<Body>, media_type: &str) -> Result<Response<Body>, CallError> {
        let sent = Instant::now();
        let _counted = self.metrics.flying();
        let method = request.method().clone();
        let span = exported_span(&request, &self.host);
        let response = self.client.send(request).instrument(span.clone()).await;
        let status = response.as_ref().ok().map(Response::status);
        match status {
            Some(status) => span.record("http.response.status_code", status.as_u16()),
            None => span.record("error.type", "transport"),
        };
        if status.is_none_or(|status| status.is_client_error() || status.is_server_error()) {
            span.record("otel.status_code", "error");
        }
        self.metrics.called(&method, &self.host, status, sent.elapsed());
        let response =
            response.map_err(|error| CallError::Transport { error, server: self.server.clone() })?;
        if let Some(date) = header(&response, &DATE) {
            self.clock.update(date, sent);
        }
        let code = response.status().as_u16();
        if response.status().is_success() {
            return match foreign(&response, media_type) {
                Some(content) => Err(CallError::Foreign { code, content }),
                None => Ok(response),
            };
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            self.rejected.notify_one();
        }
        let retry_after = header(&response, &RETRY_AFTER)
            .and_then(|value| value.trim().parse().ok())
            .map(Duration::from_secs);
        // The status code counts even if the body is incomplete.
        let body = collect(response, ERROR_MAX, Duration::MAX).await.unwrap_or_default();
        let status = serde_json::from_slice::<Status>(&body).ok().filter(Status::is_failure);
        let status = status.filter(|_| kind(&body).as_deref() == Some("Status")).map(Box::new);
        Err(CallError::Answered { code, status, retry_after })
    }
}

/// Returns the span of a call, which is only exported, if the call is a part of another span. The calls of the watch are
/// not.
fn exported_span(request: &Request<Body>, host: &str) -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    tracing::info_span!(
        target: "spans",
        "call",
        otel.name = format_args!("{} {}", request.method(), resource(request.uri().path())),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = request.method().as_str(),
        url.path = request.uri().path(),
        server.address = host,
        http.response.status_code = Empty,
        error.type = Empty,
    )
}

/// Returns the resource of a path of the API, such as `pods` of `/api/v1/namespaces/deer-flow/pods/sandbox-a`.
fn resource(path: &str) -> &str {
    match path.split_once("/namespaces/") {
        Some((_, rest)) => rest.split('/').nth(1).unwrap_or("namespaces"),
        None => path.rsplit('/').next().unwrap_or_default(),
    }
}

/// Returns the host and the port of an API server's URL.
fn host(server: Option<&str>) -> &str {
    let Some(server) = server else { return NO_HOST };
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    // Our types parse from any JSON value. An object of another program must not be taken for one of Kubernetes.
    let object = serde_json::from_slice(body).ok().filter(|_| has_kind(body));
    object.ok_or(CallError::Unreadable)
}

/// Returns whether a valid JSON text has a kind. The API server writes the kind first: then it is not parsed again.
fn has_kind(body: &[u8]) -> bool {
    body.starts_with(b"{\"kind\":\"") || kind(body).is_some()
}

/// Returns the kind of an object of Kubernetes.
fn kind(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    let is_object = body.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice::<Kind>(body).ok()).flatten().map(|object| object.kind)
}

/// Returns the form of a successful answer that Kubernetes does not use where it answers with `expected`, such as
/// `text/html`.
fn foreign(response: &Response<Body>, expected: &str) -> Option<Box<str>> {
    if response.status() == StatusCode::NO_CONTENT {
        return Some("no body".into());
    }
    let named = |name| response.headers().get(name).map(|value| value.to_str().unwrap_or("unknown"));
    if let Some(encoding) =
        named(&CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
    {
        return Some(format!("the encoding {}", word(encoding)).into());
    }
    let media_type = word(named(&CONTENT_TYPE)?);
    (media_type != expected).then(|| media_type.into())
}

/// Returns the first word of a header, reduced to what such words contain: a proxy may write anything there.
fn word(header: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '/' | '+' | '.' | '-');
    header.chars().take_while(is_plain).take(60).collect::<String>().to_ascii_lowercase()
}

fn header<'r>(response: &'r Response<Body>, name: &HeaderName) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

/// Reads a body of at most `max` bytes, each part of which must arrive within `silence`.
async fn collect(response: Response<Body>, max: usize, silence: Duration) -> Result<Bytes, CallError> {
    let mut body = Limited::new(response.into_body(), max);
    let mut read = BytesMut::new();
    while let Some(frame) =
        timeout(silence, body.frame()).await.map_err(|_| CallError::TimedOut { after: silence })?
    {
        if let Ok(data) = frame.map_err(|error| unread(error, max))?.into_data() {
            read.extend_from_slice(&data);
        }
    }
    Ok(read.freeze())
}

/// Converts the error of a body that was not read to its end.
fn unread(error: BoxError, max: usize) -> CallError {
    if error.is::<LengthLimitError>() {
        return CallError::TooLarge { max };
    }
    match error.downcast::<kube::Error>() {
        Ok(error) => (*error).into(),
        Err(_) => CallError::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that the name of a span has the resource and not the name of an object, of which there are many.
    #[test]
    fn a_path_has_a_resource() {
        for (path, name) in [
            ("/api/v1/namespaces/deer-flow/pods/sandbox-a", "pods"),
            ("/api/v1/namespaces/deer-flow/pods", "pods"),
            ("/apis/events.k8s.io/v1/namespaces/deer-flow/events", "events"),
            ("/api/v1/namespaces/deer-flow", "namespaces"),
            ("/api/v1/namespaces", "namespaces"),
            ("/version", "version"),
            ("", ""),
        ] {
            assert_eq!(resource(path), name, "{path}");
        }
    }
}
