//! A timeline with the objects that it observes.

use std::time::Duration;

use super::super::*;
use crate::{
    lifetime::LifetimeAnnotations,
    observed::{PodTimes, ResourceVersion},
    phase::Phase,
    pod_event::PodEvent,
    spec::ObservedSpec,
};

pub(super) const NOON: &str = "2026-01-02T12:00:00.25Z";

/// A timeline, its clocks, and the objects that it observes.
pub(super) struct Fixture {
    pub(super) timeline: Timeline,
    pub(super) start: Clocks,
    pub(super) clocks: Clocks,
    pub(super) pod: Option<ObservedPod>,
    pub(super) service: Option<ObservedService>,
    pub(super) reason: Option<Arc<Reason>>,
    pub(super) text_max: usize,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let start = Clocks { monotonic: Instant::now(), wall: NOON.parse().unwrap() };
        let timeline = Timeline::new(start);
        Self { timeline, start, clocks: start, pod: None, service: None, reason: None, text_max: TEXT_MAX }
    }

    /// Returns the timeline of a POST that has waited this long for its turn.
    pub(super) fn requested(waited: u64) -> Self {
        let mut fixture = Self::new();
        fixture.pass(waited);
        fixture.timeline = Timeline::of_request(fixture.start.monotonic, None, fixture.clocks);
        fixture
    }

    pub(super) fn pass(&mut self, ms: u64) {
        let passed = Duration::from_millis(ms);
        self.clocks.monotonic += passed;
        self.clocks.wall += passed;
    }

    /// Observes the objects, some milliseconds after the last step.
    pub(super) fn look(&mut self, after: u64, is_listed: bool) {
        self.pass(after);
        let seen = Snapshot {
            pod: self.pod.as_ref(),
            service: self.service.as_ref(),
            reason: self.reason.clone(),
            is_shown: true,
            is_listed,
        };
        self.timeline.observe(&seen, self.clocks, self.text_max);
    }

    /// Changes the Pod, and observes it.
    pub(super) fn see(&mut self, after: u64, change: impl FnOnce(&mut ObservedPod)) {
        change(self.pod.get_or_insert_with(pod));
        self.look(after, false);
    }

    pub(super) fn event(&mut self, after: u64, reason: &str, message: &str) {
        self.pass(after);
        let event = PodEvent::new(reason, message, ResourceVersion(1)).unwrap();
        let step = Step::of_event(&event, |image| image.into()).unwrap();
        self.timeline.record(step, None, self.clocks, self.text_max);
    }

    pub(super) fn warn(&mut self, after: u64, name: &str, message: &str) {
        self.reason = Some(Reason::new(name, Some(message)).into());
        self.look(after, false);
    }

    pub(super) fn report(&self) -> Report {
        self.timeline.report(self.clocks)
    }

    /// Returns each step as `name +milliseconds`.
    pub(super) fn steps(&self) -> Vec<String> {
        let steps = self.report().steps;
        steps.iter().map(|s| format!("{} +{}", s.step.name(), s.duration.as_millis())).collect()
    }

    /// Returns the interval in which most of the time went, as `from > to milliseconds`.
    pub(super) fn slowest(&self) -> String {
        let slowest = self.report().slowest.unwrap();
        let to = slowest.to.as_ref().map_or("?", Step::name);
        format!("{} > {to} {}", slowest.from.name(), slowest.duration.as_millis())
    }
}

pub(super) fn pod() -> ObservedPod {
    ObservedPod {
        uid: Uid("p".into()),
        version: ResourceVersion(1),
        phase: Phase::Pending,
        ready: false,
        terminating: false,
        reason: None,
        created: None,
        times: PodTimes::default(),
        spec: ObservedSpec::default(),
        annotations: LifetimeAnnotations::default(),
    }
}

pub(super) fn service() -> ObservedService {
    ObservedService {
        uid: Uid("s".into()),
        version: ResourceVersion(1),
        terminating: false,
        url: Some("http://h:30000".into()),
        internal_url: None,
    }
}

pub(super) fn at(second: i64) -> Option<Timestamp> {
    let noon: Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
    Timestamp::from_second(noon.as_second() + second).ok()
}

pub(super) fn scheduled(pod: &mut ObservedPod) {
    pod.times.scheduled = at(0);
}

pub(super) fn started(pod: &mut ObservedPod) {
    pod.times.started = at(1);
}

pub(super) fn ready(pod: &mut ObservedPod) {
    (pod.ready, pod.times.ready) = (true, at(2));
}
