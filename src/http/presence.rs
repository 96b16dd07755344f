//! `GET /api/sandboxes/{id}/presence`

use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    path::{self, PathId},
    responses::{self, Presence},
};

/// The usual size of a response, in bytes: an id and a uid.
const USUAL_SIZE: usize = 160;

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    path::presence()
        .and(warp::get())
        .then(move |id| {
            let backend = backend.clone();
            async move { reply(answer(&backend, id).await) }
        })
        .boxed()
}

/// An id that is not valid has no Pod, so the backend is not asked.
async fn answer<B: Backend>(backend: &B, id: PathId) -> Result<Response, ApiError> {
    match id {
        PathId::Usable(id) => {
            let pod = backend.presence(&id).await?;
            responses::ok(&Presence::new(id.as_str(), pod.as_ref()), USUAL_SIZE)
        }
        PathId::Unusable(text) => responses::ok(&Presence::new(&text, None), USUAL_SIZE),
    }
}
