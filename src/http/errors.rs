//! Error responses: the status, the text, and the two formats of the body.

use std::{borrow::Cow, fmt, time::Duration};

use actors::sandboxes::Reaped;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE},
};
use lifecycle::{error::SandboxError, spec::Mismatch};
use serde::Serialize;
use serde_json::Value;
use warp::{Reply, reply::Response};

use super::responses;

/// The media type of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem documents.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Tells DeerFlow's Gateway to read `/api/capabilities` again before it repeats the request; the value says which
/// capability has changed.
static X_DEERFLOW_CAPABILITY_REFRESH: HeaderName = HeaderName::from_static("x-deerflow-capability-refresh");

/// An error as the caller sees it. It contains no secret.
///
/// As a [`Reply`] it is a response without a body, with the error in its extensions. The
/// [front end](super::frontend) writes the body with [`ApiError::write`], in the [`ErrorFormat`] that the request
/// asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    status: ErrorStatus,
    detail: Detail,
    /// A stable name of the error, if it has one.
    reason: Option<&'static str>,
    /// `Retry-After`; only with statuses that mean "later".
    retry_after: Option<Duration>,
    /// `Allow`; only with a 405.
    allow: Option<&'static str>,
    /// What the caller can do about it.
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

/// The statuses that an error can have. None of them is a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorStatus {
    /// 400
    BadRequest,
    /// 401
    Unauthorized,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 408
    RequestTimeout,
    /// 409
    Conflict,
    /// 413
    PayloadTooLarge,
    /// 422
    Unprocessable,
    /// 500
    Internal,
    /// 503
    Unavailable,
    /// 504
    DeadlinePassed,
}

/// The format of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorFormat {
    /// `{"detail": …}`, the format of FastAPI, which existing clients read.
    FastApi,
    /// A problem document, for clients that accept [`PROBLEM_JSON`].
    Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq)]
enum Detail {
    /// One sentence.
    Text(Cow<'static, str>),
    /// Each invalid field of the body, as pydantic writes it.
    Fields(Vec<Value>),
}

/// The format of FastAPI.
#[derive(Serialize)]
struct FastApiBody<'a> {
    detail: &'a Detail,
    #[serde(flatten)]
    more: More<'a>,
}

/// The fields beside `detail` that both formats have.
#[derive(Serialize)]
struct More<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    absent: Option<Absent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reaped: Option<responses::Reaped>,
}

/// A sandbox that does not exist, as DeerFlow documents it. A problem document's own `status` is a number, so there
/// the word has another name.
#[derive(Serialize)]
#[serde(untagged)]
enum Absent<'a> {
    FastApi { sandbox_id: &'a str, status: &'static str },
    Problem { sandbox_id: &'a str, sandbox_status: &'static str },
}

/// The format of RFC 9457, with the validation errors and the fields of [`More`] as extension members.
#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: Cow<'a, str>,
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [Value]>,
    #[serde(flatten)]
    more: More<'a>,
}

// === impl ErrorStatus ===

impl ErrorStatus {
    /// The HTTP status.
    #[must_use]
    pub const fn code(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::DeadlinePassed => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The reason phrase of the status, the title of its problem documents.
    fn phrase(self) -> &'static str {
        self.code().canonical_reason().unwrap_or("Error")
    }
}

// === impl ErrorFormat ===

impl ErrorFormat {
    /// The format that these request headers ask for.
    #[must_use]
    pub fn asked_for(headers: &HeaderMap) -> Self {
        if accepts(headers, PROBLEM_JSON) { Self::Problem } else { Self::FastApi }
    }
}

/// Whether the `Accept` headers name this media type itself (`*/*` does not count), and do not refuse it
/// with `q=0`.
#[must_use]
pub fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
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

impl Serialize for Detail {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Fields(fields) => fields.serialize(serializer),
        }
    }
}

impl Detail {
    /// One sentence in both cases; for fields, `body.thread_id: String should match …; …`.
    fn description(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Fields(fields) => {
                let field = |field: &Value| {
                    let place = field["loc"].as_array().map_or(&[][..], Vec::as_slice).iter();
                    let place: Vec<String> = place
                        .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
                        .collect();
                    format!("{}: {}", place.join("."), field["msg"].as_str().unwrap_or("invalid"))
                };
                Cow::Owned(fields.iter().map(field).collect::<Vec<_>>().join("; "))
            }
        }
    }
}

// === impl ApiError ===

impl ApiError {
    fn new(status: ErrorStatus, text: impl Into<Cow<'static, str>>) -> Self {
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

    /// 401: no usable key.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(ErrorStatus::Unauthorized, "Unauthorized")
    }

    /// 404: there is no such path.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(ErrorStatus::NotFound, "Not Found")
    }

    /// 404: there is no such sandbox; `id` is the caller's own text.
    #[must_use]
    pub fn no_sandbox(id: &str) -> Self {
        let missing = Some(Box::new(Missing { id: id.to_owned(), reaped: None }));
        Self { missing, ..Self::new(ErrorStatus::NotFound, format!("Sandbox '{id}' not found")) }
    }

    /// The same, with when and why the daemon reaped it.
    #[must_use]
    pub fn after_reap(mut self, reaped: Option<Reaped>) -> Self {
        if let Some(missing) = &mut self.missing {
            missing.reaped = reaped;
        }
        self
    }

    /// 405: the path has only these methods.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::new(ErrorStatus::MethodNotAllowed, "Method Not Allowed") }
    }

    /// 422: fields of the body, or headers, are wrong; each entry is one of pydantic's, with `type`, `loc`, `msg`, `input`.
    #[must_use]
    pub fn invalid_fields(fields: &impl Serialize) -> Self {
        match serde_json::to_value(fields) {
            Ok(Value::Array(fields)) => {
                let detail = Detail::Fields(fields);
                Self { detail, ..Self::new(ErrorStatus::Unprocessable, "") }
            }
            Ok(_) | Err(_) => Self::internal(),
        }
    }

    /// 400: the body is incomplete, or its framing is invalid. The text is FastAPI's.
    #[must_use]
    pub fn unreadable_body() -> Self {
        Self::new(ErrorStatus::BadRequest, "There was an error parsing the body")
    }

    /// 413: the body is larger than `limit` bytes.
    #[must_use]
    pub fn body_too_large(limit: usize) -> Self {
        Self::new(ErrorStatus::PayloadTooLarge, format!("the request body is larger than {limit} bytes"))
    }

    /// 408: the body did not arrive within `limit`.
    #[must_use]
    pub fn body_too_slow(limit: Duration) -> Self {
        let text = format!("the request body did not arrive within {} s", limit.as_secs());
        Self::new(ErrorStatus::RequestTimeout, text)
    }

    /// 500: a bug of this program. The log contains the cause, under the request's id.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(ErrorStatus::Internal, "Internal Server Error")
    }

    /// Its status.
    #[must_use]
    pub const fn status(&self) -> ErrorStatus {
        self.status
    }

    /// The text of `detail`.
    #[must_use]
    pub fn detail(&self) -> Value {
        serde_json::to_value(&self.detail).unwrap_or_default()
    }

    /// The whole response. `instance` is the path of the URI.
    #[must_use]
    pub fn write(&self, shape: ErrorFormat, instance: &str) -> Response {
        let (content_type, body) = match shape {
            // The key check of DeerFlow's provisioner runs outside FastAPI: a text without a content type.
            ErrorFormat::FastApi if self.status == ErrorStatus::Unauthorized => {
                (None, Bytes::from_static(b"Unauthorized"))
            }
            ErrorFormat::FastApi => {
                let absent = |sandbox_id| Absent::FastApi { sandbox_id, status: "NotFound" };
                let body = FastApiBody { detail: &self.detail, more: self.more(absent) };
                (Some(responses::JSON), to_json(&body))
            }
            ErrorFormat::Problem => {
                let absent = |sandbox_id| Absent::Problem { sandbox_id, sandbox_status: "NotFound" };
                let body = ProblemBody {
                    r#type: "about:blank",
                    title: self.status.phrase(),
                    status: self.status.code().as_u16(),
                    detail: self.detail.description(),
                    instance,
                    errors: match &self.detail {
                        Detail::Fields(fields) => Some(fields),
                        Detail::Text(_) => None,
                    },
                    more: self.more(absent),
                };
                (Some(HeaderValue::from_static(PROBLEM_JSON)), to_json(&body))
            }
        };
        let mut response = Response::new(body.into());
        *response.status_mut() = self.status.code();
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
        if self.status == ErrorStatus::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    fn more<'a>(&'a self, absent: impl FnOnce(&'a str) -> Absent<'a>) -> More<'a> {
        More {
            reason: self.reason,
            hint: self.hint.as_deref(),
            absent: self.missing.as_deref().map(|missing| absent(&missing.id)),
            reaped: self.missing.as_ref().and_then(|missing| missing.reaped).map(responses::Reaped::from),
        }
    }
}

/// `Retry-After` is in whole seconds, and at least 1: with 0 all clients would retry at once.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn to_json(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body)
        .map_or_else(|_| Bytes::from_static(br#"{"detail":"Internal Server Error"}"#), Bytes::from)
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail.description())
    }
}

impl Reply for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Bytes::new().into());
        *response.status_mut() = self.status.code();
        response.extensions_mut().insert(self);
        response
    }
}

/// The response of a handler.
pub(crate) fn reply(outcome: Result<Response, ApiError>) -> Response {
    outcome.unwrap_or_else(Reply::into_response)
}

/// Every temporary error is a 503 with `Retry-After`, also for a terminating sandbox: common HTTP clients respect
/// that header only on 413, 429 and 503 (urllib3's `RETRY_AFTER_STATUS_CODES`), not on a 409.
impl From<SandboxError> for ApiError {
    fn from(failure: SandboxError) -> Self {
        let text = failure.to_string();
        let hint = failure.hint().map(String::into_boxed_str);
        let capability_refresh = matches!(
            failure,
            SandboxError::LarkBrokerNotConfigured
                | SandboxError::LarkBrokerRequired
                | SandboxError::Mismatch(Mismatch::LarkBroker)
        );
        let (status, reason, retry_after) = match failure {
            SandboxError::BadRequest(_) => (ErrorStatus::BadRequest, None, None),
            SandboxError::MountOutsideState { .. } => {
                (ErrorStatus::BadRequest, Some("MountOutsideState"), None)
            }
            // A retry does not help until the image is configured: no `Retry-After`.
            SandboxError::LarkBrokerNotConfigured => {
                (ErrorStatus::Unavailable, Some("LarkBrokerNotConfigured"), None)
            }
            SandboxError::LarkBrokerRequired => (ErrorStatus::Conflict, Some("LarkBrokerRequired"), None),
            SandboxError::Mismatch(mismatch) => (ErrorStatus::Conflict, Some(mismatch.name()), None),
            SandboxError::NotOurs { .. } => (ErrorStatus::Conflict, Some("NotOurs"), None),
            SandboxError::StillTerminating { retry_after, .. } => {
                (ErrorStatus::Unavailable, Some("StillTerminating"), Some(retry_after))
            }
            // A later DELETE would succeed and take the sandbox from its owner: no `Retry-After`, which clients
            // respect automatically.
            SandboxError::Owned { .. } => (ErrorStatus::Conflict, Some("Owned"), None),
            SandboxError::Refused { fault, .. } => (ErrorStatus::Internal, Some(fault.kind.name()), None),
            SandboxError::Unavailable { fault, retry_after, .. } => {
                (ErrorStatus::Unavailable, Some(fault.kind.name()), Some(retry_after))
            }
            SandboxError::Stale { retry_after, .. } => {
                (ErrorStatus::Unavailable, Some("Stale"), Some(retry_after))
            }
            SandboxError::TimedOut { .. } => (ErrorStatus::DeadlinePassed, Some("TimedOut"), None),
            SandboxError::Busy { retry_after } | SandboxError::Overloaded { what: _, retry_after } => {
                (ErrorStatus::Unavailable, Some("Busy"), Some(retry_after))
            }
            SandboxError::Restarting { .. } => {
                (ErrorStatus::Unavailable, Some("Restarting"), Some(Duration::from_secs(1)))
            }
            SandboxError::ShuttingDown { retry_after } => {
                (ErrorStatus::Unavailable, Some("ShuttingDown"), Some(retry_after))
            }
        };
        Self { reason, retry_after, hint, capability_refresh, ..Self::new(status, text) }
    }
}
