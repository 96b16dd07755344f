//! `POST /api/sandboxes/{id}/touch`: records activity. The body is not read.

use http::HeaderMap;
use lifecycle::operation::Operation;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    get,
    openapi::{Endpoint, Tag, failures, parameters},
    owner,
    path::{self, PathId},
    responses::{self, Sandbox},
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/api/sandboxes/{id}/touch", "touchSandbox", Tag::Sandboxes, "Record activity")
            .text("Postpones the end of the idle timeout. A body is ignored.")
            .with(parameters::owner())
            .ok::<Sandbox<'_>>("The sandbox", responses::example())
            .fails(failures::owner())
            .fails(failures::no_sandbox())
            .fails(failures::owned())
            .fails(failures::writes(Operation::Touch)),
    ]
}

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
