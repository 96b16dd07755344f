//! The activity probes, which run before an idle sandbox is reaped.

use std::{num::NonZeroU32, time::Duration};

use kubernetes::probe::{ALL_IN_ONE, Probe, ProbeOptions};
use lifecycle::lifetime::Policy;

use super::{
    format::{DurationRange, Millicores, Optional, Rule, duration_text},
    reader::{Reader, Reported},
    rules,
    setting::{DefaultValue, Scope, Section, Setting},
};

pub(super) const SECTION: Section = Section {
    heading: "Activity probes",
    scope: Scope::ClusterOnly(&["PROVISIONER_IDLE_PROBES", "PROVISIONER_IDLE_CPU"]),
    settings: &[&IDLE_PROBES, &IDLE_CPU, &PATIENCE, &INTERVAL],
};

static IDLE_PROBES: Setting<Rule<Vec<Probe>>> = Setting {
    variable: "PROVISIONER_IDLE_PROBES",
    format: rules::PROBES,
    default: DefaultValue::Of(|| ALL_IN_ONE.join(", ")),
    help: "Requests to an idle sandbox before it is reaped; it is busy if a response has a non-empty value at the pointer",
};

static IDLE_CPU: Setting<Optional<Millicores>> = Setting {
    variable: "PROVISIONER_IDLE_CPU",
    format: Optional(Millicores(1_000_000)),
    default: DefaultValue::None { example: "50m" },
    help: "CPU use above which a sandbox is busy; needs the metrics API",
};

/// With a minimum of zero, a sandbox that does not answer can be considered idle at once. A sandbox that has not
/// answered for a day is not expected to recover.
static PATIENCE: Setting<DurationRange> = Setting {
    variable: "PROVISIONER_PROBE_PATIENCE",
    format: DurationRange(Duration::ZERO..=Duration::from_secs(24 * 60 * 60)),
    default: DefaultValue::Of(|| duration_text(Policy::default().probe_patience)),
    help: "How long a sandbox counts as busy while its activity probes fail",
};

/// More than one probe per second would load the sandbox's own server. With more than an hour the patience would end
/// before the second probe.
static INTERVAL: Setting<DurationRange> = Setting {
    variable: "PROVISIONER_PROBE_INTERVAL",
    format: DurationRange(Duration::from_secs(1)..=Duration::from_secs(60 * 60)),
    default: DefaultValue::Of(|| duration_text(Policy::default().probe_interval)),
    help: "Delay before a failed activity probe is repeated",
};

/// Reads the timing of the probes, which belongs to the policy.
pub(super) fn read_timing(reader: &Reader<'_>, policy: &mut Policy) -> Result<(), Reported> {
    policy.probe_patience = reader.get(&PATIENCE)?;
    policy.probe_interval = reader.get(&INTERVAL)?;
    Ok(())
}

/// Reads the probes themselves, which belong to the connection to a cluster.
pub(super) fn read(reader: &Reader<'_>) -> Result<ProbeOptions, Reported> {
    Ok(ProbeOptions {
        probes: reader.get(&IDLE_PROBES)?,
        idle_cpu_millis: reader.get(&IDLE_CPU)?.map(NonZeroU32::get),
    })
}
