//! `DELETE /api/sandboxes/{id}`

use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    path::{self, PathId},
    wire::{self, Deleted},
};

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    path::sandbox()
        .and(warp::delete())
        .then(move |id| {
            let backend = backend.clone();
            async move { reply(answer(&backend, id).await) }
        })
        .boxed()
}

/// An id that can never name a sandbox is answered as one that names none at present: nothing is left of it.
async fn answer<B: Backend>(backend: &B, id: PathId) -> Result<Response, ApiError> {
    match id {
        PathId::Unusable(text) => wire::ok(&Deleted::new(&text), 32 + text.len()),
        PathId::Usable(id) => {
            backend.delete(id.clone()).await?;
            wire::ok(&Deleted::new(id.as_str()), 96)
        }
    }
}
