//! `GET /metrics`: the metrics of the whole program, in the text formats of `OpenMetrics` and Prometheus.
//!
//! Each part counts for itself and adds its metrics to the registry. A scrape reads memory only: no call to the cluster,
//! and no label that is an id, so that the number of series does not grow with the number of sandboxes.

mod merge;
mod process;
mod readiness;

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use lifecycle::ids::ClusterName;
use parking_lot::RwLock;
use prometheus_client::{
    encoding::{EncodeLabelSet, prometheus_text, text},
    metrics::info::Info,
    registry::Registry,
};
use utoipa::openapi::ContentBuilder;
use warp::{Filter, Reply, filters::BoxedFilter, reply::Response};

use self::readiness::Readiness;
use crate::{
    admin::ReadinessChecks,
    http::{
        auth::Auth,
        errors::{ApiError, accepts},
        openapi::{self, Endpoint, Tag, failures, schemas},
    },
};

/// The prefix of the program's own metrics.
const PREFIX: &str = "sandbox_provisioner";

/// The media type of the `OpenMetrics` text format.
const OPENMETRICS: &str = "application/openmetrics-text";
const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Registries>);

#[derive(Debug, Default)]
struct Registries {
    daemon: Registry,
    /// One for each cluster.
    clusters: RwLock<Vec<Registry>>,
}

/// The label of the metrics of a cluster.
const CLUSTER: &str = "cluster";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

// === impl Metrics ===

impl Metrics {
    /// Creates the metrics of the daemon. `own` adds metrics with names that only this program uses.
    pub(crate) fn new(checks: ReadinessChecks, own: impl FnOnce(&mut Registry)) -> Self {
        let mut daemon = Registry::default();
        process::register(&mut daemon);
        let ours = daemon.sub_registry_with_prefix(PREFIX);
        let build = Build { version: env!("CARGO_PKG_VERSION") };
        ours.register("build", "The version of the program", Info::new(build));
        ours.register_collector(Box::new(Readiness(checks)));
        own(ours);
        Self(Arc::new(Registries { daemon, clusters: RwLock::default() }))
    }

    /// Adds the metrics of a cluster. `shared` adds metrics with names that other programs use too, `own` those of this
    /// program.
    pub(crate) fn add_cluster(
        &self,
        name: &ClusterName,
        shared: impl FnOnce(&mut Registry),
        own: impl FnOnce(&mut Registry),
    ) {
        let label = (CLUSTER.into(), name.to_string().into());
        let mut registry = Registry::with_labels([label].into_iter());
        shared(&mut registry);
        own(registry.sub_registry_with_prefix(PREFIX));
        self.0.clusters.write().push(registry);
    }

    /// Returns the metrics in the format that the request accepts. Prometheus' own format is the default.
    fn answer(&self, openmetrics: bool) -> Response {
        let encode = |registry| {
            let mut text = String::new();
            let encoded = if openmetrics {
                text::encode(&mut text, registry)
            } else {
                prometheus_text::encode(&mut text, registry)
            };
            encoded.map(|()| text)
        };
        let Registries { daemon, clusters } = &*self.0;
        let texts: Result<Vec<_>, _> = [daemon].into_iter().chain(&*clusters.read()).map(encode).collect();
        let media_type = if openmetrics { OPENMETRICS_TYPE } else { prometheus_text::CONTENT_TYPE };
        // Writing to a String cannot fail.
        let Ok(texts) = texts else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
        let mut response = Response::new(merge::merge(&texts, openmetrics).into());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        response
    }
}

/// Describes the route.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let text = |description, example: &str| {
        let content = ContentBuilder::new().schema(Some(schemas::text(description)));
        content.example(Some(example.into())).build()
    };
    let example = "sandbox_provisioner_build_info{version=\"0.1.0\"} 1\n";
    let answer = openapi::response("The metrics")
        .content("text/plain", text("In the text format of Prometheus.", example))
        .content(OPENMETRICS, text("In the text format of `OpenMetrics`.", example));
    vec![
        Endpoint::get("/metrics", "getMetrics", Tag::Daemon, "Return the metrics")
            .text(
                "Needs no key unless a setting requires it. It is a 404 if the settings turn it off or serve it on another \
                 address.",
            )
            .with_key(true)
            .answers("200", answer)
            .fails(failures::not_found())
            .and_head(),
    ]
}

/// The route, for the callers whom `auth` allows.
pub(crate) fn route(metrics: Metrics, auth: Auth) -> BoxedFilter<(Response,)> {
    let other_methods =
        warp::path!("metrics").map(|| ApiError::method_not_allowed("GET, HEAD").into_response());
    warp::path!("metrics")
        .and(warp::get().or(warp::head()).unify())
        .and(warp::header::headers_cloned())
        .map(move |headers| {
            if auth.allows(&headers) {
                metrics.answer(accepts(&headers, OPENMETRICS))
            } else {
                ApiError::unauthorized().into_response()
            }
        })
        .or(other_methods)
        .unify()
        .boxed()
}
