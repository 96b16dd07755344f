//! `GET /api/sandboxes/{id}/timeline`: the steps of a sandbox, and the slowest one.

use std::time::Duration;

use jiff::Timestamp;
use lifecycle::{
    ids::SandboxId,
    phase::Reason,
    timeline::{Interval, Report, ReportedStep, Step},
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    openapi::{
        Endpoint, Tag, failures,
        names::{one_of, stand_in},
    },
    path::{self, PathId},
    responses,
};

/// The usual size of a response, in bytes: an id, a uid and ten steps.
const USUAL_SIZE: usize = 1024;

/// A timeline. Durations are in milliseconds.
#[derive(Debug, Serialize, ToSchema)]
struct Timeline<'a> {
    /// Its id.
    #[schema(value_type = String)]
    sandbox_id: &'a SandboxId,
    /// The uid of the Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    container_id: Option<&'a str>,
    /// Whether the Pod is gone.
    over: bool,
    /// The time from the first step to the first `ready`. Null until then.
    #[schema(required)]
    ready_after_ms: Option<u64>,
    /// The longest interval of the start, or null.
    #[schema(required)]
    slowest: Option<Slowest<'a>>,
    /// The number of steps that are left out.
    omitted: u32,
    /// Each step, in order of time.
    steps: Vec<Entry<'a>>,
}

/// The longest interval of the start.
#[derive(Debug, Serialize, ToSchema)]
struct Slowest<'a> {
    /// The step that began the interval.
    #[schema(value_type = StepName)]
    from: &'static str,
    /// Null if the sandbox has not come further.
    #[schema(value_type = Option<StepName>, required)]
    to: Option<&'static str>,
    /// How long it took, or has taken until now.
    duration_ms: u64,
    /// The image whose pull took the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    #[serde(flatten)]
    words: Words<'a>,
}

/// A step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TimelineStep)]
struct Entry<'a> {
    /// Its name.
    #[schema(value_type = StepName)]
    step: &'static str,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The time since the step before.
    duration_ms: u64,
    /// The image of a pull.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    #[serde(flatten)]
    words: Words<'a>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    repeated: Option<Repeated>,
}

/// How often a step came, and when for the last time.
#[derive(Debug, Serialize, ToSchema)]
struct Repeated {
    /// How often it came without another step in between.
    count: u32,
    /// The last time.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
}

/// Why something happened, in the words of a GET.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Words<'a> {
    /// The name of the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// The message of the cluster, or of the daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// Advice for an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let example = json!({
        "sandbox_id": "abc-123", "container_id": "05dbb36a-246c-42d5-9253-98f69b6e5be7", "over": false,
        "ready_after_ms": 8, "slowest": {"from": "creating", "to": "pod_created", "duration_ms": 5}, "omitted": 0,
        "steps": [
            {"step": "accepted", "at": "2026-11-26T08:44:41.416Z", "duration_ms": 0},
            {"step": "creating", "at": "2026-11-26T08:44:41.417Z", "duration_ms": 1},
        ],
    });
    vec![
        Endpoint::get("/api/sandboxes/{id}/timeline", "getTimeline", Tag::Sandboxes, "Return the steps of a sandbox")
            .text("Says where the time of a start went, and how a sandbox ended. It is kept for an hour after the end.")
            .ok::<Timeline<'_>>("The timeline", example)
            .fails(failures::reads())
            .fails(failures::no_sandbox()),
    ]
}

stand_in!(
    StepName,
    "TimelineStepName",
    "The name of a step.",
    one_of([
        "accepted",
        "predecessor_gone",
        "creating",
        "pod_created",
        "service_created",
        "scheduled",
        "pulling",
        "pulled",
        "started",
        "restarted",
        "ready",
        "not_ready",
        "service_gone",
        "touched",
        "warning",
        "deleting",
        "reaped",
        "terminating",
        "gone",
    ])
);

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
