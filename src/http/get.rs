//! `GET /api/sandboxes/{id}`

use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    path::{self, PathId},
    wire::{self, Sandbox},
};

/// Room for an id, a URL and a time; a reason's words make it grow.
const USUAL_SIZE: usize = 192;

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    path::sandbox()
        .and(warp::get())
        .then(move |id| {
            let backend = backend.clone();
            async move { reply(answer(&backend, id).await) }
        })
        .boxed()
}

async fn answer<B: Backend>(backend: &B, id: PathId) -> Result<Response, ApiError> {
    match id {
        PathId::Unusable(text) => Err(ApiError::no_sandbox(&text)),
        PathId::Usable(id) => match backend.get(&id).await? {
            Some(status) => wire::ok(&Sandbox::new(&id, &status), USUAL_SIZE),
            None => Err(ApiError::no_sandbox(id.as_str())),
        },
    }
}
