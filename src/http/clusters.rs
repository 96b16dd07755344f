//! `GET /api/clusters`, and `GET` and `PATCH /api/clusters/{name}`: the clusters of the sandboxes.

use std::collections::{BTreeMap, BTreeSet};

use fleet::backend::{ClusterChange, ClusterReport, ClusterState, Creates};
use jiff::Timestamp;
use lifecycle::{ids::ProfileName, labels::Labels, placement::Terms};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    body::BodyReader,
    errors::{ApiError, reply},
    openapi::{Endpoint, Tag, failures},
    path::{self, PathCluster},
    request, responses, with_body,
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
    /// Its share of the new sandboxes, in relation to the weights of the other clusters.
    weight: u16,
    /// Whether it gets no new sandboxes: its weight is 0, or a PATCH has said so.
    drain: bool,
    /// The largest number of its sandboxes; null for any number.
    #[schema(required)]
    max_sandboxes: Option<u64>,
    /// How many more sandboxes its settings allow; null for any number.
    #[schema(required)]
    room: Option<u64>,
    /// The labels by which a POST can select it.
    #[schema(value_type = BTreeMap<String, String>)]
    labels: &'a Labels,
    /// The profiles that it offers; null for all.
    #[schema(value_type = Option<Vec<String>>, required)]
    profiles: Option<&'a BTreeSet<ProfileName>>,
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
        "name": "west", "ready": true, "weight": 100, "drain": false, "max_sandboxes": 2000, "room": 1997,
        "labels": {"region": "eu"}, "profiles": null, "version": "v1.36.0", "fresh_since": "2026-11-26T08:28:31.5Z",
        "sandboxes": {"count": 3, "ready": 2, "by_status": {"Pending": 1, "Running": 2}},
        "creates": {"running": 1, "running_max": 24, "waiting": 0, "room": 1023}, "problems": [],
    });
    vec![
        Endpoint::get("/api/clusters", "listClusters", Tag::Operation, "List the clusters")
            .text("It is answered also while a cluster cannot be reached.")
            .ok::<List<'_>>("The clusters", json!({"clusters": [example], "count": 1})),
        Endpoint::get("/api/clusters/{name}", "getCluster", Tag::Operation, "Get a cluster")
            .text("It is answered also while the cluster cannot be reached.")
            .ok::<Cluster<'_>>("The cluster", example.clone())
            .fails(failures::unknown_cluster()),
        Endpoint::patch("/api/clusters/{name}", "changeCluster", Tag::Operation, "Drain a cluster, or change its weight")
            .text(
                "A drained cluster gets no new sandboxes, and keeps those that it has. The change lasts until the daemon ends; \
                 the settings file makes it permanent.",
            )
            .body(
                "ClusterChange",
                request::schema::cluster_change(),
                &[("A drain", json!({"drain": true})), ("Another weight", json!({"weight": 50}))],
            )
            .ok::<Cluster<'_>>("The cluster after the change", example)
            .fails(failures::body())
            .fails(failures::owner())
            .fails(failures::field("weight"))
            .fails(failures::unknown_cluster()),
    ]
}

pub(super) fn route<B: Backend>(backend: B, body_reader: BodyReader) -> BoxedFilter<(Response,)> {
    let (read, changed) = (backend.clone(), backend.clone());
    let one = path::cluster().and(warp::get()).then(move |cluster| {
        let backend = read.clone();
        async move { reply(get(&backend, cluster).await) }
    });
    let list = path::clusters().and(warp::get()).then(move || {
        let backend = backend.clone();
        async move { reply(list(&backend).await) }
    });
    let change = with_body::route(
        path::cluster().and(warp::patch()),
        body_reader,
        request::cluster_change,
        move |cluster, to, _owner| {
            let backend = changed.clone();
            async move { change(&backend, cluster, to).await }
        },
    );
    list.or(one).unify().or(change).unify().boxed()
}

async fn list<B: Backend>(backend: &B) -> Result<Response, ApiError> {
    let clusters = backend.clusters().await;
    let clusters: Vec<_> = clusters.iter().map(Cluster::from).collect();
    responses::ok(&List { count: clusters.len(), clusters }, 512)
}

async fn get<B: Backend>(backend: &B, PathCluster { name, text }: PathCluster) -> Result<Response, ApiError> {
    let report = match &name {
        Some(name) => backend.cluster(name).await,
        None => None,
    };
    one(report, &text)
}

async fn change<B: Backend>(
    backend: &B,
    PathCluster { name, text }: PathCluster,
    change: ClusterChange,
) -> Result<Response, ApiError> {
    let report = match &name {
        Some(name) => backend.change_cluster(name, change).await,
        None => None,
    };
    one(report, &text)
}

/// Returns a cluster, or a 404 with the caller's text.
fn one(report: Option<ClusterReport>, text: &str) -> Result<Response, ApiError> {
    let report = report.ok_or_else(|| ApiError::unknown_cluster(text))?;
    responses::ok(&Cluster::from(&report), 512)
}

// === impl Cluster ===

impl<'a> From<&'a ClusterReport> for Cluster<'a> {
    fn from(ClusterReport { name, terms, is_drained, room, state, checks }: &'a ClusterReport) -> Self {
        let ClusterState { version, fresh_since, sandboxes, ready, creates } = state;
        let Terms { weight, max_sandboxes, labels, profiles, shares_data: _ } = terms;
        let count = sandboxes.values().sum();
        let failed = checks.iter().filter_map(|check| {
            let message = check.outcome.as_ref().err()?;
            Some(Problem { check: check.name, message, optional: check.optional })
        });
        let problems: Vec<_> = failed.collect();
        let Creates { running, waiting, running_max, room: accepted } = *creates;
        Self {
            name: name.as_str(),
            ready: problems.iter().all(|problem| problem.optional),
            weight: *weight,
            drain: *is_drained || terms.is_draining(),
            max_sandboxes: *max_sandboxes,
            room: *room,
            labels,
            profiles: profiles.as_ref(),
            version: version.as_deref(),
            fresh_since: fresh_since.map(responses::to_the_millisecond),
            sandboxes: Sandboxes { count, ready: *ready, by_status: sandboxes.clone() },
            creates: CreatesInProgress { running, running_max, waiting, room: accepted },
            problems,
        }
    }
}
