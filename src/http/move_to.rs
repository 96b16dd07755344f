//! `POST /api/sandboxes/{id}/move`: moves a sandbox to another cluster.

use fleet::Move;
use http::StatusCode;
use lifecycle::{ids::ClusterName, lifetime::Owner, operation::Operation};
use serde_json::json;
use utoipa::openapi::ContentBuilder;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    body::BodyReader,
    errors::ApiError,
    get,
    openapi::{self, Endpoint, Tag, failures, parameters, schemas},
    path::{self, PathId},
    request,
    responses::{self, Sandbox},
    with_body,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let text = "The sandbox is created on the other cluster, and deleted where it was once it is ready there. Its URL changes. If \
                it does not become ready, it stays where it was. Counts as activity.";
    let mut endpoint =
        Endpoint::post("/api/sandboxes/{id}/move", "moveSandbox", Tag::Sandboxes, "Move to another cluster");
    let schema = endpoint.schema::<Sandbox<'_>>(schemas::Use::Response);
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(responses::example())).build();
    let underway = openapi::response("It is being created there. The sandbox as it still is")
        .content("application/json", content);
    vec![
        endpoint
            .text(text)
            .with(parameters::owner())
            .body("MoveRequest", request::schema::move_to(), &[("A cluster", json!({"cluster": "east"}))])
            .ok::<Sandbox<'_>>("The sandbox on the other cluster", responses::example())
            .answers("202", underway)
            .fails(failures::body())
            .fails(failures::field("cluster"))
            .fails(failures::owner())
            .fails(failures::settings("cluster: there is no cluster 'east'; the clusters are west"))
            .fails(failures::no_sandbox())
            .fails(failures::owned())
            .fails(failures::moves())
            .fails(failures::create())
            .fails(failures::writes(Operation::Move)),
    ]
}

pub(super) fn route<B: Backend>(backend: B, body_reader: BodyReader) -> BoxedFilter<(Response,)> {
    with_body::route(
        path::move_to().and(warp::post()),
        body_reader,
        request::move_to,
        move |id, to, owner| {
            let backend = backend.clone();
            async move { answer(&backend, id, to, owner).await }
        },
    )
}

async fn answer<B: Backend>(
    backend: &B,
    id: PathId,
    to: ClusterName,
    owner: Option<Owner>,
) -> Result<Response, ApiError> {
    let id = id.usable()?;
    match backend.move_to(id.clone(), to, owner).await? {
        Some(Move::Done(status)) => get::shown(backend, &id, Some(*status)),
        Some(Move::Underway(status)) => {
            let mut response = get::shown(backend, &id, Some(*status))?;
            *response.status_mut() = StatusCode::ACCEPTED;
            Ok(response)
        }
        None => get::shown(backend, &id, None),
    }
}
