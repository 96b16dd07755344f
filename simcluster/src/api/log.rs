//! The log of a Pod's container. Containers do not really run, so the lines are simulated.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::body::{Body, ConnectionLost};
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
    lines: Vec<(Timestamp, String)>,
    is_over: bool,
}

/// A log that is followed.
struct Follower {
    shared: Arc<Shared>,
    namespace: String,
    name: String,
    uid: String,
    container: String,
    /// When the run started. A later run is not part of the log.
    started: Timestamp,
    stamped: bool,
    /// The number of lines that have been sent or left out.
    passed: usize,
    /// The text that is sent first.
    first: Option<String>,
    changed: watch::Receiver<u64>,
    link: watch::Receiver<Link>,
    cuts: u64,
    ended: bool,
}

/// Answers a request for a log.
pub(super) fn log(shared: &Arc<Shared>, target: &Target, request: &Request) -> ApiResult<Reply> {
    let (found, changed) = {
        let state = shared.state();
        (state.store.get(PODS, target.space(), target.named()), state.store.subscribe(PODS))
    };
    let pod = found.ok_or_else(|| ApiError::not_found(PODS, target.named()))?;
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
    if is_over || !query.is_on("follow") {
        return Ok(Reply { body: Body::full(text), ..Reply::text(StatusCode::OK, "") });
    }
    let link = shared.link.subscribe();
    let cuts = link.borrow().cuts;
    let follower = Follower {
        shared: Arc::clone(shared),
        namespace: pod.namespace().to_owned(),
        name: pod.name().to_owned(),
        uid: text_at(pod.value(), &["metadata", "uid"]).to_owned(),
        container: container.to_owned(),
        started,
        stamped,
        passed: lines.len(),
        first: Some(text),
        changed,
        link,
        cuts,
        ended: false,
    };
    let body = Body::stream(stream::unfold(follower, |mut follower| async move {
        let part = follower.next().await?;
        Some((part, follower))
    }));
    Ok(Reply { body, ..Reply::text(StatusCode::OK, "") })
}

fn shown(lines: &[(Timestamp, String)], stamped: bool) -> String {
    let line = |(time, line): &(Timestamp, String)| {
        if stamped { format!("{time} {line}\n") } else { format!("{line}\n") }
    };
    lines.iter().map(line).collect()
}

// === impl Follower ===

impl Follower {
    /// Returns the next lines; `None` at the end of the container.
    async fn next(&mut self) -> Option<Result<Bytes, ConnectionLost>> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Some(Ok(first.into()));
        }
        loop {
            if self.ended {
                return None;
            }
            let link = *self.link.borrow_and_update();
            if link.away || link.cuts != self.cuts {
                self.ended = true;
                return Some(Err(ConnectionLost::Reset));
            }
            self.changed.borrow_and_update();
            let pod = self.shared.state().store.get(PODS, &self.namespace, &self.name)?;
            if text_at(pod.value(), &["metadata", "uid"]) != self.uid {
                return None;
            }
            let run = run(&pod, &self.container, false).ok()?;
            if run.started != self.started {
                return None;
            }
            self.ended = run.is_over;
            let news = shown(run.lines.get(self.passed..).unwrap_or_default(), self.stamped);
            self.passed = run.lines.len();
            if !news.is_empty() {
                return Some(Ok(news.into()));
            }
            if !self.ended {
                tokio::select! {
                    changed = self.link.changed() => changed.ok()?,
                    changed = self.changed.changed() => changed.ok()?,
                }
            }
        }
    }
}

/// Returns the selected container. The name is optional if there is only one.
fn choose<'a>(pod: &'a Object, asked: Option<&str>) -> ApiResult<&'a str> {
    let names: Vec<&str> = ["containers", "initContainers"]
        .into_iter()
        .filter_map(|list| pod.value()["spec"][list].as_array())
        .flatten()
        .map(|container| text_at(container, &["name"]))
        .collect();
    let plain = pod.value()["spec"]["containers"].as_array().map_or(0, Vec::len);
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
        .filter_map(|list| pod.value()["status"][list].as_array())
        .flatten()
        .find(|status| status["name"] == container);
    let state = if previous { "lastState" } else { "state" };
    let waiting = |reason: &str| {
        let why = match reason {
            "" | "ContainerCreating" | "PodInitializing" => {
                format!(
                    "container {container:?} in pod {:?} is waiting to start: {}",
                    pod.name(),
                    if reason.is_empty() { "ContainerCreating" } else { reason }
                )
            }
            reason if reason.contains("Image") => format!(
                "container {container:?} in pod {:?} is waiting to start: trying and failing to pull image",
                pod.name()
            ),
            reason => {
                format!("container {container:?} in pod {:?} is waiting to start: {reason}", pod.name())
            }
        };
        ApiError::bad_request(why)
    };
    let Some(status) = status else { return Err(waiting("")) };
    let time = |path: &[&str]| text_at(&status[state], path).parse::<Timestamp>().ok();
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
    let started = ended
        .map_or_else(|| time(&["running", "startedAt"]), |ended| text_at(ended, &["startedAt"]).parse().ok());
    let Some(started) = started else {
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
