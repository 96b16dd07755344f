//! The REST API: one file a route, and what is around all of them.
//!
//! A request passes [`frontend`] (request id, log line, key, deadline, panics), then the warp filters of
//! [`routes`], which match **only** path and method, so that a request has one answer and never falls
//! from one route into the next; a body is read in [`body`]; whatever goes wrong becomes an
//! [`errors::ApiError`], which the front end writes in the shape that the caller asked for.
//!
//! The routes know the rest of the program as a [`Backend`]: they can be served with any.

pub mod auth;
pub mod body;
pub mod capabilities;
pub mod errors;
pub mod frontend;
pub mod request_id;
pub mod responses;

mod backend;
mod change;
mod create;
mod delete;
mod fallback;
mod get;
mod health;
mod list;
mod owner;
mod path;
mod presence;
mod reaper;
mod touch;

use warp::{Filter, filters::BoxedFilter, reply::Response};

pub use self::{backend::Backend, capabilities::Capabilities};
use crate::admin::{self, Checks};

/// Every route of the program, the ones of [`admin`] too. It answers every request: what no route takes
/// is a 404.
///
/// An error is answered as an [`errors::ApiError`] in the answer's extensions, without a body: serve this
/// inside a [`frontend::Frontend`], which writes it.
pub fn routes<B: Backend>(
    backend: B,
    capabilities: Capabilities,
    limits: body::Limits,
    checks: Checks,
) -> BoxedFilter<(Response,)> {
    let body_reader = body::BodyReader::new(limits);
    // A GET of one sandbox is asked most, so it stands first and alone: every `or` that an answer passes
    // through on its way out is a cost.
    let rest = list::route(backend.clone())
        .or(presence::route(backend.clone()))
        .unify()
        .or(touch::route(backend.clone()))
        .unify()
        .or(create::route(backend.clone(), body_reader.clone()))
        .unify()
        .or(delete::route(backend.clone()))
        .unify()
        .or(change::route(backend.clone(), body_reader))
        .unify()
        .or(reaper::route(backend.clone()))
        .unify()
        .or(health::route())
        .unify()
        .or(capabilities::route(capabilities))
        .unify()
        .or(admin::route(checks))
        .unify()
        .or(fallback::other_methods())
        .unify()
        .boxed();
    get::route(backend).or(rest).unify().recover(fallback::unmatched).unify().boxed()
}
