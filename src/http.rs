//! The REST API: one file per route, and the front end of all routes.
//!
//! A request passes [`frontend`] (request id, log line, key, deadline, panics), then the warp filters of
//! [`routes`]. The filters match **only** path and method, so that at most one route rejects or answers a
//! request. [`body`] reads bodies. Every error is an [`errors::ApiError`], which the front end writes in the
//! format that the caller asked for.
//!
//! The routes call the rest of the program through the trait [`Backend`].

pub mod auth;
pub mod body;
pub mod capabilities;
pub mod errors;
pub mod frontend;
pub mod metrics;
pub mod request;

mod change;
mod clusters;
mod create;
mod delete;
mod docs;
mod entity_tag;
mod events;
mod fallback;
mod get;
mod gzip;
mod health;
mod list;
mod logs;
mod move_to;
mod network;
pub mod openapi;
mod owner;
mod page;
mod path;
mod presence;
pub mod profiles;
mod query;
mod reaper;
mod request_id;
pub mod response_body;
pub(crate) mod responses;
mod route;
mod timeline;
mod touch;
pub(crate) mod trace_context;
mod ui;
mod wait;
mod with_body;
mod workspaces;

pub use fleet::backend::Backend;
use warp::{Filter, filters::BoxedFilter, reply::Response};

pub use self::{capabilities::Capabilities, profiles::Profiles};
use crate::admin::{self, Admin};

/// Every route of the program, including those of [`admin`]. A request that no route takes is a 404.
///
/// An error is a response without a body, with an [`errors::ApiError`] in its extensions. Serve these routes
/// inside a [`frontend::Frontend`], which writes the body.
pub fn routes<B: Backend>(
    backend: B,
    capabilities: Capabilities,
    profiles: Profiles,
    limits: body::Limits,
    admin: Admin,
) -> BoxedFilter<(Response,)> {
    let body_reader = body::BodyReader::new(limits);
    // GET of one sandbox is the most frequent request, so it comes first and alone: each `or` that a response
    // passes through costs time.
    let rest = list::route(backend.clone())
        .or(presence::route(backend.clone()))
        .unify()
        .or(touch::route(backend.clone()))
        .unify()
        .or(move_to::route(backend.clone(), body_reader.clone()))
        .unify()
        .or(timeline::route(backend.clone()))
        .unify()
        .or(logs::route(backend.clone()))
        .unify()
        .or(create::route(backend.clone(), body_reader.clone(), profiles.clone()))
        .unify()
        .or(delete::route(backend.clone()))
        .unify()
        .or(change::route(backend.clone(), body_reader.clone()))
        .unify()
        .or(workspaces::route(backend.clone(), body_reader.clone()))
        .unify()
        .or(events::route(backend.clone()))
        .unify()
        .or(reaper::route(backend.clone()))
        .unify()
        .or(network::route(backend.clone()))
        .unify()
        .or(clusters::route(backend.clone(), body_reader.clone()))
        .unify()
        .or(health::route())
        .unify()
        .or(openapi::route())
        .unify()
        .or(docs::route())
        .unify()
        .or(capabilities::route(capabilities))
        .unify()
        .or(profiles::route(profiles))
        .unify()
        .or(admin::route(admin))
        .unify()
        .or(ui::route())
        .unify()
        .or(fallback::other_methods())
        .unify()
        .boxed();
    get::route(backend).or(rest).unify().recover(fallback::unmatched).unify().boxed()
}
