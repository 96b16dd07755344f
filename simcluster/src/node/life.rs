//! A Pod's life as a state machine: from a stage to the next one, and how long that takes. Pure.

use std::time::Duration;

use serde_json::Value;

use crate::behaviour::{Behaviour, Course};
use crate::fields::items;
use crate::network::program::{self, Program};
use crate::options::Times;
use crate::store::text_at;

/// The first wait after a failed mount, and the longest (the kubelet's volume manager).
const MOUNT_WAIT: Duration = Duration::from_millis(500);
/// How often a simulated program tries.
const PROGRAM_WAIT: Duration = Duration::from_secs(1);
const MOUNT_WAIT_MAX: Duration = Duration::from_secs(122);

/// A stage in the life of a Pod. Numbers count restarts or tries; the first of two counts restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Created, nothing has happened.
    New,
    Scheduled,
    Unschedulable,
    /// A node is chosen, and its claims are being bound.
    Binding,
    /// The kubelet has it: `ContainerCreating`.
    Accepted,
    MountFailed(u32),
    /// A volume of it is attached to another node.
    AttachFailed(u32),
    /// Its network is up, its containers are not.
    Networked,
    /// Its n-th init container runs.
    Init(u32),
    /// Its n-th init container has a simulated program that goes on.
    InitGoesOn(u32),
    Pulling(u32),
    PullFailed(u32),
    PullBackOff(u32),
    NeverPulled(u32),
    /// The runtime could not start the container.
    RunFailed(u32),
    /// Running, not ready.
    Started(u32),
    /// Running, and its startup probe has succeeded.
    Booted(u32),
    Ready(u32),
    /// Its container has a simulated program, which has tried so often.
    Tried(u32),
    /// Ready, and the kubelet has looked again.
    Synced(u32),
    /// Running, and its probe has failed so often.
    Unready(u32, u32),
    /// Its boot took longer than its probes allow.
    Killed(u32),
    Exited(u32),
    BackOff(u32),
    Succeeded,
    Failed,
    Evicted,
    /// The node has fallen silent, and the cluster has noticed.
    Lost,
    /// Deletion has been asked for.
    Stopping,
    /// Deletion has been asked for, and the node is silent.
    Abandoned,
    /// The kubelet knows.
    StopSeen,
    /// The containers have ended; whether any ran until then.
    Stopped(bool),
    /// The node has nothing of it any more.
    Cleaned,
    Gone,
}

/// The inputs that decide a Pod's next stage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances<'a> {
    pub behaviour: Behaviour,
    pub times: &'a Times,
    pub pod: &'a Value,
    /// Whether the whole node is unreachable.
    pub node_lost: bool,
    /// Whether the simulated program of the container that runs now has reached its end; `None` without one.
    pub is_program_done: Option<bool>,
}

// === impl Stage ===

impl Stage {
    /// Where a Pod that is seen for the first time is, by what its status says.
    pub fn of(pod: &Value) -> Self {
        let container = &pod["status"]["containerStatuses"][0];
        let waits = container["state"].get("waiting").is_some();
        let restarts = container["restartCount"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        match text_at(pod, &["status", "phase"]) {
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            "Running" | "Unknown" if container["ready"] == true => Self::Ready(restarts),
            "Running" if container["state"].get("terminated").is_some() => Self::Exited(restarts),
            "Running" if waits && restarts > 0 => Self::BackOff(restarts),
            "Running" | "Unknown" => Self::Started(restarts),
            _ if waits => Self::Accepted,
            _ if !text_at(pod, &["spec", "nodeName"]).is_empty() => Self::Scheduled,
            _ => Self::New,
        }
    }

    /// The simulated program of the container that runs at this stage.
    pub fn program(self, pod: &Value) -> Option<Program> {
        let spec = &pod["spec"];
        match self {
            Self::Init(place) | Self::InitGoesOn(place) => {
                Program::of(&spec["initContainers"][usize::try_from(place).ok()?])
            }
            Self::Ready(_) | Self::Tried(_) => Program::of(&spec["containers"][0]),
            _ => None,
        }
    }

    /// Whether it is on its way out.
    pub fn is_stopping(self) -> bool {
        matches!(
            self,
            Self::Stopping | Self::Abandoned | Self::StopSeen | Self::Stopped(_) | Self::Cleaned | Self::Gone
        )
    }

    /// Whether it waits for another attempt of the scheduler.
    pub fn waits(self) -> bool {
        matches!(self, Self::Unschedulable | Self::Binding)
    }

    /// Whether its containers have ended for good, so that it needs no capacity of the node.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Evicted | Self::Gone)
    }
}

// === impl Circumstances ===

impl Circumstances<'_> {
    /// The stage that follows and the time until then; `None` if a stage lasts.
    pub fn next(&self, stage: Stage) -> Option<(Duration, Stage)> {
        let soon = Duration::ZERO;
        let times = self.times;
        if self.is_silent(stage) {
            return self.next_in_silence(stage);
        }
        Some(match stage {
            Stage::New => (times.schedule, Stage::Scheduled),
            Stage::Scheduled => (times.accept, Stage::Accepted),
            Stage::Accepted => match self.behaviour.course {
                Course::Creating => return None,
                Course::MountError if self.behaviour.fails(0) => (times.network, Stage::MountFailed(0)),
                _ => (times.network + self.behaviour.start.unwrap_or(soon), Stage::Networked),
            },
            Stage::AttachFailed(tries) => (mount_wait(tries), Stage::Networked),
            Stage::MountFailed(tries) => {
                let wait = mount_wait(tries);
                let fails = self.behaviour.course == Course::MountError && self.behaviour.fails(tries + 1);
                (wait, if fails { Stage::MountFailed(tries + 1) } else { Stage::Networked })
            }
            Stage::Networked if self.inits() > 0 => (times.run, Stage::Init(0)),
            Stage::Init(place) | Stage::InitGoesOn(place) if self.is_program_done == Some(false) => {
                (PROGRAM_WAIT, Stage::InitGoesOn(place))
            }
            Stage::Init(place) | Stage::InitGoesOn(place) if place + 1 < self.inits() => {
                (times.run, Stage::Init(place + 1))
            }
            Stage::Networked | Stage::Init(_) | Stage::InitGoesOn(_) => (times.run, self.image()),
            Stage::Ready(_) if self.is_program_done.is_some() => (PROGRAM_WAIT, Stage::Tried(1)),
            Stage::Tried(_) if self.is_program_done == Some(true) => (soon, Stage::Succeeded),
            Stage::Tried(tries) if tries >= program::TRIES => (soon, Stage::Failed),
            Stage::Tried(tries) => (PROGRAM_WAIT, Stage::Tried(tries + 1)),
            Stage::Pulling(tries) => {
                let fails = self.behaviour.course == Course::ImagePullError && self.behaviour.fails(tries);
                let then = if fails { Stage::PullFailed(tries) } else { self.run(0) };
                (self.behaviour.pull.unwrap_or(soon), then)
            }
            // The first failure is shown for as long as a start takes, then it backs off.
            Stage::PullFailed(tries) => (times.ready, Stage::PullBackOff(tries)),
            Stage::PullBackOff(tries) => (back_off(times, tries), Stage::Pulling(tries + 1)),
            Stage::NeverPulled(tries) => {
                let fails = self.behaviour.course == Course::ImageNeverPull;
                (back_off(times, tries), if fails { Stage::NeverPulled(tries + 1) } else { self.image() })
            }
            // The first restart comes at once, later ones after a back-off.
            Stage::RunFailed(0) | Stage::Exited(0) | Stage::Killed(0) => (times.accept, self.run(1)),
            Stage::RunFailed(restarts) | Stage::Exited(restarts) | Stage::Killed(restarts) => {
                (times.ready, Stage::BackOff(restarts))
            }
            Stage::BackOff(restarts) => (back_off(times, restarts.saturating_sub(1)), self.run(restarts + 1)),
            Stage::Started(restarts) if self.behaviour.crashes(restarts) => {
                (times.ready.min(times.crash), Stage::Ready(restarts))
            }
            Stage::Started(restarts) => self.probed(restarts, None),
            Stage::Booted(restarts) => self.booted(restarts),
            Stage::Ready(restarts) => self.fate(restarts).unwrap_or((times.sync, Stage::Synced(restarts))),
            Stage::Synced(restarts) => return self.fate(restarts),
            Stage::Unready(restarts, fails) => self.probed(restarts, Some(fails)),
            // The node is back.
            Stage::Lost => (times.accept, Stage::of(self.pod)),
            Stage::Abandoned => (times.accept, Stage::StopSeen),
            Stage::Stopping => (times.accept.min(grace(self.pod)), Stage::StopSeen),
            Stage::StopSeen if self.behaviour.course == Course::StuckTerminating => return None,
            Stage::StopSeen => {
                let ran = any_container(self.pod, "running");
                let rest = self.terminate().min(grace(self.pod)).saturating_sub(times.accept);
                (if ran { rest } else { soon }, Stage::Stopped(ran))
            }
            Stage::Stopped(true) => (soon, Stage::Cleaned),
            Stage::Stopped(false) | Stage::Cleaned => (soon, Stage::Gone),
            Stage::Unschedulable
            | Stage::Binding
            | Stage::Succeeded
            | Stage::Failed
            | Stage::Evicted
            | Stage::Gone => {
                return None;
            }
        })
    }

    /// Returns the stage after `Ready` that a Pod's course prescribes.
    fn fate(&self, restarts: u32) -> Option<(Duration, Stage)> {
        let never = text_at(self.pod, &["spec", "restartPolicy"]) == "Never";
        let stage = match self.behaviour.course {
            _ if self.behaviour.crashes(restarts) && never => Stage::Failed,
            _ if self.behaviour.crashes(restarts) => Stage::Exited(restarts),
            Course::Succeed => Stage::Succeeded,
            Course::Fail => Stage::Failed,
            Course::Evicted => Stage::Evicted,
            Course::ReadinessLost => Stage::Unready(restarts, 0),
            _ => return None,
        };
        Some((self.after(), stage))
    }

    /// Returns the first stage once there is a network: that of the image.
    fn image(&self) -> Stage {
        match self.behaviour.course {
            Course::ImageNeverPull => Stage::NeverPulled(0),
            Course::ImagePullError => Stage::Pulling(0),
            _ if self.pulls() => Stage::Pulling(0),
            _ => self.run(0),
        }
    }

    /// Whether the kubelet pulls the image, even if it is present.
    pub fn pulls(&self) -> bool {
        self.behaviour.pull.is_some() || self.pod["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    }

    /// Returns the stage of a container that starts. Without a probe it is ready as soon as it runs.
    pub fn run(&self, restarts: u32) -> Stage {
        let unready = self.behaviour.course == Course::NeverReady;
        let course = self.behaviour.course == Course::RunError && self.behaviour.fails(restarts);
        if course || relative_mount(self.pod).is_some() {
            return Stage::RunFailed(restarts);
        }
        let delayed = |c: &Value| c.get("readinessProbe").or_else(|| c.get("startupProbe")).is_some();
        if items(&self.pod["spec"]["containers"]).any(delayed) || unready {
            Stage::Started(restarts)
        } else {
            Stage::Ready(restarts)
        }
    }

    fn inits(&self) -> u32 {
        u32::try_from(items(&self.pod["spec"]["initContainers"]).len()).unwrap_or(0)
    }

    pub(super) fn after(&self) -> Duration {
        self.behaviour.after.unwrap_or(self.times.crash)
    }

    fn terminate(&self) -> Duration {
        self.behaviour.terminate.unwrap_or(self.times.terminate)
    }

    /// Whether its containers outlive their grace period, and so are killed.
    pub fn is_killed(&self) -> bool {
        self.terminate() > grace(self.pod)
    }
}

/// How long to wait after the n-th failed mount, counted from 0.
fn mount_wait(tries: u32) -> Duration {
    MOUNT_WAIT.saturating_mul(1 << tries.min(10)).min(MOUNT_WAIT_MAX)
}

/// How long to wait after the n-th failure, counted from 0.
pub(super) fn back_off(times: &Times, failures: u32) -> Duration {
    // Without a minimum, a setting of zero would retry forever without a pause.
    let first = times.back_off.max(Duration::from_millis(1));
    first.saturating_mul(1 << failures.min(5)).min(first.saturating_mul(30))
}

/// The first relative `hostPath` that a container mounts, with where: containerd cannot mount it.
pub(super) fn relative_mount(pod: &Value) -> Option<(&str, &str)> {
    let mut mounts =
        items(&pod["spec"]["containers"]).flat_map(|container| items(&container["volumeMounts"]));
    mounts.find_map(|mount| {
        let volume = items(&pod["spec"]["volumes"]).find(|volume| volume["name"] == mount["name"])?;
        let path = text_at(volume, &["hostPath", "path"]);
        (!path.is_empty() && !path.starts_with('/')).then(|| (path, text_at(mount, &["mountPath"])))
    })
}

/// Whether a container of the Pod is in a state.
pub(super) fn any_container(pod: &Value, state: &str) -> bool {
    items(&pod["status"]["containerStatuses"]).any(|status| status["state"].get(state).is_some())
}

fn grace(pod: &Value) -> Duration {
    let seconds = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(30);
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        let probe = json!({"periodSeconds": 1});
        json!({
            "metadata": {"deletionGracePeriodSeconds": 5},
            "spec": {"containers": [{"readinessProbe": probe}], "tolerations": [
                {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "tolerationSeconds": 300},
            ]},
            "status": {"containerStatuses": [{"state": {"running": {}}}]},
        })
    }

    /// The stages of a life with the time each was reached, in milliseconds.
    fn life_of(pod: &Value, behaviour: &str, from: Stage, steps: usize) -> Vec<(u128, Stage)> {
        let times = Times::default();
        let behaviour = behaviour.parse().unwrap();
        let circumstances =
            Circumstances { behaviour, times: &times, pod, node_lost: false, is_program_done: None };
        let (mut at, mut stage, mut seen) = (Duration::ZERO, from, Vec::new());
        for _ in 0..steps {
            let Some((wait, reached)) = circumstances.next(stage) else { break };
            at += wait;
            stage = reached;
            seen.push((at.as_millis(), stage));
        }
        seen
    }

    fn life(behaviour: &str, from: Stage, steps: usize) -> Vec<(u128, Stage)> {
        life_of(&pod(), behaviour, from, steps)
    }

    fn stages(behaviour: &str, from: Stage, steps: usize) -> Vec<Stage> {
        life(behaviour, from, steps).into_iter().map(|(_, stage)| stage).collect()
    }

    #[test]
    fn a_normal_pod_is_ready_after_300_ms_and_then_stays() {
        let expected = [
            (0, Stage::Scheduled),
            (10, Stage::Accepted),
            (110, Stage::Networked),
            (150, Stage::Started(0)),
            (300, Stage::Ready(0)),
            (60_300, Stage::Synced(0)),
        ];
        assert_eq!(life("normal", Stage::New, 99), expected);
    }

    #[test]
    fn without_a_probe_a_container_is_ready_as_soon_as_it_runs() {
        let plain = json!({"spec": {"containers": [{}]}});
        assert_eq!(life_of(&plain, "normal", Stage::Networked, 1), [(40, Stage::Ready(0))]);
    }

    #[test]
    fn a_deleted_pod_is_gone_after_200_ms_or_at_the_end_of_its_grace_or_never() {
        assert_eq!(life("normal", Stage::Stopping, 99).last(), Some(&(200, Stage::Gone)));
        assert_eq!(life("terminate=3s", Stage::Stopping, 99).last(), Some(&(3000, Stage::Gone)));
        assert_eq!(life("terminate=60s", Stage::Stopping, 99).last(), Some(&(5000, Stage::Gone)));
        assert_eq!(life("stuck-terminating", Stage::Stopping, 99).last(), Some(&(10, Stage::StopSeen)));
    }

    #[test]
    fn a_crashing_pod_restarts_at_once_and_then_backs_off() {
        let expected = [
            Stage::Ready(0),
            Stage::Exited(0),
            Stage::Started(1),
            Stage::Ready(1),
            Stage::Exited(1),
            Stage::BackOff(1),
            Stage::Started(2),
            Stage::Ready(2),
            Stage::Exited(2),
        ];
        assert_eq!(stages("crash-loop", Stage::Started(0), 9), expected);
        let times = Times::default();
        assert_eq!(back_off(&times, 0), Duration::from_secs(10));
        assert_eq!(back_off(&times, 40), Duration::from_secs(300));
    }

    #[test]
    fn failures_come_to_an_end_where_one_is_set() {
        let pulled = stages("image-pull-error, failures=1", Stage::Pulling(0), 4);
        let expected = [Stage::PullFailed(0), Stage::PullBackOff(0), Stage::Pulling(1), Stage::Started(0)];
        assert_eq!(pulled, expected);
        assert_eq!(
            stages("mount-error, failures=2", Stage::MountFailed(0), 2),
            [Stage::MountFailed(1), Stage::Networked]
        );
        assert_eq!(stages("oom, failures=1", Stage::Exited(0), 99).last(), Some(&Stage::Synced(1)));
    }

    #[test]
    fn a_lost_pod_is_deleted_when_its_toleration_ends_and_never_goes() {
        let expected = [(500, Stage::Lost), (300_500, Stage::Abandoned)];
        assert_eq!(life("node-lost", Stage::Ready(0), 99), expected);
        assert_eq!(stages("node-lost", Stage::Stopping, 99), [Stage::Abandoned]);
        // Once the node is back, it finishes the deletion.
        assert_eq!(stages("normal", Stage::Abandoned, 99).last(), Some(&Stage::Gone));
    }

    #[test]
    fn a_probe_that_fails_is_reported_often_at_first() {
        let seen = life("never-ready", Stage::Started(0), 40);
        let at = |fails| seen.iter().find(|(_, stage)| *stage == Stage::Unready(0, fails)).unwrap().0;
        assert_eq!((at(0), at(1), at(25), at(26)), (150, 1150, 25_150, 325_150));
    }
}
