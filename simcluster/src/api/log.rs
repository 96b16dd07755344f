//! The log of a Pod's container. Containers do not really run, so the lines are simulated.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, future, stream};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::update::find;
use crate::body::{Body, ConnectionLost};
use crate::fields::items;
use crate::reply::Reply;
use crate::request::Request;
use crate::resource::PODS;
use crate::route::Target;
use crate::shared::{Link, Shared};
use crate::status::{ApiError, ApiResult};
use crate::store::{Object, text_at};

/// One run of a container, which ends with a restart.
struct Run {
    started: Timestamp,
    /// The line of its start, and that of its end.
    lines: Vec<(Timestamp, String)>,
    is_over: bool,
}

/// A log that is followed until the run ends.
struct FollowedRun {
    shared: Arc<Shared>,
    pod: Object,
    container: String,
    /// When the run started. A later run is not part of the log.
    started: Timestamp,
    stamped: bool,
    changed: watch::Receiver<u64>,
    link: watch::Receiver<Link>,
    cuts: u64,
}

/// Answers a request for a log.
pub(super) fn log(shared: &Arc<Shared>, target: &Target, request: &Request) -> ApiResult<Reply> {
    let (found, changed) = {
        let state = shared.state();
        (find(&state, target), state.store.subscribe(PODS))
    };
    let pod = found?;
    let query = &request.query;
    let container = choose(&pod, query.get("container"))?;
    // The real server answers so, because nothing can be asked.
    if text_at(pod.value(), &["spec", "nodeName"]).is_empty() {
        return Ok(Reply::text(StatusCode::OK, ""));
    }
    let Run { started, lines, is_over } = run(&pod, container, query.is_on("previous"))?;
    let since = query.number::<i64>("sinceSeconds").map(SignedDuration::from_secs);
    let oldest = since.and_then(|since| shared.clock.now().checked_sub(since).ok());
    let tail = query.number::<usize>("tailLines").unwrap_or(usize::MAX);
    let stamped = query.is_on("timestamps");
    let old = lines.iter().take_while(|(time, _)| oldest.is_some_and(|oldest| *time < oldest)).count();
    let text = shown(&lines[old.max(lines.len().saturating_sub(tail))..], stamped);
    let limit = query.number::<usize>("limitBytes").unwrap_or(usize::MAX);
    let text = text[..text.floor_char_boundary(limit)].to_owned();
    let body = if is_over || !query.is_on("follow") {
        Body::full(text)
    } else {
        let container = container.to_owned();
        let link = shared.link.subscribe();
        let cuts = link.borrow().cuts;
        let shared = Arc::clone(shared);
        let followed = FollowedRun { shared, pod, container, started, stamped, changed, link, cuts };
        let first = (!text.is_empty()).then(|| Ok(text.into()));
        Body::stream(stream::iter(first).chain(stream::once(followed.end()).filter_map(future::ready)))
    };
    Ok(Reply { body, ..Reply::text(StatusCode::OK, "") })
}

fn shown(lines: &[(Timestamp, String)], stamped: bool) -> String {
    let line = |(time, line): &(Timestamp, String)| {
        if stamped { format!("{time} {line}\n") } else { format!("{line}\n") }
    };
    lines.iter().map(line).collect()
}

// === impl FollowedRun ===

impl FollowedRun {
    /// Waits for the end of the run and returns its line; `None` if the run does not exist anymore.
    async fn end(mut self) -> Option<Result<Bytes, ConnectionLost>> {
        loop {
            let link = *self.link.borrow_and_update();
            if link.away || link.cuts != self.cuts {
                return Some(Err(ConnectionLost::Reset));
            }
            self.changed.borrow_and_update();
            let pod = self.shared.state().store.get(PODS, self.pod.namespace(), self.pod.name())?;
            if pod.uid() != self.pod.uid() {
                return None;
            }
            let run = run(&pod, &self.container, false).ok().filter(|run| run.started == self.started)?;
            if run.is_over {
                let last = shown(&run.lines[1..], self.stamped);
                return (!last.is_empty()).then(|| Ok(last.into()));
            }
            tokio::select! {
                changed = self.link.changed() => changed.ok()?,
                changed = self.changed.changed() => changed.ok()?,
            }
        }
    }
}

/// Returns the selected container. The name is optional if there is only one.
fn choose<'a>(pod: &'a Object, asked: Option<&str>) -> ApiResult<&'a str> {
    let names: Vec<&str> = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| items(&pod.value()["spec"][list]))
        .map(|container| text_at(container, &["name"]))
        .collect();
    let plain = items(&pod.value()["spec"]["containers"]).count();
    match asked {
        Some(asked) => names.into_iter().find(|name| *name == asked).ok_or_else(|| {
            ApiError::bad_request(format!("container {asked} is not valid for pod {}", pod.name()))
        }),
        None if plain == 1 => Ok(names[0]),
        None => Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {}, choose one of: [{}]",
            pod.name(),
            names[..plain].join(" ")
        ))),
    }
}

/// Returns the run of a container that a log is about.
fn run(pod: &Object, container: &str, previous: bool) -> ApiResult<Run> {
    let status = ["containerStatuses", "initContainerStatuses"]
        .into_iter()
        .flat_map(|list| items(&pod.value()["status"][list]))
        .find(|status| status["name"] == container);
    let state = if previous { "lastState" } else { "state" };
    let waiting = |reason: &str| {
        let why = match reason {
            "" => "ContainerCreating",
            reason if reason.contains("Image") => "trying and failing to pull image",
            reason => reason,
        };
        let name = pod.name();
        ApiError::bad_request(format!("container {container:?} in pod {name:?} is waiting to start: {why}"))
    };
    let Some(status) = status else { return Err(waiting("")) };
    if previous && status[state]["terminated"].is_null() {
        return Err(ApiError::bad_request(format!(
            "previous terminated container {container:?} in pod {:?} not found",
            pod.name()
        )));
    }
    let ended = if status[state]["terminated"].is_null()
        && status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    {
        Some(&status["lastState"]["terminated"])
    } else {
        status[state].get("terminated")
    };
    let Ok(started) = text_at(ended.unwrap_or(&status[state]["running"]), &["startedAt"]).parse() else {
        return Err(waiting(text_at(status, &["state", "waiting", "reason"])));
    };
    let mut lines = vec![(started, format!("{container} started in pod {}/{}", pod.namespace(), pod.name()))];
    if let Some(ended) = ended
        && let Ok(finished) = text_at(ended, &["finishedAt"]).parse()
    {
        lines.push((finished, format!("{container} ended with exit code {}", ended["exitCode"])));
    }
    Ok(Run { started, lines, is_over: ended.is_some() })
}
