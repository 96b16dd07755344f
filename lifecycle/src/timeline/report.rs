//! The report of a timeline: each step with its time and duration, and the slowest one.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    entries::{Entries, Entry},
    step::Step,
};
use crate::{observed::Uid, phase::Reason};

/// A timeline, as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The uid of the Pod; `None` before it exists.
    pub pod: Option<Uid>,
    /// The steps, in order of time.
    pub steps: Vec<ReportedStep>,
    /// The time from the first step until the URL worked for the first time; `None` before that.
    pub ready_after: Option<Duration>,
    /// The longest interval of the start; `None` if there was only one step.
    pub slowest: Option<Interval>,
    /// The number of steps that are left out.
    pub omitted: u32,
    /// Whether the Pod is gone.
    pub is_over: bool,
}

/// A step of a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedStep {
    /// The step.
    pub step: Step,
    /// When it happened, for the first time if it stands for several.
    pub at: Timestamp,
    /// When it last happened, if it stands for several.
    pub last_at: Option<Timestamp>,
    /// The time since the step before. Uses and warnings do not count as steps before.
    pub duration: Duration,
}

/// The time between two steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// The step at its begin.
    pub from: Step,
    /// The step at its end; `None` if it has not come yet.
    pub to: Option<Step>,
    /// Its length.
    pub duration: Duration,
    /// The last problem in it.
    pub problem: Option<Arc<Reason>>,
}

/// An interval: the entries at its begin and end, and its end.
type Span<'a> = (&'a Entry, Option<&'a Entry>, i64);

// === impl Report ===

impl Report {
    /// Reports these entries at this time, in milliseconds since the Unix epoch.
    pub(super) fn of(pod: Option<Uid>, entries: &Entries, now: i64) -> Self {
        let is_over = entries.iter().any(|entry| entry.step == Step::Gone);
        let first = entries.iter().next();
        let is_begin = |entry: &&Entry| matches!(entry.step, Step::Accepted | Step::PodCreated);
        let ready = entries.iter().find(|entry| entry.step == Step::Ready);
        let ready_after = first.filter(is_begin).zip(ready).map(|(first, ready)| between(first.at, ready.at));
        Self {
            pod,
            steps: steps(entries),
            ready_after,
            slowest: slowest(entries, if is_over { None } else { Some(now) }),
            omitted: entries.omitted(),
            is_over,
        }
    }
}

// === impl Interval ===

impl Interval {
    /// Returns the image whose pull took the time.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        match (&self.from, &self.to) {
            (_, Some(to @ Step::Pulled { was_present: false, .. })) => to.image(),
            (from @ Step::Pulling(_), _) => from.image(),
            _ => None,
        }
    }
}

fn steps(entries: &Entries) -> Vec<ReportedStep> {
    let mut before = None;
    let report = |entry: &Entry| {
        let step = ReportedStep {
            step: entry.step.clone(),
            at: timestamp(entry.at),
            last_at: entry.step.last().map(timestamp),
            duration: between(before.unwrap_or(entry.at), entry.at),
        };
        if entry.step.is_progress() {
            before = Some(entry.at);
        }
        step
    };
    entries.iter().map(report).collect()
}

/// Returns the longest interval between two steps up to readiness. Before that the time since the last step counts, unless
/// the sandbox is over.
fn slowest(entries: &Entries, now: Option<i64>) -> Option<Interval> {
    // A restart of the container is a part of the interval in which it fails.
    let is_counted = |entry: &&Entry| entry.step.is_progress() && entry.step != Step::Restarted;
    let steps = || entries.iter().filter(is_counted);
    let is_ready = |entry: &Entry| entry.step == Step::Ready;
    let count = steps().position(is_ready).map_or(usize::MAX, |index| index + 1);
    let start = steps().take(count);
    let open =
        now.filter(|_| count == usize::MAX).and_then(|now| steps().next_back().map(|last| (last, None, now)));
    let closed = start.clone().zip(start.skip(1)).map(|(from, to)| (from, Some(to), to.at));
    let (from, to, until) = closed.chain(open).reduce(longer).filter(|(from, _, until)| *until > from.at)?;
    Some(Interval {
        from: from.step.clone(),
        to: to.map(|to| to.step.clone()),
        duration: between(from.at, until),
        problem: problem(entries, from.at, until),
    })
}

/// Returns the longer one of two intervals, the first one if they are equally long.
fn longer<'a>(first: Span<'a>, second: Span<'a>) -> Span<'a> {
    let length = |(from, _, until): &Span<'_>| until - from.at;
    if length(&second) > length(&first) { second } else { first }
}

/// Returns the last problem in an interval.
fn problem(entries: &Entries, from: i64, until: i64) -> Option<Arc<Reason>> {
    entries.iter().rev().find_map(|entry| match &entry.step {
        Step::Warning(warning) if entry.at <= until && from <= warning.last => Some(warning.reason.clone()),
        _ => None,
    })
}

fn between(from: i64, to: i64) -> Duration {
    Duration::from_millis(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}
