//! The metrics of the HTTP API.

use std::{fmt, time::Duration};

use http::{Method, StatusCode};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::route::Route;

/// The bounds of the duration of a request, in seconds: from a read of memory to the longest wait.
const BOUNDS: [f64; 12] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 27.0];

/// The counters of all requests. Clones share them.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    create_failures: Family<ReasonLabel, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: Route,
    method: &'static str,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: Route,
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// An answered request.
pub(super) struct Answered {
    pub(super) route: Route,
    pub(super) status: StatusCode,
    /// The reason of a failed create; `None` for every other request.
    pub(super) create_failure: Option<&'static str>,
    pub(super) took: Duration,
}

// === impl HttpMetrics ===

impl Default for HttpMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BOUNDS)),
            create_failures: Family::default(),
        }
    }
}

impl HttpMetrics {
    /// Adds them to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_requests",
            "HTTP requests, by route, method and status",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "Time to the answer of an HTTP request",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "create_failures",
            "POSTs of sandboxes that failed, by reason",
            self.create_failures.clone(),
        );
    }

    /// Records a request.
    pub(super) fn answered(&self, method: &Method, answered: &Answered) {
        let Answered { route, status, create_failure, took } = *answered;
        let method = name(method);
        self.requests.get_or_create(&RequestLabels { route, method, code: status.as_u16() }).inc();
        self.durations.get_or_create(&RouteLabels { route, method }).observe(took.as_secs_f64());
        if let Some(reason) = create_failure {
            self.create_failures.get_or_create(&ReasonLabel { reason }).inc();
        }
    }
}

// === impl Route ===

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.name().encode(encoder)
    }
}

/// Returns the method. Callers can invent methods, which would be endless labels.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::PUT => "PUT",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
