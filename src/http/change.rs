//! `PATCH /api/sandboxes/{id}`: other limits.

use bytes::Buf;
use futures::Stream;
use http::HeaderMap;
use lifecycle::lifetime::TermsChange;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    body::Bodies,
    errors::{ApiError, reply},
    get, owner,
    path::{self, PathId},
};

pub(super) fn route<B: Backend>(backend: B, bodies: Bodies) -> BoxedFilter<(Response,)> {
    path::sandbox()
        .and(warp::patch())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |id, headers, body| {
            let (backend, bodies) = (backend.clone(), bodies.clone());
            async move { reply(answer(&backend, id, headers, body, &bodies).await) }
        })
        .boxed()
}

/// What is wrong with a request is told before whether there is such a sandbox, as FastAPI has it.
async fn answer<B, S, D, E>(
    backend: &B,
    id: PathId,
    headers: HeaderMap,
    body: S,
    bodies: &Bodies,
) -> Result<Response, ApiError>
where
    B: Backend,
    S: Stream<Item = Result<D, E>>,
    D: Buf,
{
    let change = bodies.parse(&headers, body, TermsChange::from_body).await?;
    let (change, owner) = owner::with_body(&headers, change)?;
    let id = id.usable()?;
    let status = backend.change(id.clone(), change, owner).await?;
    get::shown(backend, &id, status)
}
