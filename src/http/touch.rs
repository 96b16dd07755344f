//! `POST /api/sandboxes/{id}/touch`: records activity. The body is not read.

use http::HeaderMap;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    get, owner,
    path::{self, PathId},
};

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    path::touch()
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .then(move |id, headers| {
            let backend = backend.clone();
            async move { reply(answer(&backend, id, headers).await) }
        })
        .boxed()
}

async fn answer<B: Backend>(backend: &B, id: PathId, headers: HeaderMap) -> Result<Response, ApiError> {
    let owner = owner::read(&headers)?;
    let id = id.usable()?;
    let status = backend.touch(id.clone(), owner).await?;
    get::shown(backend, &id, status)
}
