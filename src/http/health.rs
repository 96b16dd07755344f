//! `GET /health`: the daemon answers. What it can do for its callers is `/readyz`'s to say.

use bytes::Bytes;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{path, responses};

pub(super) fn route() -> BoxedFilter<(Response,)> {
    path::health().and(warp::get()).map(|| responses::json(Bytes::from_static(br#"{"status":"ok"}"#))).boxed()
}
