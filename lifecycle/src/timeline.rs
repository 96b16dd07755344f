//! The timeline of a sandbox: its steps and their times, so that an operator sees where the time went.
//!
//! The steps are the differences between observed states, some Events, and the daemon's own calls. The time of a step is
//! that at which this process learned of it: one clock, in milliseconds. A list can show a step that happened long ago,
//! such as after a restart. Then the time is Kubernetes' own, in whole seconds and from the clocks of several machines. A
//! step is never earlier than the one before it, and no duration is negative.

mod entries;
mod report;
mod start;
mod step;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;

use self::entries::Entries;
pub use self::{
    report::{Interval, Report, ReportedStep},
    start::{Start, StartStage},
    step::{DeleteReason, Step, Uses, Warning},
};
use crate::{
    lifetime::Clocks,
    observed::{ObservedPod, ObservedService, Uid},
    phase::Reason,
};

/// The largest size of the texts of one timeline, in bytes: a dozen warnings of usual length.
pub const TEXT_MAX: usize = 4096;

/// The reasons that every healthy sandbox has while it starts.
const EXPECTED: [&str; 3] = ["ContainerCreating", "PodInitializing", "ContainersNotReady"];

/// The reasons that a healthy sandbox can have while it terminates: its container ends.
const EXPECTED_AT_THE_END: [&str; 2] = ["Completed", "Error"];

/// The timeline of one sandbox, from its POST or its first observation until its Pod is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Both clocks at the first entry. All times are computed from them, so a step of the wall clock changes no duration.
    anchor: Clocks,
    entries: Entries,
    /// The uid of the Pod; `None` before it exists.
    pod: Option<Uid>,
    /// How often the container was started again.
    restarts: u32,
    /// The last problem, until it is over.
    reason: Option<Arc<Reason>>,
    has_service: bool,
    is_ready: bool,
    /// Whether callers have seen the sandbox.
    is_shown: bool,
}

/// The observed state of a sandbox.
#[derive(Debug)]
pub struct Snapshot<'a> {
    /// The Pod, if it exists.
    pub pod: Option<&'a ObservedPod>,
    /// The Service, if it exists.
    pub service: Option<&'a ObservedService>,
    /// Why it does not run, as callers see it.
    pub reason: Option<Arc<Reason>>,
    /// Whether callers see the sandbox.
    pub is_shown: bool,
    /// Whether a list has shown the state, so that it may be old.
    pub is_listed: bool,
}

// === impl Timeline ===

impl Timeline {
    /// Creates an empty timeline.
    #[must_use]
    pub fn new(clocks: Clocks) -> Self {
        Self {
            anchor: clocks,
            entries: Entries::default(),
            pod: None,
            restarts: 0,
            reason: None,
            has_service: false,
            is_ready: false,
            is_shown: false,
        }
    }

    /// Creates the timeline of a sandbox that the daemon begins to create for a POST that arrived at this time. The POST had
    /// to wait for the end of the predecessor, if there was one then.
    #[must_use]
    pub fn of_request(received: Instant, predecessor: Option<&Self>, clocks: Clocks) -> Self {
        let mut timeline = Self::new(clocks);
        let accepted = timeline.millisecond(received);
        let now = timeline.millisecond(clocks.monotonic);
        timeline.entries.insert(Step::Accepted, accepted, TEXT_MAX);
        if let Some(gone) = predecessor.and_then(Self::gone_at).filter(|gone| *gone > accepted) {
            timeline.entries.insert(Step::PredecessorGone, gone.min(now), TEXT_MAX);
        }
        timeline.entries.insert(Step::Creating, now, TEXT_MAX);
        timeline
    }

    /// Returns the uid of the Pod; `None` before it exists.
    #[must_use]
    pub fn pod(&self) -> Option<&Uid> {
        self.pod.as_ref()
    }

    /// Returns whether callers have seen the sandbox.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.is_shown
    }

    /// Returns the size of all texts, in bytes.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.entries.text_len()
    }

    /// Drops warnings, and images if need be, until all texts together have at most this size.
    pub fn shrink_to(&mut self, text_max: usize) {
        self.entries.shrink_to(text_max);
    }

    /// Adds the steps from the last observed state to this one. `text_max` bounds the size of all texts, in bytes.
    pub fn observe(&mut self, seen: &Snapshot<'_>, clocks: Clocks, text_max: usize) {
        let now = self.millisecond(clocks.monotonic);
        let is_first = self.entries.is_empty();
        self.is_shown |= seen.is_shown;
        match seen.pod {
            Some(pod) => self.observe_pod(pod, seen, now, text_max),
            None if self.pod.is_some() && self.gone_at().is_none() => {
                self.entries.insert(Step::Gone, now, text_max);
            }
            None => {}
        }
        self.observe_service(seen, seen.is_listed || is_first, now, text_max);
        self.observe_readiness(seen, now, text_max);
        let is_expected = |name: &str| {
            EXPECTED.contains(&name) || (self.is_ending() && EXPECTED_AT_THE_END.contains(&name))
        };
        let trouble = seen.reason.as_ref().filter(|reason| !is_expected(&reason.name));
        if let Some(reason) = trouble
            && self.reason.as_ref() != Some(reason)
        {
            self.entries.warn(reason.clone(), now, text_max);
        }
        self.reason = trouble.cloned();
    }

    fn observe_pod(&mut self, pod: &ObservedPod, seen: &Snapshot<'_>, now: i64, text_max: usize) {
        let at = |theirs| time(theirs, seen.is_listed, now);
        let times = pod.times;
        if self.pod.is_none() {
            self.pod = Some(pod.uid.clone());
            self.entries.insert(Step::PodCreated, at(pod.created), text_max);
        }
        if times.scheduled.is_some() && !self.entries.has_rank(Step::Scheduled.rank()) {
            self.entries.insert(Step::Scheduled, at(times.scheduled), text_max);
        }
        // After a restart of the container the time is that of its last start, and the first one is not known any more.
        if times.started.is_some() && times.restarts == 0 && !self.entries.has_rank(Step::Started.rank()) {
            self.entries.insert(Step::Started, at(times.started), text_max);
        }
        // By number, because a time in whole seconds may be the same.
        if times.restarts > self.restarts {
            self.entries.insert(Step::Restarted, at(times.started), text_max);
            self.restarts = times.restarts;
        }
        if pod.terminating && !self.entries.has_rank(Step::Terminating.rank()) {
            self.entries.insert(Step::Terminating, now, text_max);
        }
    }

    fn observe_service(&mut self, seen: &Snapshot<'_>, is_old: bool, now: i64, text_max: usize) {
        let has_service = seen.service.is_some_and(|service| !service.terminating);
        // The time at which an old Service was created is not known.
        if has_service && !self.has_service && !is_old {
            self.entries.insert(Step::ServiceCreated, now, text_max);
        }
        if !has_service && self.has_service && seen.pod.is_some() && !self.is_ending() {
            self.entries.insert(Step::ServiceGone, now, text_max);
        }
        self.has_service = has_service;
    }

    fn observe_readiness(&mut self, seen: &Snapshot<'_>, now: i64, text_max: usize) {
        let pod = seen.pod.filter(|pod| pod.ready && !pod.terminating);
        let has_address = seen.service.is_some_and(|service| !service.terminating && service.url.is_some());
        let ready = pod.filter(|_| has_address);
        match ready {
            Some(pod) if !self.is_ready => {
                self.entries.insert(Step::Ready, time(pod.times.ready, seen.is_listed, now), text_max);
            }
            None if self.is_ready && !self.is_ending() => self.entries.insert(Step::NotReady, now, text_max),
            Some(_) | None => {}
        }
        self.is_ready = ready.is_some();
    }

    /// Adds a step that happened now or, if it was listed, at this time.
    pub fn record(&mut self, step: Step, listed_at: Option<Timestamp>, clocks: Clocks, text_max: usize) {
        let now = self.millisecond(clocks.monotonic);
        self.entries.insert(step, time(listed_at, true, now), text_max);
    }

    /// Adds a use.
    pub fn touch(&mut self, clocks: Clocks, text_max: usize) {
        let now = self.millisecond(clocks.monotonic);
        self.entries.touch(now, text_max);
    }

    /// Reports it.
    #[must_use]
    pub fn report(&self, clocks: Clocks) -> Report {
        Report::of(self.pod.clone(), &self.entries, self.millisecond(clocks.monotonic))
    }

    /// Returns whether the sandbox is being deleted.
    fn is_ending(&self) -> bool {
        self.entries.iter().any(|entry| entry.step.is_end())
    }

    fn gone_at(&self) -> Option<i64> {
        self.entries.iter().find(|entry| entry.step == Step::Gone).map(|entry| entry.at)
    }

    fn millisecond(&self, at: Instant) -> i64 {
        self.anchor.wall_at(at).as_millisecond()
    }
}

/// Returns the time of a step: now, or Kubernetes' own time of a step that a list has shown, if it is in the past.
fn time(theirs: Option<Timestamp>, is_listed: bool, now: i64) -> i64 {
    theirs.filter(|_| is_listed).map_or(now, |theirs| theirs.as_millisecond().min(now))
}
