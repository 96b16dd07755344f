//! The kubelet's probes of a container that boots. Pure.
//!
//! All times count from the start of the container. The periods of startup and liveness probes count from the moment
//! when the kubelet accepts the Pod, a little earlier, so that the first one with the delay fulfilled comes up to a
//! period late. The first readiness probe is not bound to a period: the kubelet runs it as soon as it may.

use std::time::Duration;

use serde_json::Value;

use super::life::{Circumstances, Stage};
use crate::behaviour::Course;

/// How often a failing probe is reported before reports become rare, and how rare (the kubelet's own event filter:
/// 25 at once, then one in five minutes).
const BURST: u32 = 25;
const LULL: Duration = Duration::from_secs(300);

/// When a probe runs, as its fields say.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    first: Duration,
    period: Duration,
    failures: u32,
}

// === impl Schedule ===

impl Schedule {
    /// The schedule of a probe; `None` without one.
    fn of(probe: &Value) -> Option<Self> {
        let number = |key: &str, default| probe[key].as_u64().unwrap_or(default);
        let (delay, period) = (number("initialDelaySeconds", 0), number("periodSeconds", 10).max(1));
        probe.is_object().then(|| Self {
            first: Duration::from_secs((delay / period).saturating_add(1).saturating_mul(period)),
            period: Duration::from_secs(period),
            failures: u32::try_from(number("failureThreshold", 3).max(1)).unwrap_or(u32::MAX),
        })
    }

    /// The same for a readiness probe, of which the first runs after its delay, and not before `earliest`.
    fn of_readiness(probe: &Value, earliest: Duration) -> Option<Self> {
        let delay = Duration::from_secs(probe["initialDelaySeconds"].as_u64().unwrap_or(0));
        Self::of(probe).map(|schedule| Self { first: delay.max(earliest), ..schedule })
    }

    /// The first probe at a time or later.
    fn at_or_after(&self, time: Duration) -> Duration {
        let periods = time.saturating_sub(self.first).as_nanos().div_ceil(self.period.as_nanos());
        self.after(u32::try_from(periods).unwrap_or(u32::MAX))
    }

    fn after(&self, periods: u32) -> Duration {
        self.first.saturating_add(self.period.saturating_mul(periods))
    }

    /// When the n-th failure is reported, counted from 0.
    fn reported(&self, failure: u32) -> Duration {
        let rare = LULL.saturating_mul(failure.saturating_sub(BURST));
        self.after(failure.min(BURST)).saturating_add(rare)
    }
}

// === impl Circumstances: probes ===

impl Circumstances<'_> {
    /// Returns the next stage of a container that runs and is not ready, after this many reported failures of its probe.
    pub(super) fn probed(&self, restarts: u32, failures: Option<u32>) -> (Duration, Stage) {
        let container = &self.pod["spec"]["containers"][0];
        let started = self.pod["status"]["containerStatuses"][0]["started"] == true;
        let startup = Schedule::of(&container["startupProbe"]);
        let earliest = self.times.ready;
        let readiness = Schedule::of_readiness(&container["readinessProbe"], earliest);
        let boot = self.behaviour.boot.unwrap_or_default();
        let (schedule, boots, then) = match (startup.filter(|_| !started), readiness) {
            (Some(startup), Some(_)) => (startup, boot, Stage::Booted(restarts)),
            (Some(startup), None) => (startup, boot, Stage::Ready(restarts)),
            // A startup probe has seen the boot's end.
            (None, Some(readiness)) if startup.is_some() => {
                (readiness, Duration::ZERO, Stage::Ready(restarts))
            }
            (None, Some(readiness)) => (readiness, boot, Stage::Ready(restarts)),
            (None, None) => {
                let schedule = Schedule { first: earliest, period: Duration::from_secs(10), failures: 3 };
                (schedule, boot, Stage::Ready(restarts))
            }
        };
        let now = failures.map_or(Duration::ZERO, |failure| schedule.reported(failure));
        let never = match self.behaviour.course {
            Course::NeverReady => then == Stage::Ready(restarts),
            Course::ReadinessLost => failures.is_some() && now >= boots,
            _ => false,
        };
        let next = failures.map_or(0, |failure| failure.saturating_add(1));
        let success = (!never).then(|| match failures {
            Some(_) => schedule.at_or_after(boots.max(now.saturating_add(Duration::from_nanos(1)))),
            None => schedule.at_or_after(boots),
        });
        let reported = (schedule.reported(next), Stage::Unready(restarts, next));
        let outcomes = [
            success.map(|at| (at, then)),
            self.killed(boot, started).map(|at| (at, Stage::Killed(restarts))),
        ];
        let (at, stage) =
            outcomes.into_iter().flatten().chain([reported]).min_by_key(|(at, _)| *at).unwrap_or(reported);
        (at.saturating_sub(now), stage)
    }

    /// When the kubelet kills a container for the time that its boot takes: a startup probe has failed too often, or
    /// without one, a liveness probe.
    fn killed(&self, boot: Duration, started: bool) -> Option<Duration> {
        let container = &self.pod["spec"]["containers"][0];
        if started && container.get("startupProbe").is_some() {
            return None;
        }
        let limit = Schedule::of(limits_boot(container)?.1)?;
        let exhausted = limit.after(limit.failures - 1);
        (limit.at_or_after(boot) > exhausted).then_some(exhausted)
    }

    /// Returns the next stage after the startup probe has succeeded: the readiness probe runs a period later.
    pub(super) fn booted(&self, restarts: u32) -> (Duration, Stage) {
        let readiness = Schedule::of(&self.pod["spec"]["containers"][0]["readinessProbe"]);
        let unready = self.behaviour.course == Course::NeverReady;
        let then = if unready { Stage::Unready(restarts, 0) } else { Stage::Ready(restarts) };
        (readiness.map_or(Duration::ZERO, |readiness| readiness.period), then)
    }
}

/// The probe that ends a boot that takes too long, with the kubelet's name of it.
pub(super) fn limits_boot(container: &Value) -> Option<(&'static str, &Value)> {
    let named = |name, key| container.get(key).map(|probe| (name, probe));
    named("startup", "startupProbe").or_else(|| named("liveness", "livenessProbe"))
}

/// The probe that decides now whether a container counts as running well, with the kubelet's name of it.
pub(super) fn deciding(container: &Value, started: bool) -> Option<(&'static str, &Value)> {
    let startup = container.get("startupProbe").filter(|_| !started).map(|probe| ("Startup", probe));
    startup.or_else(|| container.get("readinessProbe").map(|probe| ("Readiness", probe)))
}
