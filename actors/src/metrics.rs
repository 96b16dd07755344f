//! The metrics of one cluster's sandboxes: counters that the actors write, and [`gauges`] that a scrape reads from
//! memory. No label is an id.

pub(crate) mod gauges;

use std::time::Duration;

use lifecycle::{
    lifetime::ReapReason,
    timeline::{DeleteReason, Start, StartStage},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// The bounds of a stage of a start, in seconds: from a write to an image pull.
const STAGE_BOUNDS: [f64; 14] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0];

/// The bounds of the lateness of a reap, in seconds: from the timer's precision to a long stop of the reaper.
const LATENESS_BOUNDS: [f64; 9] = [0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0];

/// The counters. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// The time from a POST to the readiness of its sandbox.
    create: Histogram,
    create_stages: Family<StageLabel, Histogram, fn() -> Histogram>,
    deletes: Family<ReasonLabel, Counter>,
    reaps: Family<ReasonLabel, Counter>,
    reap_lateness: Histogram,
    reap_dry_runs: Counter,
    pub(crate) mailboxes: Mailboxes,
    /// The number of actors that run.
    pub(crate) actors: Gauge,
    /// The number of actors that were started again after a failure.
    pub(crate) actor_restarts: Counter,
}

/// The numbers of messages that wait for the actors.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mailboxes {
    pub(crate) supervisor: Gauge,
    pub(crate) sandboxes: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        let stage: fn() -> Histogram = || Histogram::new(STAGE_BOUNDS);
        let metrics = Self {
            create: stage(),
            create_stages: Family::new_with_constructor(stage),
            deletes: Family::default(),
            reaps: Family::default(),
            reap_lateness: Histogram::new(LATENESS_BOUNDS),
            reap_dry_runs: Counter::default(),
            mailboxes: Mailboxes::default(),
            actors: Gauge::default(),
            actor_restarts: Counter::default(),
        };
        // A counter that exists from the start shows its first increment as a rate.
        for reason in ReapReason::ALL {
            drop(metrics.reaps.get_or_create(&ReasonLabel { reason: reason.name() }));
        }
        for reason in DeleteReason::ALL {
            drop(metrics.deletes.get_or_create(&ReasonLabel { reason: reason.name() }));
        }
        for stage in StartStage::ALL {
            drop(metrics.create_stages.get_or_create(&StageLabel { stage: stage.name() }));
        }
        metrics
    }
}

impl Metrics {
    /// Adds them to a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let seconds = Unit::Seconds;
        registry.register_with_unit(
            "create_ready_duration",
            "Time from a POST to the readiness of its sandbox",
            seconds.clone(),
            self.create.clone(),
        );
        registry.register_with_unit(
            "create_stage_duration",
            "Time that each stage of a start took",
            seconds.clone(),
            self.create_stages.clone(),
        );
        registry.register(
            "deletes",
            "Sandboxes deleted before they reached a limit, by reason",
            self.deletes.clone(),
        );
        registry.register("reaps", "Sandboxes reaped, by reason", self.reaps.clone());
        registry.register(
            "reap_dry_runs",
            "Sandboxes that a dry run would have reaped",
            self.reap_dry_runs.clone(),
        );
        registry.register_with_unit(
            "reap_lateness",
            "Time from a sandbox's expiry to its reap",
            seconds,
            self.reap_lateness.clone(),
        );
        let Mailboxes { supervisor, sandboxes } = &self.mailboxes;
        for (name, help, depth) in [
            ("supervisor_mailbox_depth", "Messages that wait for the supervisor", supervisor),
            ("actor_mailbox_depth", "Messages that wait for the sandbox actors", sandboxes),
        ] {
            registry.register(name, help, depth.clone());
        }
        registry.register("actors", "Sandbox actors that run", self.actors.clone());
        registry.register(
            "actor_restarts",
            "Sandbox actors restarted after a failure",
            self.actor_restarts.clone(),
        );
    }

    /// Records a start.
    pub(crate) fn started(&self, start: &Start) {
        self.create.observe(start.total.as_secs_f64());
        for (stage, took) in &start.stages {
            let label = StageLabel { stage: stage.name() };
            self.create_stages.get_or_create(&label).observe(took.as_secs_f64());
        }
    }

    /// Records that the daemon deletes a sandbox.
    pub(crate) fn deleted(&self, reason: DeleteReason) {
        self.deletes.get_or_create(&ReasonLabel { reason: reason.name() }).inc();
    }

    /// Records a reap, and by how much it was late.
    pub(crate) fn reaped(&self, reason: ReapReason, late: Duration) {
        self.reaps.get_or_create(&ReasonLabel { reason: reason.name() }).inc();
        self.reap_lateness.observe(late.as_secs_f64());
    }

    /// Records a reap that was a dry run.
    pub(crate) fn dry_run(&self) {
        self.reap_dry_runs.inc();
    }

    /// Returns the number of reaps that were a dry run.
    pub(crate) fn dry_runs(&self) -> u64 {
        self.reap_dry_runs.get()
    }
}
