//! The frame of routes with a path and a body: it reads the body and `X-Owner`, and calls the route's handler.

use http::HeaderMap;
use lifecycle::lifetime::Owner;
use warp::{Filter, Rejection, filters::BoxedFilter, reply::Response};

use super::{
    body::BodyReader,
    errors::{ApiError, reply},
};

/// Builds the route of a call of what `path` names; `path` also decides the method. An invalid body is a 422 also if that does
/// not exist, as with FastAPI.
pub(super) fn route<Id, T, F>(
    path: impl Filter<Extract = (Id,), Error = Rejection> + Clone + Send + Sync + 'static,
    body_reader: BodyReader,
    parse: fn(Option<&str>, &[u8]) -> Result<T, ApiError>,
    handler: impl Fn(Id, T, Option<Owner>) -> F + Clone + Send + Sync + 'static,
) -> BoxedFilter<(Response,)>
where
    Id: Send + 'static,
    T: Send + 'static,
    F: Future<Output = Result<Response, ApiError>> + Send + 'static,
{
    path.and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |id, headers: HeaderMap, body| {
            let (body_reader, handler) = (body_reader.clone(), handler.clone());
            async move {
                match body_reader.parse(&headers, body, parse).await {
                    Ok((change, owner)) => reply(handler(id, change, owner).await),
                    Err(error) => reply(Err(error)),
                }
            }
        })
        .boxed()
}
