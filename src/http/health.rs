//! `GET /health`: the daemon is alive. `/readyz` tells whether it can serve its clients.

use bytes::Bytes;
use serde_json::json;
use utoipa::ToSchema;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    openapi::{Endpoint, Tag},
    path, responses,
};

/// The answer of a daemon that is alive.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the answer is a constant text")]
struct Health {
    /// Always `ok`.
    status: &'static str,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/health", "getHealth", Tag::Daemon, "Return whether the daemon runs")
            .text("Needs no key. `/readyz` tells whether it can serve its clients.")
            .ok::<Health>("The daemon runs", json!({"status": "ok"})),
    ]
}

pub(super) fn route() -> BoxedFilter<(Response,)> {
    path::health().and(warp::get()).map(|| responses::json(Bytes::from_static(br#"{"status":"ok"}"#))).boxed()
}
