//! The handlers of each verb: from a parsed request to a response. Transport, faults and the call record are
//! elsewhere.

#[cfg(feature = "kubectl")]
mod apply;
mod create;
mod decode;
mod delete;
mod list;
mod log;
#[cfg(feature = "kubectl")]
mod managed_fields;
mod options;
mod pod;
mod pod_classes;
mod pod_security;
mod quota;
mod resize;
mod service_account;
mod service_ports;
mod storage_class;
mod update;
mod watch;

use std::sync::Arc;

use http::StatusCode;

pub(crate) use decode::peek_name;
pub(crate) use delete::{FOREGROUND, ORPHAN, delete_after_dependents, delete_object};
pub(crate) use quota::status as quota_status;
pub(crate) use storage_class::{default_class, set_class};
pub(crate) use update::commit as commit_change;

#[cfg(feature = "rbac")]
use crate::access::reviews;
use crate::body::Body;
use crate::calls::Verb;
use crate::discovery;
use crate::faults::WatchFault;
#[cfg(feature = "kubectl")]
use crate::openapi;
use crate::reply::{Reply, refuse};
use crate::request::Request;
use crate::resource::Sub;
use crate::route::{Route, Target};
use crate::shared::Shared;
use crate::status::{ApiError, ApiResult};

pub(crate) fn handle(
    shared: &Arc<Shared>,
    request: &Request,
    watch_fault: Option<WatchFault>,
) -> http::Response<Body> {
    let result = match &request.route {
        Route::Object(target) => handle_object(shared, target, request, watch_fault),
        #[cfg(feature = "rbac")]
        Route::ReviewKind(asked) => reviews::answer(shared, asked, request),
        #[cfg(feature = "kubectl")]
        Route::OpenApi | Route::OpenApiOf(_) => {
            openapi::answer(&request.route, &shared.options).ok_or_else(|| not_served(request))
        }
        other => discovery::answer(other, &shared.options).ok_or_else(|| not_served(request)),
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
    if !shared.options.serves(target.resource, target.sub) {
        return Err(not_served(request));
    }
    options::check(target, request)?;
    match target.sub {
        Some(Sub::Log) => return log::log(shared, target, request),
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
        (state.store.get(target.resource, target.space(), target.named()), state.store.version())
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
