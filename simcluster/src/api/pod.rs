//! The binding of a Pod to a node.

use http::StatusCode;
use serde_json::json;

use super::options;
use super::update::find;
use crate::fields::items;
use crate::reply::Reply;
use crate::request::Request;
use crate::resource::PODS;
use crate::route::Target;
use crate::shared::Shared;
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::text_at;

/// Binds a Pod to a node, as a scheduler does.
pub(super) fn bind(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let body = options::parse_or_refuse(request, "the binding")?;
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
    let pod = find(&state, target)?;
    let conflict = |why: String| ApiError::conflict("pods/binding", pod.name(), &why);
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
        let others = items(&value["status"]["conditions"]).filter(|other| other["type"] != "PodScheduled");
        value["status"]["conditions"] = std::iter::once(&condition).chain(others).cloned().collect();
        state.store.put(PODS, value);
    }
    drop(state);
    Ok(Reply::success(StatusCode::CREATED, None))
}
