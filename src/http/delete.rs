//! `DELETE /api/sandboxes/{id}`

use http::HeaderMap;
use lifecycle::operation::Operation;
use serde_json::json;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    openapi::{Endpoint, Tag, failures, parameters},
    owner,
    path::{self, PathId},
    responses::{self, Deleted},
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::delete("/api/sandboxes/{id}", "deleteSandbox", Tag::Sandboxes, "Delete a sandbox")
            .text("Deletes its Pod and its Service. Succeeds also if no sandbox exists.")
            .with(parameters::owner())
            .ok::<Deleted<'_>>("No sandbox with this id exists any more", json!(Deleted::new("abc-123")))
            .fails(failures::owner())
            .fails(failures::owned())
            .fails(failures::writes(Operation::DeletePod)),
    ]
}

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
