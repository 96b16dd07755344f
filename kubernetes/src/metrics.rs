//! The metrics of the calls to the API server. They have the names and labels of other Kubernetes clients.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use lifecycle::error::ClusterErrorKind;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// The bounds of the duration of a call, in seconds: those of client-go.
const CALL_BOUNDS: [f64; 12] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0];

/// The `code` of a call that got no answer, as in client-go.
const NO_ANSWER: &str = "<error>";

/// The host of an API server without an address, such as the embedded one.
pub(crate) const NO_HOST: &str = "embedded";

/// The metrics of a connection. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Family<CallLabels, Counter>,
    durations: Family<VerbLabels, Histogram, fn() -> Histogram>,
    queued: Gauge,
    in_flight: Gauge,
    lists: Family<KindLabel, Counter>,
    watch_failures: Family<FailureLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    code: String,
    method: String,
    host: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerbLabels {
    verb: String,
    host: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    kind: &'static str,
    cause: &'static str,
}

/// Counts a call in a gauge until it is dropped.
pub(crate) struct Counted(Gauge);

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(CALL_BOUNDS)),
            queued: Gauge::default(),
            in_flight: Gauge::default(),
            lists: Family::default(),
            watch_failures: Family::default(),
        }
    }
}

impl Metrics {
    /// Adds those that other Kubernetes clients have too.
    pub(crate) fn register_shared(&self, registry: &mut Registry) {
        registry.register(
            "rest_client_requests",
            "Calls to the API server, by status code",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "rest_client_request_duration",
            "Time to the head of the answer of a call to the API server",
            Unit::Seconds,
            self.durations.clone(),
        );
    }

    /// Adds those that only this program has.
    pub(crate) fn register_own(&self, registry: &mut Registry) {
        registry.register(
            "calls_queued",
            "Calls to the API server that wait for their turn",
            self.queued.clone(),
        );
        registry.register(
            "calls_in_flight",
            "Calls to the API server in flight, without watches",
            self.in_flight.clone(),
        );
        registry.register("watch_lists", "Complete lists of the shared watch", self.lists.clone());
        registry.register(
            "watch_failures",
            "Failures of the shared watch, by cause",
            self.watch_failures.clone(),
        );
    }

    /// Records a call and the status of its answer, if it got one.
    pub(crate) fn called(&self, method: &Method, host: &Arc<str>, code: Option<StatusCode>, took: Duration) {
        let code = code.map_or_else(|| NO_ANSWER.to_owned(), |code| code.as_str().to_owned());
        let labels = CallLabels { code, method: method.to_string(), host: host.clone() };
        self.requests.get_or_create(&labels).inc();
        let labels = VerbLabels { verb: method.to_string(), host: host.clone() };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts a call that waits for its turn.
    pub(crate) fn waiting(&self) -> Counted {
        Counted::new(&self.queued)
    }

    /// Counts a call in flight.
    pub(crate) fn flying(&self) -> Counted {
        Counted::new(&self.in_flight)
    }

    /// Records a complete list of this kind.
    pub(crate) fn listed(&self, kind: &'static str) {
        self.lists.get_or_create(&KindLabel { kind }).inc();
    }

    /// Records a failure of the watch of this kind.
    pub(crate) fn watch_failed(&self, kind: &'static str, cause: ClusterErrorKind) {
        self.watch_failures.get_or_create(&FailureLabels { kind, cause: cause.name() }).inc();
    }
}

// === impl Counted ===

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
