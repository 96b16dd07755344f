//! The server as a `tower::Service`: applies faults and records calls, then runs the handlers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};

#[cfg(feature = "rbac")]
use crate::access::{self, user::User};
use crate::api;
use crate::body::{Body, ConnectionLost};
use crate::calls::{Call, Verb};
use crate::cluster::Cluster;
use crate::control;
use crate::faults::{CallFaults, Effect, Refusal, Subject};
#[cfg(feature = "kubectl")]
use crate::protobuf;
use crate::query::Query;
use crate::reply::{Reply, refuse};
use crate::request::Request;
use crate::route::Route;
use crate::shared::Shared;
use crate::status::ApiError;

/// The maximum size of a body in bytes (the real server's limit).
const BODY_LIMIT: usize = 3 << 20;

/// The API server as a tower service, for `kube::Client::new`.
#[derive(Debug, Clone)]
pub struct Service {
    cluster: Cluster,
}

// === impl Cluster ===

impl Cluster {
    /// Returns the API server as a tower service. Creating or cloning one is cheap.
    #[must_use]
    pub fn service(&self) -> Service {
        Service { cluster: self.clone() }
    }
}

// === impl Service ===

impl<B> tower::Service<http::Request<B>> for Service
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = http::Response<Body>;
    type Error = ConnectionLost;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectionLost>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectionLost>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        // The call keeps the handle, and so the cluster, alive.
        let cluster = self.cluster.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            if control::is_control_request(&head) {
                return Ok(control::answer(&cluster, &head, body).await);
            }
            let body =
                Limited::new(body, BODY_LIMIT).collect().await.map(http_body_util::Collected::to_bytes);
            let mut response = answer(cluster.shared(), &head, body.ok()).await?;
            if let Some(date) = cluster.shared().clock.date() {
                response.headers_mut().insert(header::DATE, date);
            }
            Ok(response)
        })
    }
}

/// Answers a request. `request` is `None` if the body was too large.
async fn answer(
    shared: &Arc<Shared>,
    head: &http::request::Parts,
    body: Option<Bytes>,
) -> Result<http::Response<Body>, ConnectionLost> {
    if shared.link.borrow().away {
        shared.refused.fetch_add(1, Ordering::Relaxed);
        return Err(ConnectionLost::Refused);
    }
    let Some(body) = body else {
        let message = format!("Request entity too large: limit is {BODY_LIMIT}");
        return Ok(refuse(&ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)));
    };
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    let query = Query::parse(head.uri.query().unwrap_or(""));
    let route = Route::parse(head.uri.path());
    let verb = route.verb(&head.method, &query);
    let content_type = text(header::CONTENT_TYPE);
    #[cfg(feature = "kubectl")]
    let (content_type, body) = protobuf::decoded(content_type, body);
    let mut request = Request {
        verb: verb.unwrap_or(Verb::Get),
        route,
        query,
        content_type,
        accept: text(header::ACCEPT),
        #[cfg(feature = "kubectl")]
        user_agent: text(header::USER_AGENT),
        #[cfg(feature = "rbac")]
        user: User::anonymous(),
        body,
    };
    let (seq, faults) = arrive(shared, head, &request);
    if !faults.delay.is_zero() {
        tokio::time::sleep(faults.delay).await;
        if shared.link.borrow().away {
            return Err(ConnectionLost::Reset);
        }
    }
    let mut watch_fault = None;
    // A fault may select a stale replica.
    let mut replica = None;
    match &faults.effect {
        Some(Effect::Refuse(refusal)) => {
            let response = injected(refusal, &request);
            shared.calls.lock().answered(seq, response.status().as_u16());
            return Ok(response);
        }
        Some(Effect::DropBefore) => return Err(ConnectionLost::Reset),
        Some(Effect::Silent) => return silence(shared).await,
        Some(Effect::Watch(fault)) => watch_fault = Some(*fault),
        Some(Effect::Mutate(patch)) => mutate(&mut request, patch),
        Some(Effect::StaleRead) => {
            replica = faults.rule.and_then(|rule| shared.replicas.lock().get(&rule).cloned());
        }
        Some(Effect::Delay(_) | Effect::DropAnswer | Effect::HangAnswer | Effect::CutBody(_)) | None => {}
    }
    #[cfg(feature = "rbac")]
    let admitted = access::admit(shared, head, &request.query).map(|user| Request { user, ..request });
    #[cfg(not(feature = "rbac"))]
    let admitted = Ok::<_, ApiError>(request);
    let response = match admitted {
        Err(error) => refuse(&error),
        Ok(_) if verb.is_none() => refuse(&ApiError::method_not_allowed()),
        Ok(request) if request.route == Route::Unknown => {
            Reply::text(StatusCode::NOT_FOUND, "404 page not found\n").into()
        }
        Ok(request) => api::handle(replica.as_ref().unwrap_or(shared), &request, watch_fault),
    };
    match faults.effect {
        Some(Effect::DropAnswer) => return Err(ConnectionLost::Reset),
        Some(Effect::HangAnswer) => return silence(shared).await,
        _ => {}
    }
    shared.calls.lock().answered(seq, response.status().as_u16());
    if let Some(Effect::CutBody(after)) = faults.effect {
        return Ok(cut_body(response, after));
    }
    Ok(response)
}

/// Changes the object in a request. A body that is not JSON stays as it is.
fn mutate(request: &mut Request, patch: &Value) {
    if let Ok(mut sent) = serde_json::from_slice::<Value>(&request.body) {
        json_patch::merge(&mut sent, patch);
        request.body = sent.to_string().into();
    }
}

/// Truncates the body of a response. The `Content-Length` stays, as with a broken connection.
fn cut_body(response: http::Response<Body>, after: u64) -> http::Response<Body> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = http_body::Body::size_hint(&body).exact() {
        head.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    http::Response::from_parts(head, body.cut_after(after))
}

/// Records a call and applies the fault rules to it.
fn arrive(shared: &Shared, head: &http::request::Parts, request: &Request) -> (u64, CallFaults) {
    let mut call = Call {
        seq: 0,
        at: shared.clock.elapsed(),
        verb: request.verb,
        resource: head.uri.path().to_owned(),
        namespace: None,
        name: None,
        status: None,
    };
    if let Route::Object(target) = &request.route {
        call.resource = target.label();
        call.namespace.clone_from(&target.namespace);
        call.name.clone_from(&target.name);
        if request.verb == Verb::Create {
            call.name = api::peek_name(&request.body);
        }
    }
    let faults = shared.faults.lock().apply(Subject {
        verb: call.verb,
        resource: &call.resource,
        namespace: call.namespace.as_deref(),
        name: call.name.as_deref(),
    });
    let seq = shared.calls.lock().arrived(call);
    (seq, faults)
}

/// Never responds, but ends with the connection if the server becomes unavailable.
async fn silence(shared: &Shared) -> Result<http::Response<Body>, ConnectionLost> {
    let mut link = shared.link.subscribe();
    // An error means that the cluster has stopped, which ends the connection too.
    let _ = link.wait_for(|link| link.away).await;
    Err(ConnectionLost::Reset)
}

fn injected(refusal: &Refusal, request: &Request) -> http::Response<Body> {
    let error = match refusal {
        Refusal::TooManyRequests => {
            let text = "Too many requests, please try again later.\n";
            let mut response: http::Response<Body> = Reply::text(StatusCode::TOO_MANY_REQUESTS, text).into();
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(1));
            return response;
        }
        Refusal::EtcdTimeout => ApiError::unexpected("etcdserver: request timed out"),
        Refusal::Unavailable => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        ),
        Refusal::Forbidden => forbidden(request),
        Refusal::Unauthorized => ApiError::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized"),
        Refusal::Other { code, reason, message } => {
            let code = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut status = ApiError::new(code, "", message.clone()).to_value();
            status["reason"] = reason.as_ref().into();
            return Reply::json(code, status.to_string()).into();
        }
    };
    refuse(&error)
}

/// The error for a user without any role.
fn forbidden(request: &Request) -> ApiError {
    let verb = request.verb.as_str();
    let Route::Object(target) = &request.route else {
        let message = format!("forbidden: User \"provisioner\" cannot {verb} this path");
        return ApiError::new(StatusCode::FORBIDDEN, "Forbidden", message).with_details(json!({}));
    };
    let place = match &target.namespace {
        Some(namespace) => format!("in the namespace {namespace:?}"),
        None => "at the cluster scope".to_owned(),
    };
    let why = format!(
        "User \"provisioner\" cannot {verb} resource {:?} in API group {:?} {place}",
        target.label(),
        target.resource.group
    );
    ApiError::forbidden(target.resource, target.named(), &why)
}
