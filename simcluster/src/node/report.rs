//! What a kubelet reports of a Pod at each stage of its life. Pure.

use serde_json::{Value, json};

use super::life::{Behaviour, Stage, back_off};
use crate::options::Times;
use crate::store::text_at;

/// What the shell knows that the Pod does not.
#[derive(Debug)]
pub(super) struct Context {
    /// The time, as Kubernetes writes it.
    pub now: String,
    /// The number of the Pod's address.
    pub address: u32,
    /// Tells this container apart from others.
    pub container: u64,
}

const NODE_ADDRESS: &str = "192.0.2.2";

/// Writes the scheduler's verdict.
pub(super) fn unschedulable(pod: &mut Value, why: &str, now: &str) {
    let generation = pod["metadata"]["generation"].clone();
    pod["status"]["conditions"] = json!([{
        "type": "PodScheduled", "observedGeneration": generation, "status": "False", "lastProbeTime": null,
        "lastTransitionTime": now, "reason": "Unschedulable", "message": why,
    }]);
}

/// Writes a Pod's status as it is once it has reached a stage.
pub(super) fn write(pod: &mut Value, stage: Stage, behaviour: Behaviour, times: &Times, context: &Context) {
    match stage {
        Stage::Unschedulable => {
            return unschedulable(
                pod,
                "0/1 nodes are available: 1 node(s) were unschedulable.",
                &context.now,
            );
        }
        Stage::Scheduled => {
            pod["status"]["conditions"] = json!([{
                "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": context.now,
            }]);
            return;
        }
        Stage::New | Stage::Stopping | Stage::Gone => return,
        _ => {}
    }
    pod["status"]["observedGeneration"] = pod["metadata"]["generation"].clone();
    if pod["status"].get("startTime").is_none() {
        pod["status"]["startTime"] = context.now.as_str().into();
        pod["status"]["hostIP"] = NODE_ADDRESS.into();
        pod["status"]["hostIPs"] = json!([{"ip": NODE_ADDRESS}]);
        pod["status"]["resources"] = json!({});
    }
    if matches!(stage, Stage::Started(_)) && pod["status"].get("podIP").is_none() {
        let [_, b, c, d] = context.address.to_be_bytes();
        let address = format!("10.{}.{c}.{d}", 244_u8.wrapping_add(b));
        pod["status"]["podIPs"] = json!([{"ip": address}]);
        pod["status"]["podIP"] = address.into();
    }
    write_containers(pod, stage, behaviour, times, context);
    write_phase(pod, stage);
    write_conditions(pod, stage, &context.now);
}

fn write_phase(pod: &mut Value, stage: Stage) {
    let phase = match stage {
        Stage::Accepted
        | Stage::Networked
        | Stage::PullFailed(_)
        | Stage::PullBackOff(_)
        | Stage::NeverPulled => "Pending",
        Stage::Started(_) | Stage::Ready(_) | Stage::Exited(_) | Stage::BackOff(_) => "Running",
        Stage::Succeeded => "Succeeded",
        Stage::Failed => "Failed",
        Stage::Stopped if !matches!(text_at(pod, &["status", "phase"]), "Succeeded" | "Failed") => {
            if failed(pod) { "Failed" } else { "Succeeded" }
        }
        _ => return,
    };
    pod["status"]["phase"] = phase.into();
}

/// Whether a container of the Pod has ended badly.
fn failed(pod: &Value) -> bool {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    statuses.into_iter().any(|status| {
        status["state"]["terminated"]["exitCode"].as_i64().is_some_and(|code| code != 0)
            || status["state"].get("waiting").is_some()
    })
}

fn write_containers(pod: &mut Value, stage: Stage, behaviour: Behaviour, times: &Times, context: &Context) {
    let who = format!(
        "{}_{}({})",
        text_at(pod, &["metadata", "name"]),
        text_at(pod, &["metadata", "namespace"]),
        text_at(pod, &["metadata", "uid"])
    );
    let containers = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let before = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
    let statuses: Vec<_> = containers
        .iter()
        .enumerate()
        .map(|(place, container)| {
            let mut status = before.get(place).cloned().unwrap_or_else(|| fresh(container));
            let id = format!("containerd://{:016x}{:048x}", context.container, place);
            write_container(&mut status, container, stage, behaviour, times, &id, &who, &context.now);
            status
        })
        .collect();
    pod["status"]["containerStatuses"] = statuses.into();
}

#[expect(clippy::too_many_arguments, reason = "one call, and each is a different thing")]
fn write_container(
    status: &mut Value,
    container: &Value,
    stage: Stage,
    behaviour: Behaviour,
    times: &Times,
    id: &str,
    who: &str,
    now: &str,
) {
    let image = text_at(container, &["image"]);
    let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    match stage {
        Stage::PullFailed(_) => status["state"] = waiting("ErrImagePull", &pull_error(image)),
        Stage::PullBackOff(_) => {
            let message = format!("Back-off pulling image {image:?}: ErrImagePull: {}", pull_error(image));
            status["state"] = waiting("ImagePullBackOff", &message);
        }
        Stage::NeverPulled => {
            let message = format!("Container image {image:?} is not present with pull policy of Never");
            status["state"] = waiting("ErrImageNeverPull", &message);
        }
        Stage::Started(restarts) => {
            let ended = status["state"].get("terminated").cloned();
            if let Some(ended) = ended {
                status["lastState"] = json!({"terminated": ended});
            }
            status["state"] = json!({"running": {"startedAt": now}});
            status["imageID"] = format!("sha256:{:064x}", fingerprint(image)).into();
            status["containerID"] = id.into();
            status["resources"] = container["resources"].clone();
            status["restartCount"] = restarts.into();
            status["started"] = true.into();
            status["ready"] = false.into();
        }
        Stage::Ready(_) => status["ready"] = true.into(),
        Stage::Exited(_) => {
            let (code, reason) = if behaviour == Behaviour::Oom { (137, "OOMKilled") } else { (3, "Error") };
            end(status, code, reason, now);
        }
        Stage::BackOff(restarts) => {
            let ended = status["state"].get("terminated").cloned();
            if let Some(ended) = ended {
                status["lastState"] = json!({"terminated": ended});
            }
            let name = text_at(container, &["name"]);
            let message = format!(
                "back-off {} restarting failed container={name} pod={who}",
                go_duration(back_off(times, restarts - 1).as_secs())
            );
            status["state"] = waiting("CrashLoopBackOff", &message);
        }
        Stage::Succeeded => end(status, 0, "Completed", now),
        Stage::Failed => end(status, 3, "Error", now),
        // Whatever still ran was told to stop, and did.
        Stage::Stopped if status["state"].get("running").is_some() => end(status, 0, "Completed", now),
        _ => {}
    }
}

fn fresh(container: &Value) -> Value {
    let mounts: Vec<_> = container["volumeMounts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|mount| {
            let mut mount = mount.clone();
            if mount["readOnly"] == true {
                mount["recursiveReadOnly"] = "Disabled".into();
            }
            mount
        })
        .collect();
    json!({
        "name": container["name"], "state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {},
        "ready": false, "restartCount": 0, "image": container["image"], "imageID": "", "started": false,
        "volumeMounts": mounts,
    })
}

fn end(status: &mut Value, code: i64, reason: &str, now: &str) {
    let started = text_at(status, &["state", "running", "startedAt"]).to_owned();
    status["state"] = json!({"terminated": {
        "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": now,
        "containerID": status["containerID"],
    }});
    status["ready"] = false.into();
    status["started"] = false.into();
}

fn write_conditions(pod: &mut Value, stage: Stage, now: &str) {
    let names: Vec<_> =
        pod["spec"]["containers"].as_array().into_iter().flatten().map(|c| text_at(c, &["name"])).collect();
    let unready = format!("containers with unready status: [{}]", names.join(" "));
    let phase = text_at(pod, &["status", "phase"]).to_owned();
    let ready =
        pod["status"]["containerStatuses"].as_array().is_some_and(|l| l.iter().all(|s| s["ready"] == true));
    let over = matches!(phase.as_str(), "Succeeded" | "Failed");
    let networked = !over && stage != Stage::Accepted;
    let (why, message) = match phase.as_str() {
        "Succeeded" => (Some("PodCompleted"), None),
        "Failed" => (Some("PodFailed"), None),
        _ if ready => (None, None),
        _ => (Some("ContainersNotReady"), Some(unready.as_str())),
    };
    let completed = (phase == "Succeeded").then_some("PodCompleted");
    let before = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let generation = pod["metadata"]["generation"].clone();
    let conditions: Vec<_> = [
        ("PodReadyToStartContainers", networked, None, None),
        ("Initialized", true, completed, None),
        ("Ready", ready, why, message),
        ("ContainersReady", ready, why, message),
        ("PodScheduled", true, None, None),
    ]
    .into_iter()
    .map(|(kind, holds, reason, message)| {
        let status = if holds { "True" } else { "False" };
        let same = before.iter().find(|c| c["type"] == kind && c["status"] == status);
        let since = same.map_or_else(|| json!(now), |c| c["lastTransitionTime"].clone());
        let mut condition = json!({
            "type": kind, "observedGeneration": generation, "status": status, "lastProbeTime": null,
            "lastTransitionTime": since,
        });
        for (key, value) in [("reason", reason), ("message", message)] {
            if let Some(value) = value {
                condition[key] = value.into();
            }
        }
        condition
    })
    .collect();
    pod["status"]["conditions"] = conditions.into();
}

fn pull_error(image: &str) -> String {
    format!(
        "failed to pull and unpack image {image:?}: failed to resolve reference {image:?}: failed to do request: dial tcp: \
         connect: connection refused"
    )
}

/// A number for a text that is always the same (FNV-1a).
fn fingerprint(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Seconds as Go prints a duration.
fn go_duration(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
