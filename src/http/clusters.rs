//! `GET /api/clusters`: the clusters of the sandboxes.

use std::collections::BTreeMap;

use fleet::backend::{ClusterReport, ClusterState, Creates};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    openapi::{Endpoint, Tag},
    path, responses,
};

/// The clusters of the sandboxes.
#[derive(Serialize, ToSchema)]
#[schema(as = ClusterList)]
struct List<'a> {
    /// The clusters.
    clusters: Vec<Cluster<'a>>,
    /// How many there are.
    count: usize,
}

/// The state of a cluster.
#[derive(Serialize, ToSchema)]
struct Cluster<'a> {
    /// Its name.
    name: &'a str,
    /// Whether it takes requests: none of the problems is in the way.
    ready: bool,
    /// The version of its API server; null while it is not known.
    #[schema(required)]
    version: Option<&'a str>,
    /// Since when its state is known without a break; null while it is not.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    fresh_since: Option<Timestamp>,
    /// Its sandboxes, as they were observed last.
    sandboxes: Sandboxes,
    /// The POSTs that create a sandbox now.
    creates: CreatesInProgress,
    /// The checks of `/readyz` that fail.
    problems: Vec<Problem<'a>>,
}

/// The numbers of sandboxes.
#[derive(Serialize, ToSchema)]
#[schema(as = SandboxCounts)]
struct Sandboxes {
    /// All of them.
    count: u64,
    /// Those that are ready.
    ready: u64,
    /// Those with each status.
    by_status: BTreeMap<&'static str, u64>,
}

/// The POSTs that create a sandbox.
#[derive(Serialize, ToSchema)]
struct CreatesInProgress {
    /// Those in progress.
    running: usize,
    /// The maximum of `running`.
    running_max: usize,
    /// Those that wait.
    waiting: usize,
    /// How many more are accepted.
    room: usize,
}

/// A check of `/readyz` that fails.
#[derive(Serialize, ToSchema)]
#[schema(as = ClusterProblem)]
struct Problem<'a> {
    /// The name of the check.
    check: &'a str,
    /// The problem as a sentence.
    message: &'a str,
    /// Whether sandboxes can be created and used in spite of it.
    optional: bool,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let example = json!({
        "clusters": [{
            "name": "default", "ready": true, "version": "v1.36.0", "fresh_since": "2026-11-26T08:28:31.5Z",
            "sandboxes": {"count": 3, "ready": 2, "by_status": {"Pending": 1, "Running": 2}},
            "creates": {"running": 1, "running_max": 24, "waiting": 0, "room": 1023}, "problems": [],
        }],
        "count": 1,
    });
    vec![
        Endpoint::get("/api/clusters", "listClusters", Tag::Operation, "List the clusters")
            .text("It is answered also while a cluster cannot be reached.")
            .ok::<List<'_>>("The clusters", example),
    ]
}

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    path::clusters()
        .and(warp::get())
        .then(move || {
            let backend = backend.clone();
            async move { reply(answer(&backend).await) }
        })
        .boxed()
}

async fn answer<B: Backend>(backend: &B) -> Result<Response, ApiError> {
    let clusters = backend.clusters().await;
    let clusters: Vec<_> = clusters.iter().map(Cluster::from).collect();
    responses::ok(&List { count: clusters.len(), clusters }, 512)
}

// === impl Cluster ===

impl<'a> From<&'a ClusterReport> for Cluster<'a> {
    fn from(ClusterReport { name, state, checks }: &'a ClusterReport) -> Self {
        let ClusterState { version, fresh_since, sandboxes, ready, creates } = state;
        let failed = checks.iter().filter_map(|check| {
            let message = check.outcome.as_ref().err()?;
            Some(Problem { check: check.name, message, optional: check.optional })
        });
        let problems: Vec<_> = failed.collect();
        let Creates { running, waiting, running_max, room } = *creates;
        Self {
            name: name.as_str(),
            ready: problems.iter().all(|problem| problem.optional),
            version: version.as_deref(),
            fresh_since: fresh_since.map(responses::to_the_millisecond),
            sandboxes: Sandboxes {
                count: sandboxes.values().sum(),
                ready: *ready,
                by_status: sandboxes.clone(),
            },
            creates: CreatesInProgress { running, running_max, waiting, room },
            problems,
        }
    }
}
