//! `GET /api/sandboxes/{id}/presence`

use lifecycle::observed::Uid;
use serde_json::json;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    openapi::{Endpoint, Tag, failures},
    path::{self, PathId},
    responses::{self, Presence},
};

/// The usual size of a response, in bytes: an id and a uid.
const USUAL_SIZE: usize = 160;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let uid = Uid("5d1d58d2-7011-4816-993b-0b512deef117".into());
    vec![
        Endpoint::get(
            "/api/sandboxes/{id}/presence",
            "getPresence",
            Tag::Sandboxes,
            "Return whether a Pod exists",
        )
        .ok::<Presence<'_>>("Whether the Pod exists", json!(Presence::new("abc-123", Some(&uid))))
        .fails(failures::reads()),
    ]
}

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
