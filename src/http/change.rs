//! `PATCH /api/sandboxes/{id}`: changes the limits of a sandbox's lifetime, resizes it in place, or both.

use lifecycle::{
    error::ClusterErrorKind, lifetime::Owner, operation::Operation, request::Change, resize::Resize,
};
use serde_json::json;
use warp::{Filter as _, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    body::BodyReader,
    errors::ApiError,
    get,
    openapi::{Endpoint, Tag, failures, parameters},
    path::{self, PathId},
    request,
    responses::{self, Sandbox},
    with_body,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::patch(
            "/api/sandboxes/{id}",
            "changeSandbox",
            Tag::Sandboxes,
            "Change the limits, or resize",
        )
        .text("Counts as activity. A resize happens in place: the sandbox keeps running.")
        .with(parameters::owner())
        .body(
            "ChangeRequest",
            request::schema::change(),
            &[
                ("Another limit", json!({"ttl": "2h"})),
                ("The default limit", json!({"idle_timeout": null})),
                ("A resize and a limit", json!({"resources": {"cpu": "2", "memory": "4Gi"}, "ttl": "2h"})),
            ],
        )
        .ok::<Sandbox<'_>>("The sandbox with its new limits", responses::example())
        .fails(failures::body())
        .fails(failures::field("ttl"))
        .fails(failures::owner())
        .fails(failures::settings("the ttl is longer than the settings allow"))
        .fails(failures::resize())
        .fails(failures::no_sandbox())
        .fails(failures::owned())
        .fails(failures::writes(Operation::ChangeLimits))
        .fails([failures::refused(Operation::Resize, ClusterErrorKind::QuotaExceeded)]),
    ]
}

pub(super) fn route<B: Backend>(backend: B, body_reader: BodyReader) -> BoxedFilter<(Response,)> {
    with_body::route(
        path::sandbox().and(warp::patch()),
        body_reader,
        request::change,
        move |id, change, owner| {
            let backend = backend.clone();
            async move { answer(&backend, id, change, owner).await }
        },
    )
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
