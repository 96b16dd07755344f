//! The status that a kubelet (or, without one, the control plane) reports of a Pod at each stage of its life. Pure.

use serde_json::{Value, json};

use super::container;
use super::life::{Circumstances, Stage};
use super::resources::{allocated, in_force};
use crate::behaviour::Course;
use crate::fields::{has_ended, items, pod_condition, transition_time};
use crate::store::text_at;

/// Values for the status that are not in the Pod.
#[derive(Debug)]
pub(super) struct Context {
    /// The time, as Kubernetes writes it.
    pub now: String,
    /// The number of the Pod's address.
    pub address: u32,
    /// Tells this container apart from others.
    pub container: u64,
    /// The node's name.
    pub node: String,
    /// The node's address.
    pub host: String,
}

/// Writes the scheduler's decision.
pub(super) fn unschedulable(pod: &mut Value, why: &str, now: &str) {
    let why = (Some("Unschedulable"), Some(why));
    pod["status"]["conditions"] = json!([pod_condition(pod, "PodScheduled", false, why, now)]);
}

/// Writes a Pod's status as it is once it has reached a stage.
pub(super) fn write(pod: &mut Value, stage: Stage, around: &Circumstances<'_>, context: &Context) {
    match stage {
        Stage::Scheduled => {
            pod["status"]["conditions"] = json!([{
                "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": context.now,
            }]);
            return;
        }
        Stage::Lost => return lose(pod, around.behaviour.course, context),
        Stage::Abandoned => {
            // The Pod is to go, and its node does not answer.
            let why = "Taint manager: deleting due to NoExecute taint";
            blame_node(pod, context);
            return disrupt(pod, "DeletionByTaintManager", why, &context.now);
        }
        // Only Events tell of these.
        Stage::MountFailed(_) | Stage::Pulling(_) | Stage::Unready(_, 0)
            if pod["status"]["containerStatuses"][0]["ready"] != true =>
        {
            return;
        }
        Stage::New
        | Stage::InitGoesOn(_)
        | Stage::Tried(_)
        | Stage::Unschedulable
        | Stage::Binding
        | Stage::Stopping
        | Stage::Gone => return,
        _ => {}
    }
    pod["status"]["observedGeneration"] = pod["metadata"]["generation"].clone();
    if pod["status"].get("startTime").is_none() {
        pod["status"]["startTime"] = context.now.as_str().into();
        pod["status"]["hostIP"] = context.host.as_str().into();
        pod["status"]["hostIPs"] = json!([{"ip": context.host}]);
        pod["status"]["resources"] = json!({});
        let allocated = allocated(pod);
        if !allocated.is_empty() {
            pod["status"]["allocatedResources"] = allocated.into();
        }
    }
    write_resources(pod, stage);
    if needs_address(pod, stage) {
        let [_, b, c, d] = context.address.to_be_bytes();
        let address = format!("10.{}.{c}.{d}", 244_u8.wrapping_add(b));
        pod["status"]["podIPs"] = json!([{"ip": address}]);
        pod["status"]["podIP"] = address.into();
    }
    container::write(pod, stage, around, context);
    write_phase(pod, stage);
    write_conditions(pod, stage, &context.now);
    if stage == Stage::Evicted {
        // The kubelet ended the Pod because memory is low.
        let message = eviction_message(pod);
        pod["status"]["reason"] = "Evicted".into();
        pod["status"]["message"] = message.as_str().into();
        disrupt(pod, "TerminationByKubelet", &message, &context.now);
    }
}

/// Whether a Pod gets its address at a stage: the first report after its network is up shows it.
pub(super) fn needs_address(pod: &Value, stage: Stage) -> bool {
    let early =
        matches!(stage, Stage::Accepted | Stage::MountFailed(_) | Stage::Networked | Stage::Pulling(_));
    let late = stage.is_stopping() || stage.is_over();
    !early && !late && pod["status"].get("podIP").is_none()
}

/// The Pod's limits as the kernel has them, once the kubelet has looked at a container that runs.
fn write_resources(pod: &mut Value, stage: Stage) {
    match stage {
        Stage::Synced(_)
        | Stage::Unready(..)
        | Stage::Killed(_)
        | Stage::Exited(_)
        | Stage::BackOff(_)
        | Stage::RunFailed(_)
        | Stage::Failed
        | Stage::StopSeen
            if pod["status"].get("podIP").is_some() =>
        {
            pod["status"]["resources"] = in_force(pod);
        }
        Stage::Cleaned | Stage::Succeeded => pod["status"]["resources"] = json!({}),
        _ => {}
    }
}

fn write_phase(pod: &mut Value, stage: Stage) {
    let phase = match stage {
        Stage::Accepted
        | Stage::Networked
        | Stage::Init(_)
        | Stage::PullFailed(_)
        | Stage::PullBackOff(_)
        | Stage::NeverPulled(_) => "Pending",
        Stage::Started(_)
        | Stage::Booted(_)
        | Stage::Ready(_)
        | Stage::Synced(_)
        | Stage::Unready(..)
        | Stage::Killed(_)
        | Stage::Exited(_)
        | Stage::RunFailed(_)
        | Stage::BackOff(_) => "Running",
        Stage::Failed | Stage::Evicted => "Failed",
        Stage::Stopped(_) if container::failed(pod) => "Failed",
        Stage::Succeeded | Stage::Stopped(_) => "Succeeded",
        _ => return,
    };
    pod["status"]["phase"] = phase.into();
    // The reason is left from a node that is back.
    if text_at(pod, &["status", "reason"]) == "NodeLost"
        && let Some(status) = pod["status"].as_object_mut()
    {
        status.remove("reason");
        status.remove("message");
    }
}

fn write_conditions(pod: &mut Value, stage: Stage, now: &str) {
    let name = |container| text_at(container, &["name"]);
    let names: Vec<_> = items(&pod["spec"]["containers"]).map(name).collect();
    let unready = format!("containers with unready status: [{}]", names.join(" "));
    let inits = items(&pod["status"]["initContainerStatuses"]);
    let incomplete: Vec<_> = inits.filter(|s| s["ready"] != true).map(name).collect();
    let uninitialized = format!("containers with incomplete status: [{}]", incomplete.join(" "));
    let phase = text_at(pod, &["status", "phase"]).to_owned();
    let ready =
        pod["status"]["containerStatuses"].as_array().is_some_and(|l| l.iter().all(|s| s["ready"] == true));
    let over = has_ended(pod);
    let networked = !over && !matches!(stage, Stage::Accepted | Stage::MountFailed(_));
    let (why, message) = match phase.as_str() {
        "Succeeded" => (Some("PodCompleted"), None),
        "Failed" => (Some("PodFailed"), None),
        _ if ready => (None, None),
        _ => (Some("ContainersNotReady"), Some(unready.as_str())),
    };
    let initialized = over || incomplete.is_empty();
    let (init_why, init_message) = match (phase.as_str(), initialized) {
        ("Succeeded", _) => (Some("PodCompleted"), None),
        (_, false) => (Some("ContainersNotInitialized"), Some(uninitialized.as_str())),
        _ => (None, None),
    };
    let owned = [
        ("PodReadyToStartContainers", networked, None, None),
        ("Initialized", initialized, init_why, init_message),
        ("Ready", ready, why, message),
        ("ContainersReady", ready, why, message),
        ("PodScheduled", true, None, None),
    ];
    let mut conditions: Vec<_> = owned
        .into_iter()
        .map(|(kind, holds, reason, message)| {
            let since = transition_time(pod, kind, if holds { "True" } else { "False" }, now);
            pod_condition(pod, kind, holds, (reason, message), since)
        })
        .collect();
    // Conditions of others (of the eviction, say) stay.
    let others =
        items(&pod["status"]["conditions"]).filter(|c| owned.iter().all(|(kind, ..)| c["type"] != *kind));
    conditions.extend(others.cloned());
    pod["status"]["conditions"] = conditions.into();
}

/// Returns the kubelet's message for an eviction. The amounts are made up; the wording is the kubelet's.
pub(super) fn eviction_message(pod: &Value) -> String {
    let container = &pod["spec"]["containers"][0];
    let request = text_at(container, &["resources", "requests", "memory"]);
    format!(
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 98312Ki. Container {} was using \
         204800Ki, request is {}, has larger consumption of memory. ",
        text_at(container, &["name"]),
        if request.is_empty() { "0" } else { request },
    )
}

/// The node controller's word on a Pod whose node is silent.
fn lose(pod: &mut Value, course: Course, context: &Context) {
    for condition in pod["status"]["conditions"].as_array_mut().into_iter().flatten() {
        if condition["type"] == "Ready" && condition["status"] == "True" {
            condition["status"] = "False".into();
            condition["lastTransitionTime"] = context.now.as_str().into();
        }
    }
    if course == Course::Unknown {
        pod["status"]["phase"] = "Unknown".into();
        blame_node(pod, context);
    }
}

fn blame_node(pod: &mut Value, context: &Context) {
    let name = text_at(pod, &["metadata", "name"]);
    let message = format!("Node {} which was running pod {name} is unresponsive", context.node);
    pod["status"]["reason"] = "NodeLost".into();
    pod["status"]["message"] = message.into();
}

fn disrupt(pod: &mut Value, reason: &str, message: &str, now: &str) {
    let condition = pod_condition(pod, "DisruptionTarget", true, (Some(reason), Some(message)), now);
    if let Some(list) = pod["status"]["conditions"].as_array_mut() {
        list.retain(|c| c["type"] != "DisruptionTarget");
        list.push(condition);
    }
}
