//! `PATCH /api/sandboxes/{id}`: other limits.

use bytes::Buf;
use futures::Stream;
use http::HeaderMap;
use lifecycle::lifetime::TermsChange;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend, body,
    errors::{ApiError, reply},
    get, owner,
    path::{self, PathId},
};

pub(super) fn route<B: Backend>(backend: B, limits: body::Limits) -> BoxedFilter<(Response,)> {
    path::sandbox()
        .and(warp::patch())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |id, headers, body| {
            let backend = backend.clone();
            async move { reply(answer(&backend, id, headers, body, limits).await) }
        })
        .boxed()
}

/// What is wrong with a request is told before whether there is such a sandbox, as FastAPI has it.
async fn answer<B, S, D, E>(
    backend: &B,
    id: PathId,
    headers: HeaderMap,
    body: S,
    limits: body::Limits,
) -> Result<Response, ApiError>
where
    B: Backend,
    S: Stream<Item = Result<D, E>>,
    D: Buf,
{
    let change = body::parse(&headers, body, limits, TermsChange::from_body).await?;
    let (change, owner) = owner::with_body(&headers, change)?;
    let id = id.usable()?;
    let status = backend.change(id.clone(), change, owner).await?;
    get::shown(backend, &id, status)
}
