//! `GET /health`: the daemon is alive. `/readyz` tells whether it can serve its clients.

use bytes::Bytes;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{path, responses};

pub(super) fn route() -> BoxedFilter<(Response,)> {
    path::health().and(warp::get()).map(|| responses::json(Bytes::from_static(br#"{"status":"ok"}"#))).boxed()
}
