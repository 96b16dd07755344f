//! `PATCH /api/sandboxes/{id}`: changes the limits of a sandbox's lifetime, resizes it in place, or both.

use lifecycle::{lifetime::Owner, request::Change, resize::Resize};
use warp::{filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    body::BodyReader,
    errors::ApiError,
    get, patch,
    path::{self, PathId},
    request,
};

pub(super) fn route<B: Backend>(backend: B, body_reader: BodyReader) -> BoxedFilter<(Response,)> {
    patch::route(path::sandbox(), body_reader, request::change, move |id, change, owner| {
        let backend = backend.clone();
        async move { answer(&backend, id, change, owner).await }
    })
}

async fn answer<B: Backend>(
    backend: &B,
    id: PathId,
    change: Change,
    owner: Option<Owner>,
) -> Result<Response, ApiError> {
    let id = id.usable()?;
    let is_resized = !change.resources.is_empty();
    let mut status = backend.change(id.clone(), change, owner).await?;
    // The caller has asked for a resize, so its response always says how far it is.
    if let Some(status) = status.as_mut().filter(|_| is_resized) {
        status.spec.resize.get_or_insert_with(|| Box::new(Resize::DONE));
    }
    get::shown(backend, &id, status)
}
