//! `PATCH /api/sandboxes/{id}`: changes the limits of a sandbox, or resizes it in place.

use bytes::Buf;
use futures::Stream;
use http::HeaderMap;
use lifecycle::resize::Resize;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    body::BodyReader,
    errors::{ApiError, reply},
    get,
    path::{self, PathId},
    request::{self, Change},
};

pub(super) fn route<B: Backend>(backend: B, body_reader: BodyReader) -> BoxedFilter<(Response,)> {
    path::sandbox()
        .and(warp::patch())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |id, headers, body| {
            let (backend, body_reader) = (backend.clone(), body_reader.clone());
            async move { reply(answer(&backend, id, headers, body, &body_reader).await) }
        })
        .boxed()
}

/// An invalid request is a 422 also if the sandbox does not exist, as with FastAPI.
async fn answer<B, S, D, E>(
    backend: &B,
    id: PathId,
    headers: HeaderMap,
    body: S,
    body_reader: &BodyReader,
) -> Result<Response, ApiError>
where
    B: Backend,
    S: Stream<Item = Result<D, E>>,
    D: Buf,
{
    let (change, owner) = body_reader.parse(&headers, body, request::change).await?;
    let id = id.usable()?;
    let status = match change {
        Change::Limits(limits) => backend.change(id.clone(), limits, owner).await?,
        Change::Resources(resources) => {
            let status = backend.resize(id.clone(), resources, owner).await?;
            // The caller has asked for a resize, so its response always says how far it is.
            status.map(|mut status| {
                status.spec.resize.get_or_insert_with(|| Box::new(Resize::DONE));
                status
            })
        }
    };
    get::shown(backend, &id, status)
}
