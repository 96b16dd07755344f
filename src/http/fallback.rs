//! Requests that no route takes: another method on a known path is a 405, all others are a 404.

use std::convert::Infallible;

use warp::{Filter, Rejection, Reply, filters::BoxedFilter, reply::Response};

use super::{
    docs,
    errors::ApiError,
    path::{self, PathCluster, PathId, PathWorkspace},
    ui,
};
use crate::admin;

/// The 405 of every known path. `Allow` is what DeerFlow's provisioner sends: for the two sandbox paths it contains
/// only the method of the route that was registered last. (PATCH is an addition of this daemon, so it is not
/// listed.)
pub(super) fn other_methods() -> BoxedFilter<(Response,)> {
    let sandbox = path::sandbox().map(|_: PathId| refuse("DELETE"));
    let presence = path::presence().map(|_: PathId| refuse("GET"));
    let timeline = path::timeline().map(|_: PathId| refuse("GET"));
    let logs = path::logs().map(|_: PathId| refuse("GET"));
    let touch = path::touch().or(path::move_to()).unify().map(|_: PathId| refuse("POST"));
    let all_events = path::events().map(|| refuse("GET"));
    let events = path::sandbox_events().map(|_: PathId| refuse("GET")).or(all_events).unify();
    let reaper = path::reaper().map(|| refuse("GET"));
    let resume = path::reaper_resume().map(|| refuse("POST"));
    let sandboxes = path::sandboxes().map(|| refuse("POST"));
    let capabilities = path::capabilities().map(|| refuse("GET"));
    let workspaces = path::workspaces().map(|| refuse("GET"));
    let workspace = path::workspace().map(|_: PathWorkspace| refuse("DELETE, PATCH"));
    let workspaces = workspaces.or(workspace).unify();
    let profiles = path::profiles().map(|| refuse("GET"));
    let cluster = path::cluster().map(|_: PathCluster| refuse("GET, PATCH"));
    let clusters = path::clusters().map(|| refuse("GET")).or(cluster).unify();
    let network = path::network_check().map(|| refuse("GET, POST"));
    let health = path::health().map(|| refuse("GET"));
    let openapi = path::openapi().map(|| refuse("GET"));
    let pages = docs::paths().or(ui::paths()).unify();
    let admin = admin::paths().or(pages).unify().map(|| refuse("GET, HEAD"));
    let of_one = presence.or(timeline).unify().or(logs).unify().or(touch).unify().or(events).unify();
    let ours = of_one
        .or(reaper)
        .unify()
        .or(resume)
        .unify()
        .or(profiles)
        .unify()
        .or(network)
        .unify()
        .or(clusters)
        .unify()
        .or(workspaces)
        .unify()
        .or(openapi)
        .unify();
    let deerflow = sandbox.or(sandboxes).unify().or(capabilities).unify().or(health).unify();
    deerflow.or(ours).unify().or(admin).unify().boxed()
}

fn refuse(allow: &'static str) -> Response {
    ApiError::method_not_allowed(allow).into_response()
}

/// The answer to every other rejection. Only "not found" is possible; another one would be a bug.
pub(super) async fn unmatched(rejection: Rejection) -> Result<Response, Infallible> {
    let error = if rejection.is_not_found() {
        ApiError::not_found()
    } else {
        tracing::error!(?rejection, "a filter rejected a request that its route should have answered");
        ApiError::internal()
    };
    Ok(error.into_response())
}
