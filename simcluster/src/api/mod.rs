//! What each verb does: from a request that has been understood to an answer. No transport, no faults, no records.

mod create;
mod decode;
mod delete;
mod list;
mod options;
mod pod;
mod quota;
mod service_ports;
mod update;
mod watch;
mod writer;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

pub(crate) use decode::peek_name;
pub(crate) use delete::{FOREGROUND, ORPHAN, delete_after_dependents, delete_object};
pub(crate) use quota::status as quota_status;
pub(crate) use service_ports::{node_ports, release as release_service};
pub(crate) use update::commit as commit_change;

use crate::access::{self, User};
use crate::body::Body;
use crate::calls::Verb;
use crate::faults::WatchFault;
use crate::query::Query;
use crate::resource::{Resource, Sub};
use crate::route::{Route, Target};
use crate::shared::Shared;
use crate::status::{ApiError, ApiResult};
use crate::store::Object;
use crate::{discovery, openapi, table, view};

/// A request, read and taken apart.
#[derive(Debug)]
pub(crate) struct Request {
    pub route: Route,
    pub verb: Verb,
    pub query: Query,
    pub content_type: String,
    pub accept: String,
    /// Names who writes where no field manager is named.
    pub user_agent: String,
    /// Who asks.
    pub user: User,
    pub body: Bytes,
}

/// An answer that is not an error.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub warnings: Vec<String>,
    pub body: Body,
}

/// Carries a request out.
pub(crate) fn handle(
    shared: &Arc<Shared>,
    request: &Request,
    watch_fault: Option<WatchFault>,
) -> http::Response<Body> {
    let result = match &request.route {
        Route::Object(target) => handle_object(shared, target, request, watch_fault),
        Route::Asked(asked) => access::answer(shared, asked, request),
        Route::OpenApi | Route::OpenApiOf(_) => {
            openapi::answer(&request.route).ok_or_else(|| not_served(request))
        }
        other => discovery::answer(other).ok_or_else(|| not_served(request)),
    };
    match result {
        Ok(reply) => reply.into(),
        Err(error) => refuse(&error),
    }
}

fn handle_object(
    shared: &Arc<Shared>,
    target: &Target,
    request: &Request,
    watch_fault: Option<WatchFault>,
) -> ApiResult<Reply> {
    options::check(target, request)?;
    match target.sub {
        Some(Sub::Log) => return pod::log(shared, target, request),
        Some(Sub::Binding) => return pod::bind(shared, target, request),
        Some(Sub::Eviction) => return delete::evict(shared, target, request),
        _ => {}
    }
    match request.verb {
        Verb::Get => get(shared, target, request),
        Verb::List => list::list(shared, target, request),
        Verb::Watch => watch::watch(shared, target, request, watch_fault),
        Verb::Create => create::create(shared, target, request),
        Verb::Update => update::replace(shared, target, request),
        Verb::Patch => update::patch(shared, target, request),
        Verb::Delete => delete::delete(shared, target, request),
        Verb::DeleteCollection => delete::delete_collection(shared, target, request),
    }
}

fn get(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let (found, current) = {
        let state = shared.state();
        (state.store.get(target.resource, target.space(), target.named()).cloned(), state.store.version())
    };
    if let Some(wanted) = list::parse_version(&request.query)?.filter(|wanted| *wanted > current) {
        return Err(ApiError::version_too_large(wanted, current));
    }
    let object = found.ok_or_else(|| ApiError::not_found(target.resource.stored(), target.named()))?;
    Ok(Reply::object(StatusCode::OK, target.resource, &object, request, shared))
}

fn not_served(request: &Request) -> ApiError {
    let mut error =
        ApiError::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource");
    error.details = Some(serde_json::json!({}));
    tracing::debug!(route = ?request.route, "path is not served");
    error
}

/// An error as an answer.
pub(crate) fn refuse(error: &ApiError) -> http::Response<Body> {
    let mut response: http::Response<Body> = Reply::json(error.code, error.to_value().to_string()).into();
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

// === impl Reply ===

impl Reply {
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: "application/json", warnings: Vec::new(), body: Body::full(body) }
    }

    pub fn text(status: StatusCode, body: &'static str) -> Self {
        Self { content_type: "text/plain; charset=utf-8", ..Self::json(status, body) }
    }

    /// One object in the form that was asked for.
    pub fn object(
        status: StatusCode,
        resource: &'static Resource,
        object: &Object,
        request: &Request,
        shared: &Shared,
    ) -> Self {
        let shown = view::of(resource, object);
        let object = shown.as_ref().unwrap_or(object);
        match table::Form::of(&request.accept) {
            table::Form::Plain => Self::json(status, object.full_json()),
            form => Self::json(status, form.one(object, shared.clock.now()).to_string()),
        }
    }

    #[must_use]
    pub fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }
}

impl From<Reply> for http::Response<Body> {
    fn from(reply: Reply) -> Self {
        let mut response = Self::new(reply.body);
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        for warning in reply.warnings {
            let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
                headers.append(header::WARNING, value);
            }
        }
        response
    }
}
