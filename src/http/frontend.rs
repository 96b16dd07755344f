//! The front end of all routes: the request id, the log line, the API key, the deadline and the catching of panics.

use std::{
    error::Error,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fleet::changes::ChangeReader;
use futures::FutureExt;
use http::{Method, Request, StatusCode};
use lifecycle::{budget, error::SandboxError, operation::Operation};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::{Instrument, Level, field};
use warp::{Reply, filters::BoxedFilter, reply::Response};

use super::{
    auth::Auth,
    errors::{ApiError, ErrorFormat},
    events::EventBody,
    list::ListOptions,
    logs::LogReader,
    metrics::{Answered, HttpMetrics},
    request_id::{RequestId, RequestIds, X_REQUEST_ID},
    response_body::ResponseBody,
    route::Route,
    trace_context::TraceContext,
    wait::Wait,
};
use crate::telemetry::spans::{self, REQUEST, TraceIds};

/// How long a request may take, from its last header to its answer; past it, the answer is a 504.
///
/// Each is a few seconds shorter than the time-out of existing clients (30, 10 and 15 s), so that they get a
/// response and not a closed connection, and longer than the deadlines of the actors behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For a POST of a sandbox.
    pub create: Duration,
    /// For a DELETE.
    pub delete: Duration,
    /// For a PATCH and a touch, which wait for other operations on the same sandbox.
    pub change: Duration,
    /// For everything else, which is answered from memory.
    pub read: Duration,
    /// For a POST or GET that waits for a sandbox to be ready.
    pub wait: Duration,
}

/// The routes in their front end. Cheap to clone.
#[derive(Clone)]
pub struct Frontend {
    routes: BoxedFilter<(Response,)>,
    shared: Arc<Shared>,
    /// See [`Frontend::with_slow_after`].
    slow_after: Option<Duration>,
}

/// The state that all clones share.
#[derive(Debug)]
struct Shared {
    auth: Auth,
    deadlines: Deadlines,
    ids: RequestIds,
    metrics: HttpMetrics,
    /// See [`Frontend::drain_token`].
    drain_token: CancellationToken,
    /// See [`Frontend::rejected`].
    rejected: AtomicUsize,
}

/// `Retry-After` of a 503 during shutdown: another daemon is expected to run by then.
const RETRY: Duration = Duration::from_secs(2);

/// The parts of a request that its log line needs. The routes consume the request itself.
struct RequestInfo {
    method: Method,
    operation: Operation,
    path: http::Uri,
    route: Route,
    format: ErrorFormat,
    /// After which time it is slow; `None` if it never is.
    slow_after: Option<Duration>,
}

// === impl Deadlines ===

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            create: budget::HTTP_CREATE,
            delete: budget::HTTP_DELETE,
            change: budget::HTTP_DELETE,
            read: budget::HTTP_READ,
            wait: budget::HTTP_WAIT,
        }
    }
}

impl Deadlines {
    /// Returns the deadline of a request.
    fn of(&self, operation: Operation) -> Duration {
        match operation {
            Operation::CreateSandbox | Operation::CreatePod | Operation::CreateService | Operation::Move => {
                self.create
            }
            Operation::DeleteSandbox
            | Operation::DeletePod
            | Operation::DeleteService
            | Operation::DeleteWorkspace => self.delete,
            Operation::ChangeLimits | Operation::Resize | Operation::EnlargeWorkspace | Operation::Touch => {
                self.change
            }
            Operation::ReadLog | Operation::Read => self.read,
        }
    }
}

/// Returns the operation of a request, which decides its deadline.
fn operation(method: &Method, route: Route) -> Operation {
    match (method, route) {
        (&Method::DELETE, Route::Workspace) => Operation::DeleteWorkspace,
        (&Method::PATCH, Route::Workspace) => Operation::EnlargeWorkspace,
        (&Method::DELETE, _) => Operation::DeleteSandbox,
        (&Method::PATCH, _) => Operation::ChangeLimits,
        (&Method::POST, Route::Sandboxes) => Operation::CreateSandbox,
        (&Method::POST, Route::Touch) => Operation::Touch,
        (&Method::POST, Route::Move) => Operation::Move,
        (&Method::GET, Route::Logs) => Operation::ReadLog,
        _ => Operation::Read,
    }
}

/// Whether requests of this kind are frequent, thousands per second, and therefore logged at debug.
fn is_frequent(method: &Method, operation: Operation) -> bool {
    operation == Operation::Touch || matches!(*method, Method::GET | Method::HEAD)
}

// === impl Frontend ===

impl Frontend {
    /// Serves these [`routes`](super::routes).
    #[must_use]
    pub fn new(
        routes: BoxedFilter<(Response,)>,
        auth: Auth,
        deadlines: Deadlines,
        metrics: HttpMetrics,
    ) -> Self {
        let shared = Shared {
            auth,
            deadlines,
            ids: RequestIds::new(),
            metrics,
            drain_token: CancellationToken::new(),
            rejected: AtomicUsize::new(0),
        };
        Self { routes, shared: Arc::new(shared), slow_after: None }
    }

    /// Logs a warning for each request that takes longer than this. Zero switches that off.
    #[must_use]
    pub fn with_slow_after(self, limit: Duration) -> Self {
        Self { slow_after: Some(limit).filter(|limit| !limit.is_zero()), ..self }
    }

    /// Cancel this token to answer every waiting and every later request with 503.
    #[must_use]
    pub fn drain_token(&self) -> &CancellationToken {
        &self.shared.drain_token
    }

    /// How many requests were answered 503 because of [`Frontend::drain_token`].
    #[must_use]
    pub fn rejected(&self) -> usize {
        self.shared.rejected.load(Ordering::Relaxed)
    }

    /// Answers a request: always within its deadline and with a well-formed body. The deadline of a stream of
    /// events is for its first byte.
    ///
    /// Dropping the future (the client reset its connection) drops the route's future.
    pub async fn answer<B>(
        &self,
        request: Request<B>,
        peer: Option<SocketAddr>,
    ) -> http::Response<ResponseBody>
    where
        B: http_body::Body + Send + Sync + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let start = Instant::now();
        let id = self.shared.ids.of(request.headers());
        let route = Route::of(request.uri().path());
        let operation = operation(request.method(), route);
        // A read has no span: the span would cost as much as the rest of the request. Its single log line
        // contains the id as a field instead.
        macro_rules! span {
            ($level:expr) => {
                tracing::span!(
                    $level,
                    REQUEST,
                    request_id = id.as_str(),
                    trace_id = field::Empty,
                    span_id = field::Empty
                )
            };
        }
        let frequent = is_frequent(request.method(), operation);
        let span = if frequent { span!(Level::DEBUG) } else { span!(Level::INFO) };
        let ids = spans::begin(&span, TraceContext::of(request.headers()));
        // The log leaves out the span of a read although it is exported.
        let unnamed = span.is_disabled() || (frequent && ids.is_some_and(|ids| ids.is_exported));
        if let Some(ids) = &ids {
            span.record("trace_id", field::display(ids.trace()));
            span.record("span_id", field::display(ids.span()));
        }
        let info = RequestInfo {
            method: request.method().clone(),
            operation,
            path: request.uri().clone(),
            route,
            format: ErrorFormat::asked_for(request.headers()),
            // A request that waits is as slow as it asked for, and a move waits until the sandbox is ready.
            slow_after: self.slow_after.filter(|_| {
                operation != Operation::Move && Wait::of(operation, route, request.uri()).is_none()
            }),
        };
        let mut response = self.answer_route(request, route, operation, start).instrument(span.clone()).await;
        let error = response.extensions_mut().remove::<ApiError>();
        if let Some(error) = &error {
            response = error.write(info.format, info.path.path());
        }
        let answered = Answered {
            route: info.route,
            status: response.status(),
            create_failure: info.create_failure(error.as_ref()),
            took: start.elapsed(),
        };
        self.shared.metrics.answered(&info.method, &answered);
        let names = unnamed.then_some((&id, ids));
        span.in_scope(|| info.log(answered.status, error.as_ref(), answered.took, peer, names));
        spans::end(
            &span,
            &spans::Answered {
                method: info.method.as_str(),
                route: info.route.name(),
                path: info.path.path(),
                status: answered.status.as_u16(),
            },
        );
        response.headers_mut().insert(&X_REQUEST_ID, id.into_header());
        let reader = response.extensions_mut().remove::<ChangeReader>();
        let log = response.extensions_mut().remove::<LogReader>().and_then(LogReader::take);
        response.map(|body| match (reader, log) {
            (Some(reader), _) => ResponseBody::Events(EventBody::new(reader)),
            (None, Some(log)) => ResponseBody::Log(log),
            (None, None) => ResponseBody::Whole(body),
        })
    }

    async fn answer_route<B>(
        &self,
        mut request: Request<B>,
        route: Route,
        operation: Operation,
        start: Instant,
    ) -> Response
    where
        B: http_body::Body + Send + Sync + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let path = request.uri().path();
        if Auth::guards(path) && !self.shared.auth.allows(request.headers()) {
            return ApiError::unauthorized().into_response();
        }
        // `OPTIONS *` and the authority form of CONNECT have no path; warp's filters expect one.
        if !path.starts_with('/') {
            return ApiError::not_found().into_response();
        }
        let after = match Wait::of(operation, route, request.uri()) {
            Some(wait) => {
                request.extensions_mut().insert(wait);
                self.shared.deadlines.wait
            }
            None => self.shared.deadlines.of(operation),
        };
        if let Some(options) = ListOptions::of(request.method(), route, request.uri(), request.headers()) {
            request.extensions_mut().insert(options);
        }
        let mut routes = warp::service(self.routes.clone());
        let answered = pin!(async move { routes.call(request).await });
        let answered = AssertUnwindSafe(answered).catch_unwind();
        let ended = tokio::select! {
            biased;
            ended = timeout_at(start + after, answered) => ended,
            () = self.shared.drain_token.cancelled() => {
                self.shared.rejected.fetch_add(1, Ordering::Relaxed);
                return ApiError::from(SandboxError::ShuttingDown { retry_after: RETRY }).into_response();
            }
        };
        match ended {
            Ok(Ok(Ok(response))) => response,
            // The panic hook has logged it, in this request's span.
            Ok(Err(_panic)) => ApiError::internal().into_response(),
            Err(_elapsed) => ApiError::from(SandboxError::TimedOut { operation, after }).into_response(),
        }
    }
}

// === impl RequestInfo ===

impl RequestInfo {
    /// Returns the reason of a failed create.
    fn create_failure(&self, error: Option<&ApiError>) -> Option<&'static str> {
        let is_create = matches!(self.operation, Operation::CreateSandbox);
        error.filter(|_| is_create).map(|error| error.reason().unwrap_or("InvalidRequest"))
    }

    /// Logs one line per request: changes at info, reads and touches at debug, slow requests and server errors at warn
    /// except for probes. The line omits the query, which may contain secrets.
    fn log(
        &self,
        status: StatusCode,
        error: Option<&ApiError>,
        took: Duration,
        peer: Option<SocketAddr>,
        names: Option<(&RequestId, Option<TraceIds>)>,
    ) {
        let ids = names.and_then(|(_, ids)| ids);
        macro_rules! line {
            ($level:expr, $message:literal) => {
                tracing::event!(
                    $level,
                    request_id = names.map(|(id, _)| id.as_str()),
                    trace_id = ids.map(|ids| field::display(ids.trace())),
                    span_id = ids.map(|ids| field::display(ids.span())),
                    method = self.method.as_str(),
                    path = self.path.path(),
                    route = self.route.name(),
                    status = status.as_u16(),
                    took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                    peer = peer.map(tracing::field::display),
                    error = error.map(tracing::field::display),
                    $message
                )
            };
        }
        // Probes come every few seconds. The daemon logs a missing check itself, once.
        let is_probe = matches!(self.route, Route::Health | Route::Livez | Route::Readyz);
        if status.is_server_error() && !is_probe {
            line!(Level::WARN, "answered");
        } else if self.slow_after.is_some_and(|limit| took > limit) {
            line!(Level::WARN, "answered slowly");
        } else if is_frequent(&self.method, self.operation) {
            line!(Level::DEBUG, "answered");
        } else {
            line!(Level::INFO, "answered");
        }
    }
}
