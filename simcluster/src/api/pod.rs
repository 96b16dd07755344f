//! The subresources of a Pod: its log and its binding to a node.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use super::options;
use crate::body::Body;
use crate::reply::Reply;
use crate::request::Request;
use crate::resource::PODS;
use crate::route::Target;
use crate::shared::Shared;
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::{Object, text_at};

/// Returns a Pod's `log`. Containers do not really run, so the lines are simulated. `follow` ends immediately.
pub(super) fn log(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let found = shared.state().store.get(PODS, target.space(), target.named());
    let pod = found.ok_or_else(|| ApiError::not_found(PODS, target.named()))?;
    let container = choose(&pod, request.query.get("container"))?;
    let lines = lines(&pod, container, request.query.is_on("previous"))?;
    let tail = request.query.number::<usize>("tailLines").unwrap_or(usize::MAX);
    let limit = request.query.number::<usize>("limitBytes").unwrap_or(usize::MAX);
    let stamped = request.query.is_on("timestamps");
    let text: String = lines
        .iter()
        .skip(lines.len().saturating_sub(tail))
        .map(|(time, line)| if stamped { format!("{time} {line}\n") } else { format!("{line}\n") })
        .collect();
    let text = text[..text.floor_char_boundary(limit)].to_owned();
    Ok(Reply { body: Body::full(text), ..Reply::text(StatusCode::OK, "") })
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

/// Returns the lines of a container's log with their times.
fn lines(pod: &Object, container: &str, previous: bool) -> ApiResult<Vec<(Timestamp, String)>> {
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
    let mut lines = Vec::new();
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
    lines.push((started, format!("{container} started in pod {}/{}", pod.namespace(), pod.name())));
    if let Some(ended) = ended
        && let Ok(finished) = text_at(ended, &["finishedAt"]).parse()
    {
        lines.push((finished, format!("{container} ended with exit code {}", ended["exitCode"])));
    }
    Ok(lines)
}

/// Binds a Pod to a node, as a scheduler does.
pub(super) fn bind(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let body = options::parse(request)?
        .map_err(|error| ApiError::bad_request(format!("the binding could not be read: {error:?}")))?;
    let node = text_at(&body, &["target", "name"]).to_owned();
    let kind = text_at(&body, &["target", "kind"]);
    let mut causes = Vec::new();
    if !["", "Node"].contains(&kind) {
        causes.push(Cause::unsupported("target.kind", kind, &["Node", "<empty>"]));
    }
    if node.is_empty() {
        causes.push(Cause::required("target.name", ""));
    }
    if !causes.is_empty() {
        return Err(ApiError::invalid_kind("", "Binding", target.named(), &causes));
    }
    let mut state = shared.state();
    let found = state.store.get(PODS, target.space(), target.named());
    let pod = found.ok_or_else(|| ApiError::not_found(PODS, target.named()))?;
    let conflict = |why: String| {
        let message = format!("Operation cannot be fulfilled on pods/binding {:?}: {why}", pod.name());
        ApiError::new(StatusCode::CONFLICT, "Conflict", message)
            .with_details(json!({"name": pod.name(), "kind": "pods/binding"}))
    };
    if pod.terminating() {
        return Err(conflict(format!("pod {} is being deleted, cannot be assigned to a host", pod.name())));
    }
    let bound = text_at(pod.value(), &["spec", "nodeName"]);
    if !bound.is_empty() {
        return Err(conflict(format!("pod {} is already assigned to node {bound:?}", pod.name())));
    }
    if !options::is_dry_run(&request.query) {
        let mut value = pod.value().clone();
        value["spec"]["nodeName"] = node.into();
        // A binding does not increment the generation.
        let generation = value["metadata"]["generation"].clone();
        let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null,
            "lastTransitionTime": shared.clock.stamp(), "observedGeneration": generation});
        let conditions = value["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let others = conditions.into_iter().filter(|other| other["type"] != "PodScheduled");
        value["status"]["conditions"] = std::iter::once(condition).chain(others).collect();
        state.store.put(PODS, value);
    }
    drop(state);
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    Ok(Reply::json(StatusCode::CREATED, status.to_string()))
}
