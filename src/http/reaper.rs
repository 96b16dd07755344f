//! `GET /api/reaper` and `POST /api/reaper/resume`: the state of the reaper, and how an operator resumes it.

use fleet::backend::ReaperState;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::reply,
    openapi::{Endpoint, Tag},
    path, responses,
};

/// The state of the reaper.
#[derive(Serialize, ToSchema)]
#[schema(as = Reaper)]
struct State {
    /// Until when it is stopped; null if it is not stopped.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    stopped_until: Option<jiff::Timestamp>,
    /// How many sandboxes it has reaped since the start.
    reaped: u64,
    /// How many it would have reaped, if this is a dry run. The field keeps its name for existing clients.
    rehearsed: u64,
}

/// The answer to a resume.
#[derive(Serialize, ToSchema)]
#[schema(as = ResumedReaper)]
struct Resumed {
    /// Always true.
    ok: bool,
    /// Whether it was stopped before.
    was_stopped: bool,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let state = json!({"stopped_until": null, "reaped": 12, "rehearsed": 0});
    vec![
        Endpoint::get("/api/reaper", "getReaper", Tag::Operation, "Return the state of the reaper")
            .ok::<State>("The state of the reaper", state),
        Endpoint::post("/api/reaper/resume", "resumeReaper", Tag::Operation, "Resume the reaper")
            .text(
                "The reap limits stop the reaper when too many sandboxes are due at once. A body is ignored.",
            )
            .ok::<Resumed>("The reaper runs", json!(Resumed { ok: true, was_stopped: true })),
    ]
}

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    let reaper = backend.clone();
    let state =
        path::reaper().and(warp::get()).map(move || reply(responses::ok(&State::from(reaper.reaper()), 96)));
    let resume = path::reaper_resume()
        .and(warp::post())
        .map(move || reply(responses::ok(&Resumed { ok: true, was_stopped: backend.resume_reaping() }, 48)));
    state.or(resume).unify().boxed()
}

// === impl State ===

impl From<ReaperState> for State {
    fn from(ReaperState { stopped_until, reaped, dry_runs }: ReaperState) -> Self {
        Self { stopped_until: stopped_until.map(responses::to_the_millisecond), reaped, rehearsed: dry_runs }
    }
}
