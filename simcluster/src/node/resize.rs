//! Resizing in place: the kubelet's decision about a Pod whose spec has other resources than its containers. Pure.

use serde_json::Value;

use super::container::{KILLED, end};
use super::resources::{Amount, allocated, in_force};
use crate::fields::{items, pod_condition, transition_time};
use crate::store::text_at;

/// A kubelet's decision on a resize.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// The node has room: the resources are allocated now and in force after a moment.
    Allocate,
    /// The node has no room at present.
    Deferred(String),
    /// The node is too small.
    Infeasible(String),
}

/// The conditions of a Pod that is being resized.
const PENDING: &str = "PodResizePending";
const IN_PROGRESS: &str = "PodResizeInProgress";
const LISTS: [(&str, &str); 2] =
    [("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")];

/// Whether a container that exists has other resources than the spec asks for.
pub(super) fn is_wanted(pod: &Value) -> bool {
    pairs(pod).any(|(container, status)| differs(container, status))
}

/// Returns the generation whose resources are allocated and not yet in force.
pub(super) fn in_progress(pod: &Value) -> Option<&Value> {
    condition(pod, IN_PROGRESS).map(|condition| &condition["observedGeneration"])
}

/// Whether the Pod says already that its resize waits, and why.
pub(super) fn is_pending(pod: &Value, message: &str) -> bool {
    condition(pod, PENDING).is_some_and(|condition| {
        condition["message"] == message && condition["observedGeneration"] == pod["metadata"]["generation"]
    })
}

/// Whether the conditions are of a resize that was taken back.
pub(super) fn is_stale(pod: &Value) -> bool {
    condition(pod, PENDING).is_some() && !is_wanted(pod)
}

/// Decides about a resize. `others` is what the other Pods of the node take.
pub(super) fn decide(pod: &Value, others: Amount, capacity: Amount) -> Decision {
    let wanted = Amount::requested(pod);
    let cpu = |amount: Amount| amount.cpu.millis();
    let memory = |amount: Amount| amount.memory.units();
    // If both lack, this names the memory, and the other message the CPU.
    for (lacks, name, wanted, has) in [
        (wanted.memory.exceeds(capacity.memory), "memory", memory(wanted), memory(capacity)),
        (wanted.cpu.exceeds(capacity.cpu), "cpu", cpu(wanted), cpu(capacity)),
    ] {
        if lacks {
            let why =
                format!("Node didn't have enough capacity: {name}, requested: {wanted}, capacity: {has}");
            return Decision::Infeasible(why);
        }
    }
    let sum = others.plus(wanted);
    for (lacks, name, wanted, used, has) in [
        (sum.cpu.exceeds(capacity.cpu), "cpu", cpu(wanted), cpu(others), cpu(capacity)),
        (sum.memory.exceeds(capacity.memory), "memory", memory(wanted), memory(others), memory(capacity)),
    ] {
        if lacks {
            return Decision::Deferred(format!(
                "Node didn't have enough resource: {name}, requested: {wanted}, used: {used}, capacity: {has}"
            ));
        }
    }
    Decision::Allocate
}

/// Writes that a resize waits.
pub(super) fn write_pending(pod: &mut Value, reason: &str, message: &str, now: &str) {
    set_condition(pod, PENDING, Some((reason, message)), now);
}

/// Writes that the resources are allocated, and will be in force soon.
pub(super) fn write_allocated(pod: &mut Value, now: &str) {
    remove_conditions(pod);
    for (list, statuses) in LISTS {
        for_each(pod, list, statuses, |container, status| {
            if let Some(requests) = container["resources"].get("requests") {
                status["allocatedResources"] = requests.clone();
            }
        });
    }
    let all = allocated(pod);
    if !all.is_empty() {
        pod["status"]["allocatedResources"] = all.into();
    }
    set_condition(pod, IN_PROGRESS, None, now);
}

/// Writes that the resources are in force. Returns whether a container has to be restarted for that.
pub(super) fn write_done(pod: &mut Value, now: &str) -> bool {
    let mut restarts = false;
    for (list, statuses) in LISTS {
        for_each(pod, list, statuses, |container, status| {
            if differs(container, status) && needs_restart(container, status) {
                restarts = true;
                end(status, KILLED, "Error", now);
            }
            status["resources"] = container["resources"].clone();
        });
    }
    if pod["status"]["resources"].as_object().is_some_and(|all| !all.is_empty()) {
        pod["status"]["resources"] = in_force(pod);
    }
    remove_conditions(pod);
    restarts
}

/// Removes what the conditions say of a resize.
pub(super) fn remove_conditions(pod: &mut Value) {
    if let Some(list) = pod["status"]["conditions"].as_array_mut() {
        list.retain(|condition| condition["type"] != PENDING && condition["type"] != IN_PROGRESS);
    }
}

fn set_condition(pod: &mut Value, kind: &str, why: Option<(&str, &str)>, now: &str) {
    pod["status"]["observedGeneration"] = pod["metadata"]["generation"].clone();
    let since = transition_time(pod, kind, "True", now);
    let new = pod_condition(pod, kind, true, why.unzip(), since);
    if let Some(list) = pod["status"]["conditions"].as_array_mut() {
        list.retain(|condition| condition["type"] != kind);
        list.insert(0, new);
    }
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    items(&pod["status"]["conditions"]).find(|condition| condition["type"] == kind)
}

fn differs(container: &Value, status: &Value) -> bool {
    let has_resources = status.get("resources").is_some();
    has_resources && ["cpu", "memory"].iter().any(|resource| changes(container, status, resource))
}

/// Whether a container asks for another amount of a resource than it has.
fn changes(container: &Value, status: &Value, resource: &str) -> bool {
    let of = |part: &Value, kind: &str| part["resources"][kind][resource].clone();
    ["requests", "limits"].iter().any(|kind| of(container, kind) != of(status, kind))
}

/// Whether the resize policy of a resource that changes asks for a restart.
fn needs_restart(container: &Value, status: &Value) -> bool {
    let mut restarting =
        items(&container["resizePolicy"]).filter(|p| p["restartPolicy"] == "RestartContainer");
    restarting.any(|policy| changes(container, status, text_at(policy, &["resourceName"])))
}

/// The containers that can be resized, with their statuses: all but init containers that end.
fn pairs(pod: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    LISTS.into_iter().flat_map(move |(list, statuses)| {
        let statuses = items(&pod["status"][statuses]);
        items(&pod["spec"][list]).zip(statuses).filter(move |(container, _)| resizable(list, container))
    })
}

fn for_each(pod: &mut Value, list: &str, statuses: &str, mut write: impl FnMut(&Value, &mut Value)) {
    let containers = pod["spec"][list].as_array().cloned().unwrap_or_default();
    let statuses = pod["status"].get_mut(statuses).and_then(Value::as_array_mut).into_iter().flatten();
    for (container, status) in containers.iter().zip(statuses) {
        if resizable(list, container) && status.get("resources").is_some() {
            write(container, status);
        }
    }
}

fn resizable(list: &str, container: &Value) -> bool {
    list == "containers" || container["restartPolicy"] == "Always"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::quantity::Quantity;

    fn amount(cpu: u64, memory: i64) -> Amount {
        Amount { cpu: Quantity::milli(cpu), memory: Quantity::whole(memory), pods: 0 }
    }

    fn pod(cpu: &str) -> Value {
        let resources = |cpu: &str| json!({"requests": {"cpu": cpu, "memory": "1Gi"}});
        json!({
            "metadata": {"generation": 2},
            "spec": {"containers": [{"name": "c", "resources": resources(cpu)}]},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"state": {"running": {}}, "resources": resources("1")}],
            },
        })
    }

    /// Guards the three answers and their messages.
    #[test]
    fn a_resize_is_done_waits_or_never_fits() {
        let (capacity, others) = (amount(2000, 8 << 30), amount(500, 1 << 30));
        let decision = |cpu: &str| decide(&pod(cpu), others, capacity);
        assert_eq!(decision("1500m"), Decision::Allocate);
        let why = "Node didn't have enough resource: cpu, requested: 1800, used: 500, capacity: 2000";
        assert_eq!(decision("1800m"), Decision::Deferred(why.to_owned()));
        let why = "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000";
        assert_eq!(decision("3"), Decision::Infeasible(why.to_owned()));
        let mut large = pod("3");
        large["spec"]["containers"][0]["resources"]["requests"]["memory"] = "16Gi".into();
        let why = "Node didn't have enough capacity: memory, requested: 17179869184, capacity: 8589934592";
        assert_eq!(decide(&large, others, capacity), Decision::Infeasible(why.to_owned()));
    }

    /// Guards the status at each step: allocated first, in force later, and no condition at the end.
    #[test]
    fn resources_are_allocated_before_they_are_in_force() {
        let mut pod = pod("2");
        assert!(is_wanted(&pod) && in_progress(&pod).is_none());
        write_pending(&mut pod, "Deferred", "why", "t");
        assert_eq!(pod["status"]["conditions"][0]["reason"], "Deferred");
        assert_eq!(pod["status"]["conditions"][0]["observedGeneration"], 2);
        write_allocated(&mut pod, "t");
        let status = &pod["status"]["containerStatuses"][0];
        assert_eq!(status["allocatedResources"]["cpu"], "2");
        assert_eq!(status["resources"]["requests"]["cpu"], "1");
        assert_eq!(in_progress(&pod), Some(&json!(2)));
        assert!(!write_done(&mut pod, "t"));
        assert_eq!(pod["status"]["containerStatuses"][0]["resources"]["requests"]["cpu"], "2");
        assert_eq!(pod["status"]["conditions"], json!([{"type": "Ready", "status": "True"}]));
        assert!(!is_wanted(&pod));
    }

    /// Guards that a container restarts only for a resource whose policy says so.
    #[test]
    fn the_resize_policy_decides_about_a_restart() {
        for (resource, restarts) in [("cpu", true), ("memory", false)] {
            let mut pod = pod("2");
            let policy = json!([{"resourceName": resource, "restartPolicy": "RestartContainer"}]);
            pod["spec"]["containers"][0]["resizePolicy"] = policy;
            assert_eq!(write_done(&mut pod, "t"), restarts, "{resource}");
        }
    }
}
