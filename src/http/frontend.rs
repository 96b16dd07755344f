//! What is around every route: the request's id and log line, the key, the deadline, and the net under panics.

use std::{
    error::Error,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use http::{Method, Request, StatusCode};
use lifecycle::{budget, error::SandboxError};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::Instrument;
use warp::{Reply, filters::BoxedFilter, reply::Response};

use super::{
    auth::Auth,
    errors::{ApiError, ErrorFormat},
    request_id::{RequestId, RequestIds, X_REQUEST_ID},
};

/// How long a request may take, from its last header to its answer; past it, the answer is a 504.
///
/// Each stands a few seconds under the time at which existing clients give up (30, 10 and 15 s), so that they
/// see an answer rather than a closed connection, and above the deadlines of the work behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For the making of a sandbox.
    pub create: Duration,
    /// For a DELETE.
    pub delete: Duration,
    /// For a PATCH and for a touch, which wait behind whatever else is done to their sandbox.
    pub change: Duration,
    /// For everything else: all of it is answered from memory.
    pub read: Duration,
}

/// The routes with all that is around them. Cheap to clone.
#[derive(Clone)]
pub struct Frontend {
    routes: BoxedFilter<(Response,)>,
    shared: Arc<Shared>,
}

/// What all clones share.
#[derive(Debug)]
struct Shared {
    auth: Auth,
    deadlines: Deadlines,
    ids: RequestIds,
    /// Cancelled when nobody is to wait any longer.
    drain_token: CancellationToken,
    /// How many requests were answered because of that.
    rejected: AtomicUsize,
}

/// What a request asks for, as far as what is around its route depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Create,
    Change,
    Delete,
    Touch,
    Read,
    /// Seldom, or never served.
    Other,
}

/// When to ask again after the last call: another daemon takes our place about then.
const RETRY: Duration = Duration::from_secs(2);

/// Asked every few seconds by whoever looks after the daemon. What they are told while something is missing
/// stands in the log by itself, once.
const HEALTH_ENDPOINTS: [&str; 3] = ["/health", "/livez", "/readyz"];

/// What is kept of a request until it is answered, when the routes have long consumed it.
struct RequestInfo {
    method: Method,
    operation: Operation,
    path: http::Uri,
    shape: ErrorFormat,
}

// === impl Deadlines ===

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            create: budget::HTTP_CREATE,
            delete: budget::HTTP_DELETE,
            change: budget::HTTP_DELETE,
            read: budget::HTTP_READ,
        }
    }
}

impl Deadlines {
    /// The deadline of a request, and what to call its work in the text of a 504.
    fn of(&self, operation: Operation) -> (&'static str, Duration) {
        match operation {
            Operation::Create => ("Sandbox creation", self.create),
            Operation::Change => ("Change of the limits", self.change),
            Operation::Delete => ("Sandbox deletion", self.delete),
            Operation::Touch => ("Touch", self.change),
            Operation::Read | Operation::Other => ("The request", self.read),
        }
    }
}

// === impl Work ===

impl Operation {
    fn of(method: &Method, path: &str) -> Self {
        let path = path.trim_end_matches('/');
        match *method {
            Method::GET | Method::HEAD => Self::Read,
            Method::DELETE => Self::Delete,
            Method::PATCH => Self::Change,
            Method::POST if path == "/api/sandboxes" => Self::Create,
            Method::POST if path.ends_with("/touch") => Self::Touch,
            _ => Self::Other,
        }
    }

    /// Whether there may be thousands of these a second, none of which is worth a line of the usual log.
    fn is_frequent(self) -> bool {
        matches!(self, Self::Touch | Self::Read)
    }
}

// === impl Frontend ===

impl Frontend {
    /// Puts everything around these [`routes`](super::routes).
    #[must_use]
    pub fn new(routes: BoxedFilter<(Response,)>, auth: Auth, deadlines: Deadlines) -> Self {
        let shared = Shared {
            auth,
            deadlines,
            ids: RequestIds::new(),
            drain_token: CancellationToken::new(),
            rejected: AtomicUsize::new(0),
        };
        Self { routes, shared: Arc::new(shared) }
    }

    /// Cancelled to answer every request 503 that is waiting then, or comes later.
    #[must_use]
    pub fn drain_token(&self) -> &CancellationToken {
        &self.shared.drain_token
    }

    /// How many requests were answered 503 because of [`Frontend::drain_token`].
    #[must_use]
    pub fn rejected(&self) -> usize {
        self.shared.rejected.load(Ordering::Relaxed)
    }

    /// Answers a request. It always does: within its deadline, with a well-formed body, whatever happens.
    ///
    /// Dropping the future (the caller went away) drops the route's.
    pub async fn answer<B>(&self, request: Request<B>, peer: Option<SocketAddr>) -> Response
    where
        B: http_body::Body + Send + Sync + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let begun = Instant::now();
        let id = self.shared.ids.of(request.headers());
        let operation = Operation::of(request.method(), request.uri().path());
        // A read says nothing on its way but its one line, which carries the id itself where there is no span:
        // a span costs a read as much as the rest of its answer does.
        let span = if operation.is_frequent() {
            tracing::debug_span!("request", request_id = id.as_str())
        } else {
            tracing::info_span!("request", request_id = id.as_str())
        };
        let unnamed = span.is_disabled();
        let info = RequestInfo {
            method: request.method().clone(),
            operation,
            path: request.uri().clone(),
            shape: ErrorFormat::asked_for(request.headers()),
        };
        async {
            let mut response = self.route(request, operation).await;
            let error = response.extensions_mut().remove::<ApiError>();
            if let Some(error) = &error {
                response = error.write(info.shape, info.path.path());
            }
            info.log(response.status(), error.as_ref(), begun.elapsed(), peer, unnamed.then_some(&id));
            response.headers_mut().insert(&X_REQUEST_ID, id.into_header());
            response
        }
        .instrument(span)
        .await
    }

    async fn route<B>(&self, request: Request<B>, operation: Operation) -> Response
    where
        B: http_body::Body + Send + Sync + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let path = request.uri().path();
        if Auth::guards(path) && !self.shared.auth.allows(request.headers()) {
            return ApiError::unauthorized().into_response();
        }
        // `OPTIONS *` and the authority form of CONNECT name no path; warp's filters expect one.
        if !path.starts_with('/') {
            return ApiError::not_found().into_response();
        }
        let (operation, after) = self.shared.deadlines.of(operation);
        let mut routes = warp::service(self.routes.clone());
        let answered = AssertUnwindSafe(async move { routes.call(request).await }).catch_unwind();
        let ended = tokio::select! {
            biased;
            ended = timeout(after, answered) => ended,
            () = self.shared.drain_token.cancelled() => {
                self.shared.rejected.fetch_add(1, Ordering::Relaxed);
                return ApiError::from(SandboxError::ShuttingDown { retry_after: RETRY }).into_response();
            }
        };
        match ended {
            Ok(Ok(Ok(response))) => response,
            // The panic hook has told of it, in this request's span.
            Ok(Err(_panic)) => ApiError::internal().into_response(),
            Err(_elapsed) => ApiError::from(SandboxError::TimedOut { operation, after }).into_response(),
        }
    }
}

// === impl Asked ===

impl RequestInfo {
    /// One line a request: what changes something at info, what only reads or touches at debug, faults of the
    /// service or of the cluster as warnings, but for probes. The query is left out: it is no part of this API and
    /// may hold anything.
    fn log(
        &self,
        status: StatusCode,
        error: Option<&ApiError>,
        took: Duration,
        peer: Option<SocketAddr>,
        id: Option<&RequestId>,
    ) {
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    request_id = id.map(RequestId::as_str),
                    method = self.method.as_str(),
                    path = self.path.path(),
                    status = status.as_u16(),
                    took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                    peer = peer.map(tracing::field::display),
                    error = error.map(tracing::field::display),
                    "answered"
                )
            };
        }
        if status.is_server_error() && !HEALTH_ENDPOINTS.contains(&self.path.path()) {
            line!(tracing::Level::WARN);
        } else if self.operation.is_frequent() {
            line!(tracing::Level::DEBUG);
        } else {
            line!(tracing::Level::INFO);
        }
    }
}
