//! `GET /api/capabilities`: the optional features that this installation offers.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    errors::reply,
    openapi::{Endpoint, Tag},
    path, responses,
};

/// The optional features that a create may ask for, according to the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Capabilities {
    /// `LARK_CLI_INIT_IMAGE` is set: `provision_lark_cli_runtime` works.
    pub lark_cli_init_image: bool,
    /// `LARK_CLI_BROKER_IMAGE` is set: `provision_lark_cli_broker` works.
    pub lark_cli_broker_image: bool,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let example = json!(Capabilities { lark_cli_init_image: true, lark_cli_broker_image: false });
    vec![
        Endpoint::get("/api/capabilities", "getCapabilities", Tag::Settings, "Return the optional features")
            .ok::<Capabilities>("The optional features that a create may ask for", example),
    ]
}

pub(super) fn route(capabilities: Capabilities) -> BoxedFilter<(Response,)> {
    path::capabilities().and(warp::get()).map(move || reply(responses::ok(&capabilities, 64))).boxed()
}
