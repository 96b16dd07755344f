//! Error responses: the status, the text, and the two formats of the body.

use std::{borrow::Cow, fmt, time::Duration};

use actors::sandboxes::Reaped;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE},
};
use lifecycle::{
    error::{ClusterErrorKind, Refusal, SandboxError, TIMED_OUT_RETRY},
    spec,
    text::{shortened, whole_seconds},
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{ToSchema, openapi::schema::ObjectBuilder};
use warp::{Reply, reply::Response};

use super::{
    openapi::{names, schemas},
    request::FieldError,
    responses,
};

/// The media type of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem documents.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// Tells DeerFlow's Gateway to read `/api/capabilities` again before it repeats the request; the value says which
/// capability has changed.
static X_DEERFLOW_CAPABILITY_REFRESH: HeaderName = HeaderName::from_static("x-deerflow-capability-refresh");

/// The longest part of the id of an unknown workspace that is returned, in bytes.
const ID_SHOWN_MAX: usize = 64;

/// An error as the caller sees it. It contains no secret.
///
/// As a [`Reply`] it is a response without a body, with the error in its extensions. The
/// [front end](super::frontend) writes the body, in the format that the request asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// Always a 4xx or 5xx: the constructors are all in this file.
    status: StatusCode,
    detail: Detail,
    /// A stable name of the error, if it has one.
    reason: Option<&'static str>,
    /// `Retry-After`; only with statuses that mean "later".
    retry_after: Option<Duration>,
    /// `Allow`; only with a 405.
    allow: Option<&'static str>,
    /// Advice for the caller.
    hint: Option<Box<str>>,
    /// The sandbox that does not exist.
    missing: Option<Box<Missing>>,
    /// Whether the caller's copy of the capabilities is out of date.
    capability_refresh: bool,
}

/// A sandbox that does not exist.
#[derive(Debug, Clone, PartialEq)]
struct Missing {
    /// As the caller wrote it.
    id: String,
    /// When and why the daemon reaped it, if it did.
    reaped: Option<Reaped>,
}

/// The format of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorFormat {
    /// `{"detail": …}`, the format of FastAPI, which existing clients read.
    FastApi,
    /// A problem document, for clients that accept [`PROBLEM_JSON`].
    Problem,
}

/// One sentence, or each invalid field.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
enum Detail {
    /// One sentence.
    Text(Cow<'static, str>),
    /// Each invalid field of the body, as pydantic writes it.
    Fields(Vec<FieldError>),
}

/// An error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
struct ErrorBody<'a> {
    /// The problem: a sentence, or for a 422 a list of the invalid fields.
    detail: &'a Detail,
    #[serde(flatten)]
    more: ErrorMore<'a>,
    /// The status of a sandbox that does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = not_found)]
    status: Option<&'static str>,
}

/// An error as RFC 9457 describes it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
struct ProblemBody<'a> {
    /// Always `about:blank`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The name of the HTTP status.
    #[schema(required, value_type = String)]
    title: Option<&'static str>,
    /// The HTTP status.
    status: u16,
    /// The problem as a sentence.
    detail: String,
    /// The path of the request.
    instance: &'a str,
    /// The invalid fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [FieldError]>,
    #[serde(flatten)]
    more: ErrorMore<'a>,
    /// The status of a sandbox that does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = not_found)]
    sandbox_status: Option<&'static str>,
}

/// The fields that both formats have.
#[derive(Serialize, ToSchema)]
struct ErrorMore<'a> {
    /// A stable name of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Advice for the caller or an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    /// The sandbox that does not exist, as the caller wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox_id: Option<&'a str>,
    /// When and why the daemon has deleted the sandbox, if that was within the last hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    reaped: Option<responses::Reaped>,
}

fn not_found() -> ObjectBuilder {
    names::one_of([NOT_FOUND]).description(Some("The status of a sandbox that does not exist."))
}

/// The status of a sandbox that does not exist.
const NOT_FOUND: &str = "NotFound";

/// Returns the schemas of both formats.
pub(super) fn schemas() -> Vec<schemas::Named> {
    let format = schemas::Use::Response;
    [schemas::named::<ErrorBody<'_>>(format), schemas::named::<ProblemBody<'_>>(format)].concat()
}

// === impl ErrorFormat ===

impl ErrorFormat {
    /// The format that these request headers ask for.
    pub(super) fn asked_for(headers: &HeaderMap) -> Self {
        if accepts(headers, PROBLEM_JSON) { Self::Problem } else { Self::FastApi }
    }
}

/// Whether the `Accept` headers name this media type itself (`*/*` does not count), and do not refuse it
/// with `q=0`.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(media_type));
            named
                && !parts.any(|parameter| {
                    parameter
                        .split_once('=')
                        .is_some_and(|(k, v)| k.eq_ignore_ascii_case("q") && v.parse() == Ok(0.0_f32))
                })
        })
}

// === impl Detail ===

impl fmt::Display for Detail {
    /// Formats fields as `body.thread_id: String should match …; …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Fields(fields) => fields.iter().enumerate().try_for_each(|(index, field)| {
                let separator = if index == 0 { "" } else { "; " };
                write!(f, "{separator}{field}")
            }),
        }
    }
}

// === impl ApiError ===

impl ApiError {
    fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        let detail = Detail::Text(text.into());
        Self {
            status,
            detail,
            reason: None,
            retry_after: None,
            allow: None,
            hint: None,
            missing: None,
            capability_refresh: false,
        }
    }

    /// Returns the stable name of the error, if it has one.
    pub(super) fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// Returns `Retry-After`, if the response has one.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns whether the caller's copy of the capabilities is out of date.
    pub(super) fn refreshes_capabilities(&self) -> bool {
        self.capability_refresh
    }

    /// 401: no usable key.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized")
    }

    /// 404: the path does not exist.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    /// 404: the workspace does not exist; `id` is the caller's own text.
    pub(super) fn no_workspace(id: &str) -> Self {
        let id = shortened(id, ID_SHOWN_MAX);
        Self::new(StatusCode::NOT_FOUND, format!("Workspace '{id}' not found"))
    }

    /// 404: the cluster does not exist; `name` is the caller's own text.
    pub(super) fn unknown_cluster(name: &str) -> Self {
        let name = shortened(name, ID_SHOWN_MAX);
        Self::new(StatusCode::NOT_FOUND, format!("Cluster '{name}' not found"))
    }

    /// 404: the sandbox does not exist; `id` is the caller's own text.
    pub(super) fn no_sandbox(id: &str) -> Self {
        let missing = Some(Box::new(Missing { id: id.to_owned(), reaped: None }));
        Self { missing, ..Self::new(StatusCode::NOT_FOUND, format!("Sandbox '{id}' not found")) }
    }

    /// The same, with when and why the daemon reaped it.
    pub(super) fn after_reap(mut self, reaped: Option<Reaped>) -> Self {
        if let Some(missing) = &mut self.missing {
            missing.reaped = reaped;
        }
        self
    }

    /// 405: the path has only these methods.
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") }
    }

    /// Combines the error of the headers with that of the body. Two 422s become one with all fields; otherwise the
    /// body could not be read, and the headers do not matter.
    pub(super) fn and_body(mut self, mut body: Self) -> Self {
        if let (Detail::Fields(fields), Detail::Fields(more)) = (&mut self.detail, &mut body.detail) {
            fields.append(more);
            return self;
        }
        body
    }

    /// 400: the body is incomplete, or its framing is invalid. The text is FastAPI's.
    pub(super) fn unreadable_body() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "There was an error parsing the body")
    }

    /// 413: the body is larger than `limit` bytes.
    pub(crate) fn body_too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request body is larger than {limit} bytes"))
    }

    /// 408: the body did not arrive within `limit`.
    pub(super) fn body_too_slow(limit: Duration) -> Self {
        let text = format!("the request body did not arrive within {} s", limit.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, text)
    }

    /// 500: a bug of this program. The log contains the cause, under the request's id.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }

    /// No cluster takes the sandbox. If none of them may take it later, the status is that of the gravest error.
    fn no_cluster(text: String, hint: Option<Box<str>>, refusals: Vec<Refusal>) -> Self {
        let retry_after = refusals.iter().filter_map(|refusal| refusal.why.retry_after()).min();
        let gravest = refusals.into_iter().map(|refusal| Self::from(*refusal.why).status).max();
        let status = gravest.filter(|_| retry_after.is_none()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        Self { reason: Some("NoCluster"), retry_after, hint, ..Self::new(status, text) }
    }

    /// The status, which is never a success.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The value of `detail`: a text, or a list of invalid fields.
    #[must_use]
    pub fn detail(&self) -> Value {
        json!(self.detail)
    }

    /// The whole response. `instance` is the path of the URI.
    pub(super) fn write(&self, format: ErrorFormat, instance: &str) -> Response {
        let (content_type, body) = match format {
            // The key check of DeerFlow's provisioner runs outside FastAPI: a text without a content type.
            ErrorFormat::FastApi if self.status == StatusCode::UNAUTHORIZED => {
                (None, "Unauthorized".to_owned())
            }
            ErrorFormat::FastApi => (Some(responses::JSON), self.body().to_string()),
            ErrorFormat::Problem => {
                let errors = match &self.detail {
                    Detail::Fields(fields) => Some(&fields[..]),
                    Detail::Text(_) => None,
                };
                let body = json!(ProblemBody {
                    kind: "about:blank",
                    title: self.status.canonical_reason(),
                    status: self.status.as_u16(),
                    detail: self.detail.to_string(),
                    instance,
                    errors,
                    more: self.more(),
                    // The status of a problem document is a number, so the status of the sandbox has another name.
                    sandbox_status: self.missing.as_ref().map(|_| NOT_FOUND),
                });
                (Some(HeaderValue::from_static(PROBLEM_JSON)), body.to_string())
            }
        };
        let mut response = Response::new(body.into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if self.capability_refresh {
            headers.insert(&X_DEERFLOW_CAPABILITY_REFRESH, HeaderValue::from_static("lark-broker"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// The body in FastAPI's format.
    pub(super) fn body(&self) -> Value {
        let status = self.missing.as_ref().map(|_| NOT_FOUND);
        json!(ErrorBody { detail: &self.detail, more: self.more(), status })
    }

    /// Returns the fields that both formats have.
    fn more(&self) -> ErrorMore<'_> {
        let missing = self.missing.as_deref();
        ErrorMore {
            reason: self.reason,
            hint: self.hint.as_deref(),
            sandbox_id: missing.map(|missing| &*missing.id),
            reaped: missing.and_then(|missing| missing.reaped).map(responses::Reaped::from),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.detail.fmt(f)
    }
}

impl From<FieldError> for ApiError {
    fn from(field: FieldError) -> Self {
        Self::from(vec![field])
    }
}

impl From<Vec<FieldError>> for ApiError {
    /// 422: fields of the body or headers are invalid.
    fn from(fields: Vec<FieldError>) -> Self {
        Self { detail: Detail::Fields(fields), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "") }
    }
}

impl Reply for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Bytes::new().into());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// The response of a handler.
pub(crate) fn reply(outcome: Result<Response, ApiError>) -> Response {
    outcome.unwrap_or_else(Reply::into_response)
}

/// The status of a permanent refusal. One that the caller, or the owner of a workspace, can resolve is a 409.
const fn status_of(refusal: ClusterErrorKind) -> StatusCode {
    match refusal {
        ClusterErrorKind::WorkspacePending
        | ClusterErrorKind::WorkspaceLost
        | ClusterErrorKind::WorkspaceMismatch
        | ClusterErrorKind::WorkspaceNotOurs
        | ClusterErrorKind::WorkspaceInUse
        | ClusterErrorKind::WorkspaceNotExpandable => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Every temporary error is a 503 with `Retry-After`, also for a terminating sandbox: common HTTP clients respect
/// that header only on 413, 429 and 503 (urllib3's `RETRY_AFTER_STATUS_CODES`), not on a 409.
impl From<SandboxError> for ApiError {
    fn from(error: SandboxError) -> Self {
        use SandboxError::{
            AfterResize, BadRequest, Busy, ClusterAway, LarkBrokerNotConfigured, LarkBrokerRequired,
            LogForbidden, LogNotReady, Mismatch, MountOutsideState, MoveRefused, NetworkNotEnforced,
            NoCluster, NoPreviousLog, NotOurs, Overloaded, Owned, Refused, ResizeNotSupported, ResizeRefused,
            Restarting, ShuttingDown, Stale, StillTerminating, TimedOut, Unanswered, Unavailable,
        };
        let text = error.to_string();
        let hint = error.hint().map(String::into_boxed_str);
        let capability_refresh = matches!(
            error,
            LarkBrokerNotConfigured | LarkBrokerRequired | Mismatch(spec::Mismatch::LarkBroker)
        );
        let later = |reason, retry_after| (StatusCode::SERVICE_UNAVAILABLE, Some(reason), Some(retry_after));
        let (status, reason, retry_after) = match error {
            AfterResize(error) => return Self { detail: Detail::Text(text.into()), ..Self::from(*error) },
            BadRequest(_) => (StatusCode::BAD_REQUEST, None, None),
            MountOutsideState { .. } => (StatusCode::BAD_REQUEST, Some("MountOutsideState"), None),
            // A retry does not help until the image is configured: no `Retry-After`.
            LarkBrokerNotConfigured => {
                (StatusCode::SERVICE_UNAVAILABLE, Some("LarkBrokerNotConfigured"), None)
            }
            NetworkNotEnforced { retry_after, .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, Some("NetworkNotEnforced"), retry_after)
            }
            LarkBrokerRequired => (StatusCode::CONFLICT, Some("LarkBrokerRequired"), None),
            Mismatch(mismatch) => (StatusCode::CONFLICT, Some(mismatch.name()), None),
            ResizeNotSupported => (StatusCode::NOT_IMPLEMENTED, Some("ResizeNotSupported"), None),
            ResizeRefused(_) => (StatusCode::BAD_REQUEST, Some("ResizeRefused"), None),
            LogNotReady { .. } => (StatusCode::CONFLICT, Some("LogNotReady"), None),
            NoPreviousLog { .. } => (StatusCode::CONFLICT, Some("NoPreviousLog"), None),
            // A retry does not help until the right is granted: no `Retry-After`.
            LogForbidden { .. } => (StatusCode::SERVICE_UNAVAILABLE, Some("LogForbidden"), None),
            NotOurs { .. } => (StatusCode::CONFLICT, Some("NotOurs"), None),
            MoveRefused { .. } => (StatusCode::CONFLICT, Some("MoveRefused"), None),
            StillTerminating { retry_after, .. } => later("StillTerminating", retry_after),
            // A later DELETE would succeed and take the sandbox from its owner: no `Retry-After`, which clients
            // respect automatically.
            Owned { .. } => (StatusCode::CONFLICT, Some("Owned"), None),
            Refused { fault, .. } => (status_of(fault.kind), Some(fault.kind.name()), None),
            Unavailable { fault, retry_after, .. } => later(fault.kind.name(), retry_after),
            Stale { retry_after, .. } | ClusterAway { retry_after, .. } => later("Stale", retry_after),
            NoCluster { refusals, .. } => return Self::no_cluster(text, hint, refusals),
            TimedOut { .. } | Unanswered { .. } => {
                (StatusCode::GATEWAY_TIMEOUT, Some("TimedOut"), Some(TIMED_OUT_RETRY))
            }
            Busy { retry_after } | Overloaded { retry_after, .. } => later("Busy", retry_after),
            Restarting { .. } => later("Restarting", Duration::from_secs(1)),
            ShuttingDown { retry_after } => later("ShuttingDown", retry_after),
        };
        Self { reason, retry_after, hint, capability_refresh, ..Self::new(status, text) }
    }
}
