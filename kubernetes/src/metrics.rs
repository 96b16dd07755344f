//! The metrics of the calls to the API server. They have the names and labels of other Kubernetes clients.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use http::{Method, StatusCode};
use lifecycle::error::ClusterErrorKind;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::{certificate::Validity, quota::QuotaUse};

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
    credential_expiry: Family<CredentialLabel, Gauge>,
    credential_lifetime: Family<CredentialLabel, Gauge>,
    quota_used: Family<QuotaLabels, Gauge<f64, AtomicU64>>,
    quota_hard: Family<QuotaLabels, Gauge<f64, AtomicU64>>,
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CredentialLabel {
    credential: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuotaLabels {
    quota: String,
    resource: String,
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
            credential_expiry: Family::default(),
            credential_lifetime: Family::default(),
            quota_used: Family::default(),
            quota_hard: Family::default(),
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
        registry.register_with_unit(
            "credential_expiry_timestamp",
            "End of the credentials for the API server, since the Unix epoch",
            Unit::Seconds,
            self.credential_expiry.clone(),
        );
        registry.register_with_unit(
            "credential_lifetime",
            "Time from the issue of the credentials for the API server to their end",
            Unit::Seconds,
            self.credential_lifetime.clone(),
        );
        registry.register(
            "quota_used",
            "Amount in use of a resource of a ResourceQuota of the namespace",
            self.quota_used.clone(),
        );
        registry.register(
            "quota_hard",
            "Largest amount of a resource of a ResourceQuota of the namespace",
            self.quota_hard.clone(),
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

    /// Shows how long the credentials of this kind are valid, if it is known.
    pub(crate) fn set_validity(&self, credential: &'static str, validity: Option<Validity>) {
        let label = CredentialLabel { credential };
        let Some(Validity { from, until }) = validity else {
            self.credential_expiry.remove(&label);
            self.credential_lifetime.remove(&label);
            return;
        };
        self.credential_expiry.get_or_create(&label).set(until.as_second());
        self.credential_lifetime.get_or_create(&label).set(until.as_second() - from.as_second());
    }

    /// Shows these quotas, and no others.
    pub(crate) fn set_quotas(&self, uses: &[QuotaUse]) {
        self.quota_used.clear();
        self.quota_hard.clear();
        for QuotaUse { quota, resource, used, hard } in uses {
            let labels = QuotaLabels { quota: quota.clone(), resource: resource.clone() };
            self.quota_used.get_or_create(&labels).set(*used);
            self.quota_hard.get_or_create(&labels).set(*hard);
        }
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
