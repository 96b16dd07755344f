//! `GET /api/sandboxes`

use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    path,
    wire::{self, SandboxList},
};

/// Room for one sandbox that runs: an id, a URL and a time.
const USUAL_ITEM_SIZE: usize = 160;

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    path::sandboxes()
        .and(warp::get())
        .then(move || {
            let backend = backend.clone();
            async move { reply(answer(&backend).await) }
        })
        .boxed()
}

async fn answer<B: Backend>(backend: &B) -> Result<Response, ApiError> {
    let sandboxes = backend.list().await?;
    wire::ok(&SandboxList::new(&sandboxes), 32 + USUAL_ITEM_SIZE * sandboxes.len())
}
