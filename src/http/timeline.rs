//! `GET /api/sandboxes/{id}/timeline`: the steps of a sandbox, and the slowest one.

use std::time::Duration;

use jiff::Timestamp;
use lifecycle::{
    ids::SandboxId,
    phase::Reason,
    timeline::{Interval, Report, ReportedStep, Step},
};
use serde::Serialize;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    path::{self, PathId},
    responses,
};

/// The usual size of a response, in bytes: an id, a uid and ten steps.
const USUAL_SIZE: usize = 1024;

/// A timeline. Durations are in milliseconds.
#[derive(Debug, Serialize)]
struct Timeline<'a> {
    sandbox_id: &'a SandboxId,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_id: Option<&'a str>,
    /// Whether the Pod is gone.
    over: bool,
    /// Null until the sandbox was ready for the first time.
    ready_after_ms: Option<u64>,
    slowest: Option<Slowest<'a>>,
    /// The number of steps that are left out.
    omitted: u32,
    steps: Vec<Entry<'a>>,
}

/// The longest interval of the start.
#[derive(Debug, Serialize)]
struct Slowest<'a> {
    from: &'static str,
    /// Null if the sandbox has not come further.
    to: Option<&'static str>,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    #[serde(flatten)]
    words: Words<'a>,
}

/// A step.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    step: &'static str,
    at: Timestamp,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    #[serde(flatten)]
    words: Words<'a>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    repeated: Option<Repeated>,
}

/// How often a step came, and when for the last time.
#[derive(Debug, Serialize)]
struct Repeated {
    count: u32,
    last_at: Timestamp,
}

/// Why something happened, in the words of a GET.
#[derive(Debug, Default, Serialize)]
struct Words<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    path::timeline()
        .and(warp::get())
        .then(move |id| {
            let backend = backend.clone();
            async move { reply(answer(&backend, id).await) }
        })
        .boxed()
}

async fn answer<B: Backend>(backend: &B, id: PathId) -> Result<Response, ApiError> {
    let id = id.usable()?;
    match backend.timeline(&id).await? {
        Some(report) => responses::ok(&Timeline::new(&id, &report), USUAL_SIZE),
        None => Err(ApiError::no_sandbox(id.as_str()).after_reap(backend.reaped(&id))),
    }
}

// === impl Timeline ===

impl<'a> Timeline<'a> {
    fn new(id: &'a SandboxId, report: &'a Report) -> Self {
        Self {
            sandbox_id: id,
            container_id: report.pod.as_ref().map(|uid| &*uid.0),
            over: report.is_over,
            ready_after_ms: report.ready_after.map(milliseconds),
            slowest: report.slowest.as_ref().map(Slowest::from),
            omitted: report.omitted,
            steps: report.steps.iter().map(Entry::from).collect(),
        }
    }
}

impl<'a> From<&'a Interval> for Slowest<'a> {
    fn from(interval: &'a Interval) -> Self {
        Self {
            from: interval.from.name(),
            to: interval.to.as_ref().map(Step::name),
            duration_ms: milliseconds(interval.duration),
            image: interval.image(),
            words: interval.problem.as_deref().map(Words::from).unwrap_or_default(),
        }
    }
}

impl<'a> From<&'a ReportedStep> for Entry<'a> {
    fn from(ReportedStep { step, at, last_at, duration }: &'a ReportedStep) -> Self {
        let last_at = last_at.filter(|_| step.count() > 1);
        Self {
            step: step.name(),
            at: *at,
            duration_ms: milliseconds(*duration),
            image: step.image(),
            words: Words::of(step),
            repeated: last_at.map(|last_at| Repeated { count: step.count(), last_at }),
        }
    }
}

// === impl Words ===

impl<'a> Words<'a> {
    fn of(step: &'a Step) -> Self {
        let new = |reason, message| Self { reason, message: Some(message), hint: None };
        match step {
            Step::Warning(warning) => (&*warning.reason).into(),
            Step::Deleting(reason) => new(Some(reason.name()), reason.description()),
            Step::Reaped(reason) => new(Some(reason.name()), reason.description()),
            Step::Pulled { was_present: true, .. } => new(None, "the image was on the node already"),
            _ => Self::default(),
        }
    }
}

impl<'a> From<&'a Reason> for Words<'a> {
    fn from(reason: &'a Reason) -> Self {
        Self { reason: Some(&reason.name), message: reason.message.as_deref(), hint: reason.hint() }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
