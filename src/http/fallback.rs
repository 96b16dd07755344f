//! What no route takes: another method on a known path is a 405, all else a 404.

use std::convert::Infallible;

use warp::{Filter, Rejection, Reply, filters::BoxedFilter, reply::Response};

use super::{
    errors::ApiError,
    path::{self, PathId},
};
use crate::admin;

/// The 405 of every known path. `Allow` is as the original has it, which on the two sandbox paths names only
/// the method of the route that it registered last; existing clients see what they always saw. (PATCH is served
/// all the same; it is ours.)
pub(super) fn other_methods() -> BoxedFilter<(Response,)> {
    let sandbox = path::sandbox().map(|_: PathId| refuse("DELETE"));
    let presence = path::presence().map(|_: PathId| refuse("GET"));
    let touch = path::touch().map(|_: PathId| refuse("POST"));
    let reaper = path::reaper().map(|| refuse("GET"));
    let resume = path::reaper_resume().map(|| refuse("POST"));
    let sandboxes = path::sandboxes().map(|| refuse("POST"));
    let capabilities = path::capabilities().map(|| refuse("GET"));
    let health = path::health().map(|| refuse("GET"));
    let admin = admin::paths().map(|| refuse("GET, HEAD"));
    let ours = presence.or(touch).unify().or(reaper).unify().or(resume).unify();
    let original = sandbox.or(sandboxes).unify().or(capabilities).unify().or(health).unify();
    original.or(ours).unify().or(admin).unify().boxed()
}

fn refuse(allow: &'static str) -> Response {
    ApiError::method_not_allowed(allow).into_response()
}

/// The answer to whatever is left. Only "not found" can be: every other rejection would be a fault of ours.
pub(super) async fn unmatched(rejection: Rejection) -> Result<Response, Infallible> {
    let error = if rejection.is_not_found() {
        ApiError::not_found()
    } else {
        tracing::error!(?rejection, "a filter rejected a request that its route should have answered");
        ApiError::internal()
    };
    Ok(error.into_response())
}
