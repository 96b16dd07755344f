//! The row of a Pod.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age::age;
use crate::fields::{is_true, items};
use crate::store::{Object, text_at};

/// A summary of a Pod's containers.
#[derive(Debug, Default)]
struct Summary {
    ready: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
    /// The state of the Pod in one word: its phase, or the reason why it is not ready.
    reason: String,
}

/// The cells.
pub(super) fn cells(object: &Object, age_cell: &str, now: Timestamp) -> Value {
    let value = &object.value();
    let summary = Summary::of(object);
    let sidecars = items(&value["spec"]["initContainers"]).filter(|container| is_sidecar(container)).count();
    let total = value["spec"]["containers"].as_array().map_or(0, Vec::len) + sidecars;
    let restarts = match summary.last_restart.filter(|_| summary.restarts != 0) {
        Some(last) => format!("{} ({} ago)", summary.restarts, age(&last.to_string(), now)),
        None => summary.restarts.to_string(),
    };
    let or_none = |text: &str| if text.is_empty() { "<none>".to_owned() } else { text.to_owned() };
    let gates = value["spec"]["readinessGates"].as_array().map_or(0, Vec::len);
    let passed = items(&value["spec"]["readinessGates"])
        .filter(|gate| is_true(value, text_at(gate, &["conditionType"])))
        .count();
    json!([
        object.name(),
        format!("{}/{total}", summary.ready),
        summary.reason,
        restarts,
        age_cell,
        or_none(text_at(value, &["status", "podIP"])),
        or_none(text_at(value, &["spec", "nodeName"])),
        or_none(text_at(value, &["status", "nominatedNodeName"])),
        if gates == 0 { "<none>".to_owned() } else { format!("{passed}/{gates}") },
    ])
}

/// Returns the conditions of a row: whether the Pod has ended.
pub(super) fn conditions(object: &Object) -> Option<Value> {
    let (reason, message) = match text_at(object.value(), &["status", "phase"]) {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}

// === impl Summary ===

impl Summary {
    fn of(object: &Object) -> Self {
        let value = &object.value();
        let status = &value["status"];
        let own = text_at(status, &["reason"]);
        let phase = text_at(status, &["phase"]);
        let mut summary =
            Self { reason: if own.is_empty() { phase } else { own }.to_owned(), ..Self::default() };
        let gated = |c: &Value| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated";
        if items(&status["conditions"]).any(gated) {
            "SchedulingGated".clone_into(&mut summary.reason);
        }
        let initializing = summary.count_init(value);
        if !initializing || is_true(value, "Initialized") {
            if !initializing {
                // Earlier restarts of init containers do not count as restarts of the Pod.
                (summary.restarts, summary.last_restart) = (0, None);
            }
            summary.count_containers(value);
        }
        if object.terminating() && own == "NodeLost" {
            "Unknown".clone_into(&mut summary.reason);
        } else if object.terminating() && !matches!(phase, "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut summary.reason);
        }
        summary
    }

    /// Counts the init containers, up to the first that is not done. Returns whether there is one.
    fn count_init(&mut self, pod: &Value) -> bool {
        let total = pod["spec"]["initContainers"].as_array().map_or(0, Vec::len);
        for (place, container) in items(&pod["status"]["initContainerStatuses"]).enumerate() {
            self.count_restarts(container);
            let spec = items(&pod["spec"]["initContainers"]).find(|spec| spec["name"] == container["name"]);
            let ended = &container["state"]["terminated"];
            if ended["exitCode"] == 0 {
                continue;
            }
            if spec.is_some_and(is_sidecar) && container["started"] == true {
                self.ready += usize::from(container["ready"] == true);
                continue;
            }
            let waiting = text_at(container, &["state", "waiting", "reason"]);
            self.reason = if ended.is_object() {
                format!("Init:{}", ending(ended))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{place}/{total}")
            };
            return true;
        }
        false
    }

    fn count_containers(&mut self, pod: &Value) {
        let mut running = false;
        let statuses: Vec<_> = items(&pod["status"]["containerStatuses"]).collect();
        for container in statuses.into_iter().rev() {
            self.count_restarts(container);
            let state = &container["state"];
            let waiting = text_at(state, &["waiting", "reason"]);
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if state["terminated"].is_object() {
                self.reason = ending(&state["terminated"]);
            } else if container["ready"] == true && state["running"].is_object() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            let word = if is_true(pod, "Ready") { "Running" } else { "NotReady" };
            word.clone_into(&mut self.reason);
        }
    }

    fn count_restarts(&mut self, container: &Value) {
        self.restarts += container["restartCount"].as_i64().unwrap_or(0);
        let last = text_at(container, &["lastState", "terminated", "finishedAt"]).parse().ok();
        self.last_restart = self.last_restart.max(last);
    }
}

/// How a container ended.
fn ending(terminated: &Value) -> String {
    let reason = text_at(terminated, &["reason"]);
    if !reason.is_empty() {
        return reason.to_owned();
    }
    match terminated["signal"].as_i64().filter(|signal| *signal != 0) {
        Some(signal) => format!("Signal:{signal}"),
        None => format!("ExitCode:{}", terminated["exitCode"]),
    }
}

fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::PODS;

    fn row(status: &Value) -> Value {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}],
            "initContainers": [{"name": "i"}]}, "status": status});
        cells(&Object::new(PODS, 1, pod), "1s", "2026-01-01T00:01:00Z".parse().unwrap())
    }

    #[test]
    fn the_status_of_a_pod_is_the_word_that_says_most() {
        let crash = json!({"phase": "Running", "conditions": [{"type": "Initialized", "status": "True"}],
            "containerStatuses": [{"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"finishedAt": "2026-01-01T00:00:10Z"}}}]});
        assert_eq!(row(&crash)[2], "CrashLoopBackOff");
        assert_eq!(row(&crash)[3], "3 (50s ago)");
        let init =
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]});
        assert_eq!(row(&init)[2], "Init:0/1");
        let done = json!({"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"reason": "Completed"}}}]});
        assert_eq!(row(&done)[2], "Completed");
        let evicted = json!({"phase": "Failed", "reason": "Evicted"});
        assert_eq!(row(&evicted)[2], "Evicted");
    }
}
