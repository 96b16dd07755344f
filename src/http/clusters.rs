//! `GET /api/clusters`: the cluster of the sandboxes.

use std::collections::BTreeMap;

use actors::backend::{ClusterState, Creates};
use jiff::Timestamp;
use serde::Serialize;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    path, responses,
};
use crate::admin::Checks;

/// The name of the only cluster.
pub(super) const DEFAULT: &str = "default";

#[derive(Serialize)]
struct List<'a> {
    clusters: [Cluster<'a>; 1],
    count: usize,
}

#[derive(Serialize)]
struct Cluster<'a> {
    name: &'static str,
    /// Whether it takes requests: none of the problems is in the way.
    ready: bool,
    /// The version of its API server; null while it is not known.
    version: Option<&'a str>,
    /// Since when its state is known without a break; null while it is not.
    fresh_since: Option<Timestamp>,
    sandboxes: Sandboxes,
    creates: CreatesInProgress,
    /// The checks of `/readyz` that fail.
    problems: Vec<Problem<'a>>,
}

#[derive(Serialize)]
struct Sandboxes {
    count: u64,
    ready: u64,
    by_status: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct CreatesInProgress {
    running: usize,
    running_max: usize,
    waiting: usize,
    room: usize,
}

/// A check of `/readyz` that fails.
#[derive(Serialize)]
struct Problem<'a> {
    check: &'a str,
    message: &'a str,
    /// Whether sandboxes can be created and used in spite of it.
    optional: bool,
}

pub(super) fn route<B: Backend>(backend: B, checks: Checks) -> BoxedFilter<(Response,)> {
    path::clusters()
        .and(warp::get())
        .then(move || {
            let (backend, checks) = (backend.clone(), checks.clone());
            async move { reply(answer(&backend, &checks).await) }
        })
        .boxed()
}

async fn answer<B: Backend>(backend: &B, checks: &Checks) -> Result<Response, ApiError> {
    let ClusterState { version, fresh_since, sandboxes, ready, creates } = backend.cluster().await;
    let checks = checks();
    let failed = checks.iter().filter_map(|check| {
        let message = check.outcome.as_ref().err()?;
        Some(Problem { check: check.name, message, optional: check.optional })
    });
    let problems: Vec<_> = failed.collect();
    let Creates { running, waiting, running_max, room } = creates;
    let cluster = Cluster {
        name: DEFAULT,
        ready: problems.iter().all(|problem| problem.optional),
        version: version.as_deref(),
        fresh_since: fresh_since.map(responses::to_the_millisecond),
        sandboxes: Sandboxes { count: sandboxes.values().sum(), ready, by_status: sandboxes },
        creates: CreatesInProgress { running, running_max, waiting, room },
        problems,
    };
    responses::ok(&List { clusters: [cluster], count: 1 }, 512)
}
