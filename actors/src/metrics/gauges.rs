//! The gauges that each scrape reads from memory.

use std::{collections::BTreeMap, fmt};

use lifecycle::{phase::Reason, traits::Kind};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Unit,
};

use crate::sandboxes::Sandboxes;

/// The label of reasons that this program does not know.
const OTHER: &str = "Other";

/// The gauges of one cluster's sandboxes.
pub(crate) struct Gauges(pub(crate) Sandboxes);

/// Sandboxes that are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(crate) struct Group {
    /// The phase that callers see.
    pub(crate) status: &'static str,
    /// The profile; empty for sandboxes without one.
    pub(crate) profile: String,
}

/// The numbers of objects in the view.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The sandboxes that callers see.
    pub(crate) groups: BTreeMap<Group, u64>,
    /// How many of them are ready.
    pub(crate) ready: u64,
    /// How many of the others are not terminating, by their reason.
    pub(crate) not_ready: BTreeMap<ReasonLabel, u64>,
    /// The Pods without a Service, and the Services without a Pod.
    pub(crate) orphans: u64,
    /// The Services.
    pub(crate) services: u64,
}

/// Why sandboxes are not ready.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: &'static str,
}

// === impl ReasonLabel ===

impl ReasonLabel {
    /// Returns the label of a reason. Anyone who can write a Pod's status can invent reasons, so only those that this
    /// program knows have a label of their own.
    pub(crate) fn of(reason: Option<&Reason>) -> Self {
        let known = |reason: &Reason| {
            if reason.hint().is_some() { reason.name.to_string() } else { OTHER.to_owned() }
        };
        Self { reason: reason.map(known).unwrap_or_default() }
    }
}

// === impl Gauges ===

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let Self(sandboxes) = self;
        let view = sandboxes.view();
        let Counts { groups, ready, not_ready, orphans, services } = view.counts();
        family(&mut encoder, "sandboxes", "Sandboxes, by status and profile", None, groups)?;
        gauge(&mut encoder, "sandboxes_ready", "Sandboxes whose URL works", ready)?;
        gauge(
            &mut encoder,
            "orphans",
            "Pods without their Service, and Services without their Pod",
            orphans,
        )?;
        gauge(
            &mut encoder,
            "services",
            "Services of sandboxes; one of type NodePort has a node port",
            services,
        )?;
        family(
            &mut encoder,
            "sandboxes_not_ready",
            "Sandboxes that are not ready, by reason",
            None,
            not_ready,
        )?;
        let age = |kind: Kind| Some((KindLabel { kind: kind.name() }, view.age(kind)?.as_secs_f64()));
        let ages = Kind::ALL.into_iter().filter_map(age);
        family(&mut encoder, "view_age", "Time since the watch was up to date", Some(&Unit::Seconds), ages)?;
        let fresh = u64::from(view.is_fresh());
        gauge(&mut encoder, "view_fresh", "1 if reads are answered, 0 if the view is stale", fresh)?;
        let queues = sandboxes.queues().into_iter().map(|(queue, length)| (QueueLabel { queue }, length));
        family(&mut encoder, "queued_requests", "Requests that wait or run, by queue", None, queues)?;
        let stopped = u64::from(sandboxes.is_reaper_stopped());
        gauge(&mut encoder, "reaper_stopped", "1 while the reap limits stop the reaper", stopped)
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

/// Writes a gauge without labels.
pub(crate) fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn family<L: EncodeLabelSet, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    values: impl IntoIterator<Item = (L, V)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
