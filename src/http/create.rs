//! `POST /api/sandboxes`

use bytes::Buf;
use futures::Stream;
use http::HeaderMap;
use lifecycle::request::CreateRequest;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    body::BodyReader,
    errors::{ApiError, reply},
    path, request,
    responses::{self, Sandbox},
};

/// The usual size of a response, in bytes: an id, a URL, a uid, a time and the reason of a new sandbox.
const USUAL_SIZE: usize = 384;

pub(super) fn route<B: Backend>(backend: B, body_reader: BodyReader) -> BoxedFilter<(Response,)> {
    path::sandboxes()
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |headers, body| {
            let (backend, body_reader) = (backend.clone(), body_reader.clone());
            async move { reply(answer(&backend, headers, body, &body_reader).await) }
        })
        .boxed()
}

async fn answer<B, S, D, E>(
    backend: &B,
    headers: HeaderMap,
    body: S,
    body_reader: &BodyReader,
) -> Result<Response, ApiError>
where
    B: Backend,
    S: Stream<Item = Result<D, E>>,
    D: Buf,
{
    let (request, owner) = body_reader.parse(&headers, body, request::create).await?;
    let id = request.sandbox_id.clone();
    let status = backend.create(CreateRequest { owner, ..request }).await?;
    responses::ok(&Sandbox::new(&id, &status), USUAL_SIZE)
}
