//! `DELETE /api/sandboxes/{id}`

use http::HeaderMap;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    owner,
    path::{self, PathId},
    responses::{self, Deleted},
};

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    path::sandbox()
        .and(warp::delete())
        .and(warp::header::headers_cloned())
        .then(move |id, headers| {
            let backend = backend.clone();
            async move { reply(answer(&backend, id, headers).await) }
        })
        .boxed()
}

/// An id that is not valid is a 200, like the id of a sandbox that does not exist: nothing is left of either.
async fn answer<B: Backend>(backend: &B, id: PathId, headers: HeaderMap) -> Result<Response, ApiError> {
    let owner = owner::read(&headers)?;
    match id {
        PathId::Unusable(text) => responses::ok(&Deleted::new(&text), 32 + text.len()),
        PathId::Usable(id) => {
            backend.delete(id.clone(), owner).await?;
            responses::ok(&Deleted::new(id.as_str()), 96)
        }
    }
}
