//! The container statuses that a kubelet reports at each stage of a Pod. Pure.

use serde_json::{Value, json};

use super::image::{fingerprint, never_pulled, pull_error};
use super::life::{Circumstances, Stage, any_container, back_off, relative_mount};
use super::probes::limits_boot;
use super::report::Context;
use crate::behaviour::Course;
use crate::fields::items;
use crate::store::text_at;

/// The exit status of a container that the kernel or the kubelet killed: 128 and the signal's number.
pub(super) const KILLED: i64 = 137;

/// Writes the statuses of all containers of a Pod as they are once it has reached a stage.
pub(super) fn write(pod: &mut Value, stage: Stage, around: &Circumstances<'_>, context: &Context) {
    write_inits(pod, stage, context);
    let before = &pod["status"]["containerStatuses"];
    let first =
        if pod["spec"].get("initContainers").is_some() { "PodInitializing" } else { "ContainerCreating" };
    let statuses: Value = items(&pod["spec"]["containers"])
        .enumerate()
        .map(|(place, container)| {
            let status = before.get(place).cloned().unwrap_or_else(|| fresh(container, first));
            let id = container_id(context.container, place);
            let mut writer = Writer { status, container, around, id: &id, now: &context.now };
            writer.write(stage);
            writer.status
        })
        .collect();
    pod["status"]["containerStatuses"] = statuses;
}

/// A Pod as the kubelet names it.
pub(super) fn who(pod: &Value) -> String {
    let meta = |key| text_at(pod, &["metadata", key]);
    format!("{}_{}({})", meta("name"), meta("namespace"), meta("uid"))
}

/// Returns containerd's error for a container that cannot be started; `{id}` stands for the container's id.
pub(super) fn start_error(pod: &Value) -> String {
    let (path, at) = relative_mount(pod).unwrap_or(("no/such/dir", "/mnt"));
    let inside = format!("/run/containerd/io.containerd.runtime.v2.task/k8s.io/{{id}}/{path}");
    format!(
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
         unable to start container process: error during container init: error mounting \"{inside}\" to rootfs at \
         {at:?}: stat {inside}: no such file or directory: unknown"
    )
}

/// One container's status in the making.
struct Writer<'a> {
    status: Value,
    container: &'a Value,
    around: &'a Circumstances<'a>,
    id: &'a str,
    now: &'a str,
}

// === impl Writer ===

impl Writer<'_> {
    fn write(&mut self, stage: Stage) {
        let image = text_at(self.container, &["image"]);
        match stage {
            Stage::PullFailed(_) => self.wait("ErrImagePull", &pull_error(image)),
            Stage::PullBackOff(_) => {
                let message =
                    format!("Back-off pulling image {image:?}: ErrImagePull: {}", pull_error(image));
                self.wait("ImagePullBackOff", &message);
            }
            Stage::NeverPulled(_) => self.wait("ErrImageNeverPull", &never_pulled(image)),
            Stage::Started(restarts) => {
                self.run(restarts);
                self.status["ready"] = false.into();
            }
            Stage::Booted(restarts) => {
                self.run(restarts);
                self.status["started"] = true.into();
            }
            Stage::Ready(restarts) | Stage::Synced(restarts) => {
                self.run(restarts);
                self.status["started"] = true.into();
                self.status["ready"] = true.into();
            }
            Stage::Unready(..) => self.status["ready"] = false.into(),
            Stage::Exited(_) => match self.around.behaviour.course {
                Course::Oom => self.end(KILLED, "OOMKilled"),
                _ => self.end(3, "Error"),
            },
            Stage::Killed(_) if limits_boot(self.container).is_some() => self.end(KILLED, "Error"),
            Stage::RunFailed(restarts) => self.fail_to_start(restarts),
            Stage::BackOff(restarts) => {
                self.remember();
                let wait = back_off(self.around.times, restarts.saturating_sub(1)).as_secs();
                let (wait, name) = (go_duration(wait), text_at(self.container, &["name"]));
                let who = who(self.around.pod);
                let message = format!("back-off {wait} restarting failed container={name} pod={who}");
                self.wait("CrashLoopBackOff", &message);
            }
            Stage::Succeeded => self.end(0, "Completed"),
            Stage::Failed if self.around.behaviour.course == Course::Oom => self.end(KILLED, "OOMKilled"),
            Stage::Failed => self.end(3, "Error"),
            Stage::Evicted => self.end(KILLED, "Error"),
            Stage::Stopped(_) => self.stop(),
            _ => {}
        }
    }

    fn wait(&mut self, reason: &str, message: &str) {
        self.status["state"] = json!({"waiting": {"reason": reason, "message": message}});
    }

    /// Copies a terminated state to `lastState`.
    fn remember(&mut self) {
        if let Some(ended) = self.status["state"].get("terminated").cloned() {
            self.status["lastState"] = json!({"terminated": ended});
        }
    }

    /// Starts the container, unless it runs.
    fn run(&mut self, restarts: u32) {
        if self.status["state"].get("running").is_some() {
            return;
        }
        self.remember();
        self.status["state"] = json!({"running": {"startedAt": self.now}});
        self.create(restarts);
        self.status["started"] = self.container.get("startupProbe").is_none().into();
    }

    /// Writes the status of a container that exists.
    fn create(&mut self, restarts: u32) {
        let image = text_at(self.container, &["image"]);
        self.status["imageID"] = format!("sha256:{:064x}", fingerprint(image)).into();
        self.status["containerID"] = self.id.into();
        self.status["resources"] = self.container.get("resources").cloned().unwrap_or_else(|| json!({}));
        if let Some(requests) = self.container["resources"].get("requests") {
            self.status["allocatedResources"] = requests.clone();
        }
        self.status["restartCount"] = restarts.into();
    }

    fn fail_to_start(&mut self, restarts: u32) {
        self.create(restarts);
        let bare = self.id.trim_start_matches("containerd://");
        let message = start_error(self.around.pod).replace("{id}", bare);
        // It was never started, and Go's zero time is what is left of that.
        self.status["lastState"] = json!({"terminated": {
            "exitCode": 128, "reason": "StartError", "message": message, "startedAt": "1970-01-01T00:00:00Z",
            "finishedAt": self.now, "containerID": self.id,
        }});
        self.wait("RunContainerError", &message);
    }

    /// Ends the container, unless it has ended.
    fn end(&mut self, code: i64, reason: &str) {
        if self.status["state"].get("terminated").is_some() {
            return;
        }
        end(&mut self.status, code, reason, self.now);
    }

    /// Stops the container with its Pod: it ends by itself or is killed.
    fn stop(&mut self) {
        let state = &self.status["state"];
        if state.get("running").is_some() {
            let (code, reason) = if self.around.is_killed() { (KILLED, "Error") } else { (0, "Completed") };
            self.end(code, reason);
        } else if state.get("waiting").is_some() {
            let last = self.status["lastState"].get("terminated").cloned();
            self.status["state"] = json!({"terminated": last.unwrap_or_else(|| json!({
                "exitCode": KILLED, "reason": "ContainerStatusUnknown",
                "message": "The container could not be located when the pod was terminated",
                "startedAt": null, "finishedAt": null,
            }))});
        }
    }
}

/// Writes that a container has ended.
pub(super) fn end(status: &mut Value, code: i64, reason: &str, now: &str) {
    let started = text_at(status, &["state", "running", "startedAt"]).to_owned();
    status["state"] = json!({"terminated": {
        "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": now,
        "containerID": status["containerID"],
    }});
    status["ready"] = false.into();
    status["started"] = false.into();
}

/// The init containers run one after the other; a sidecar (one that is restarted always) goes on.
fn write_inits(pod: &mut Value, stage: Stage, context: &Context) {
    let containers = items(&pod["spec"]["initContainers"]);
    if containers.len() == 0 {
        return;
    }
    let running = match stage {
        Stage::Accepted | Stage::MountFailed(_) | Stage::Networked => None,
        Stage::Init(place) => Some(usize::try_from(place).unwrap_or(usize::MAX)),
        _ => Some(containers.len()),
    };
    let over = matches!(stage, Stage::Stopped(_) | Stage::Succeeded | Stage::Failed | Stage::Evicted);
    let before = &pod["status"]["initContainerStatuses"];
    let statuses: Value = containers
        .enumerate()
        .map(|(place, container)| {
            let mut status =
                before.get(place).cloned().unwrap_or_else(|| fresh(container, "PodInitializing"));
            let id = container_id(context.container ^ 1, place);
            let Some(running) = running.filter(|running| place <= *running) else { return status };
            let sidecar = container["restartPolicy"] == "Always";
            if status["state"].get("waiting").is_some() {
                let image = fingerprint(text_at(container, &["image"]));
                status["state"] = json!({"running": {"startedAt": context.now}});
                status["imageID"] = format!("sha256:{image:064x}").into();
                status["containerID"] = id.into();
                status["started"] = sidecar.into();
                status["resources"] = container["resources"].clone();
            }
            if status["state"].get("running").is_some() && (over || (place < running && !sidecar)) {
                end(&mut status, 0, "Completed", &context.now);
            }
            status["ready"] = (place < running && !(over && sidecar)).into();
            status
        })
        .collect();
    pod["status"]["initContainerStatuses"] = statuses;
}

fn fresh(container: &Value, reason: &str) -> Value {
    let mut mounts: Vec<_> = items(&container["volumeMounts"]).cloned().collect();
    for mount in mounts.iter_mut().filter(|mount| mount["readOnly"] == true) {
        mount["recursiveReadOnly"] = "Disabled".into();
    }
    let mut status = json!({
        "name": container["name"], "state": {"waiting": {"reason": reason}}, "lastState": {}, "ready": false,
        "restartCount": 0, "image": container["image"], "imageID": "", "started": false,
    });
    if !mounts.is_empty() {
        status["volumeMounts"] = mounts.into();
    }
    status
}

/// Whether a container of the Pod has ended badly.
pub(super) fn failed(pod: &Value) -> bool {
    let mut codes = items(&pod["status"]["containerStatuses"])
        .filter_map(|status| status["state"]["terminated"]["exitCode"].as_i64());
    any_container(pod, "waiting") || codes.any(|code| code != 0)
}

fn container_id(number: u64, place: usize) -> String {
    format!("containerd://{number:016x}{place:048x}")
}

/// Seconds as Go prints a duration.
fn go_duration(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
