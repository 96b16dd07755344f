//! `POST /api/sandboxes`

use bytes::Buf;
use futures::Stream;
use http::{HeaderMap, header::CONTENT_TYPE};
use lifecycle::request::{CreateRequest, FieldError, Problem};
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend, body,
    errors::{ApiError, reply},
    path,
    wire::{self, Sandbox},
};

/// Room for an id, a URL, a time and the usual reason of a sandbox that was just made.
const USUAL_SIZE: usize = 256;

pub(super) fn route<B: Backend>(backend: B, limits: body::Limits) -> BoxedFilter<(Response,)> {
    path::sandboxes()
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |headers, body| {
            let backend = backend.clone();
            async move { reply(answer(&backend, headers, body, limits).await) }
        })
        .boxed()
}

async fn answer<B, S, D, E>(
    backend: &B,
    headers: HeaderMap,
    body: S,
    limits: body::Limits,
) -> Result<Response, ApiError>
where
    B: Backend,
    S: Stream<Item = Result<D, E>>,
    D: Buf,
{
    let body = body::read(&headers, body, limits).await?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let request = CreateRequest::from_body(content_type, &body).map_err(|fields| refusal(&body, &fields))?;
    drop(body);
    let id = request.sandbox_id.clone();
    let status = backend.create(request).await?;
    wire::ok(&Sandbox::new(&id, &status), USUAL_SIZE)
}

/// To FastAPI, bytes that are no UTF-8 are no text at all, rather than a JSON text with a mistake in it.
fn refusal(body: &[u8], fields: &[FieldError]) -> ApiError {
    match fields {
        [FieldError { problem: Problem::JsonInvalid { .. }, .. }] if str::from_utf8(body).is_err() => {
            ApiError::unreadable_body()
        }
        _ => ApiError::invalid_fields(&fields),
    }
}
