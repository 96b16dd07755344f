//! A Pod's life as a state machine: from a stage to the next one, and how long that takes. Pure.

use std::time::Duration;

use serde_json::Value;

use crate::options::Times;
use crate::store::text_at;

/// The annotation that chooses how a Pod behaves.
pub const ANNOTATION: &str = "simcluster/behaviour";

/// How a Pod behaves; the words are those of the annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Starts, gets ready, runs until it is deleted.
    Normal,
    /// `image-pull-error`: its image cannot be pulled.
    ImagePullError,
    /// `image-never-pull`: its image is absent and must not be pulled.
    ImageNeverPull,
    /// `crash-loop`: exits with status 3 again and again.
    CrashLoop,
    /// `oom`: is killed for its memory again and again.
    Oom,
    /// `never-ready`: runs, but its readiness probe fails.
    NeverReady,
    /// `creating`: stays in `ContainerCreating`.
    Creating,
    /// `unschedulable`: no node ever takes it.
    Unschedulable,
    /// `succeed`: exits with status 0 and is not started again.
    Succeed,
    /// `fail`: exits with status 3 and is not started again.
    Fail,
    /// `stuck-terminating`: is normal, but once deleted never ends.
    StuckTerminating,
}

/// Where a Pod is in its life. Numbers count restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Created, nothing has happened.
    New,
    Scheduled,
    Unschedulable,
    /// The kubelet has it: `ContainerCreating`.
    Accepted,
    /// Its network is up, its containers are not.
    Networked,
    PullFailed(u32),
    PullBackOff(u32),
    NeverPulled,
    /// Running, not ready.
    Started(u32),
    Ready(u32),
    Exited(u32),
    BackOff(u32),
    Succeeded,
    Failed,
    /// Deletion has been asked for.
    Stopping,
    /// The kubelet knows.
    StopSeen,
    /// The containers have ended.
    Stopped,
    Gone,
}

// === impl Behaviour ===

impl Behaviour {
    /// What a Pod's annotation asks for; an unknown word is `Normal`.
    pub fn of(pod: &Value) -> Self {
        match text_at(pod, &["metadata", "annotations", ANNOTATION]) {
            "image-pull-error" => Self::ImagePullError,
            "image-never-pull" => Self::ImageNeverPull,
            "crash-loop" => Self::CrashLoop,
            "oom" => Self::Oom,
            "never-ready" => Self::NeverReady,
            "creating" => Self::Creating,
            "unschedulable" => Self::Unschedulable,
            "succeed" => Self::Succeed,
            "fail" => Self::Fail,
            "stuck-terminating" => Self::StuckTerminating,
            _ => Self::Normal,
        }
    }

    fn crashes(self) -> bool {
        matches!(self, Self::CrashLoop | Self::Oom)
    }
}

// === impl Stage ===

impl Stage {
    /// Where a Pod that is seen for the first time is, by what its status says.
    pub fn of(pod: &Value) -> Self {
        let state = |name: &str| pod["status"]["containerStatuses"][0]["state"].get(name).is_some();
        let ready = pod["status"]["containerStatuses"][0]["ready"] == true;
        match text_at(pod, &["status", "phase"]) {
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            "Running" if ready => Self::Ready(0),
            "Running" => Self::Started(0),
            _ if state("waiting") => Self::Accepted,
            _ if !text_at(pod, &["spec", "nodeName"]).is_empty() => Self::Scheduled,
            _ => Self::New,
        }
    }

    /// Whether it is on its way out.
    pub fn is_stopping(self) -> bool {
        matches!(self, Self::Stopping | Self::StopSeen | Self::Stopped | Self::Gone)
    }
}

/// The stage that follows and the time until then; `None` if a stage lasts.
pub(super) fn next(
    stage: Stage,
    behaviour: Behaviour,
    times: &Times,
    pod: &Value,
) -> Option<(Duration, Stage)> {
    let soon = Duration::ZERO;
    Some(match stage {
        Stage::New if behaviour == Behaviour::Unschedulable => (times.schedule, Stage::Unschedulable),
        Stage::New => (times.schedule, Stage::Scheduled),
        Stage::Scheduled => (times.accept, Stage::Accepted),
        Stage::Accepted if behaviour == Behaviour::Creating => return None,
        Stage::Accepted => (times.network, Stage::Networked),
        Stage::Networked => match behaviour {
            Behaviour::ImagePullError => (times.run, Stage::PullFailed(0)),
            Behaviour::ImageNeverPull => (times.run, Stage::NeverPulled),
            _ => (times.run, Stage::Started(0)),
        },
        // The first failure is shown for as long as a start takes, then it backs off.
        Stage::PullFailed(tries) => (times.ready, Stage::PullBackOff(tries)),
        Stage::PullBackOff(tries) => (back_off(times, tries), Stage::PullFailed(tries + 1)),
        Stage::Started(_) if behaviour == Behaviour::NeverReady => return None,
        Stage::Started(restarts) => {
            (if behaviour.crashes() { soon } else { times.ready }, Stage::Ready(restarts))
        }
        Stage::Ready(restarts) if behaviour.crashes() => (times.crash, Stage::Exited(restarts)),
        Stage::Ready(_) if behaviour == Behaviour::Succeed => (times.crash, Stage::Succeeded),
        Stage::Ready(_) if behaviour == Behaviour::Fail => (times.crash, Stage::Failed),
        // The first restart comes at once, later ones after a back-off.
        Stage::Exited(0) => (times.accept, Stage::Started(1)),
        Stage::Exited(restarts) => (times.ready, Stage::BackOff(restarts)),
        Stage::BackOff(restarts) => (back_off(times, restarts - 1), Stage::Started(restarts + 1)),
        Stage::Stopping => (times.accept.min(grace(pod)), Stage::StopSeen),
        Stage::StopSeen if behaviour == Behaviour::StuckTerminating => return None,
        Stage::StopSeen => {
            let ended = matches!(text_at(pod, &["status", "phase"]), "Succeeded" | "Failed");
            let rest = times.terminate.min(grace(pod)).saturating_sub(times.accept);
            (if ended { soon } else { rest }, Stage::Stopped)
        }
        Stage::Stopped => (soon, Stage::Gone),
        Stage::Ready(_)
        | Stage::Unschedulable
        | Stage::NeverPulled
        | Stage::Succeeded
        | Stage::Failed
        | Stage::Gone => return None,
    })
}

/// How long to wait after the n-th failure, counted from 0.
pub(super) fn back_off(times: &Times, failures: u32) -> Duration {
    // Without a floor, a setting of zero would try for ever without pause.
    let first = times.back_off.max(Duration::from_millis(1));
    first.saturating_mul(1 << failures.min(5)).min(first.saturating_mul(30))
}

fn grace(pod: &Value) -> Duration {
    let seconds = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(30);
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The stages of a life with the time each was reached, in milliseconds.
    fn life(behaviour: Behaviour, from: Stage, steps: usize) -> Vec<(u128, Stage)> {
        let times = Times::default();
        let pod = json!({"metadata": {"deletionGracePeriodSeconds": 5}});
        let (mut at, mut stage, mut seen) = (Duration::ZERO, from, Vec::new());
        for _ in 0..steps {
            let Some((wait, reached)) = next(stage, behaviour, &times, &pod) else { break };
            at += wait;
            stage = reached;
            seen.push((at.as_millis(), stage));
        }
        seen
    }

    #[test]
    fn a_normal_pod_is_ready_after_300_ms_and_then_stays() {
        let stages = life(Behaviour::Normal, Stage::New, 99);
        let expected = [
            (0, Stage::Scheduled),
            (10, Stage::Accepted),
            (110, Stage::Networked),
            (150, Stage::Started(0)),
            (300, Stage::Ready(0)),
        ];
        assert_eq!(stages, expected);
    }

    #[test]
    fn a_deleted_pod_is_gone_after_200_ms_or_never() {
        let stages = life(Behaviour::Normal, Stage::Stopping, 99);
        assert_eq!(stages.last(), Some(&(200, Stage::Gone)));
        let stuck = life(Behaviour::StuckTerminating, Stage::Stopping, 99);
        assert_eq!(stuck.last(), Some(&(10, Stage::StopSeen)));
    }

    #[test]
    fn a_crashing_pod_restarts_at_once_and_then_backs_off() {
        let stages: Vec<_> =
            life(Behaviour::CrashLoop, Stage::Started(0), 9).into_iter().map(|(_, s)| s).collect();
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
        assert_eq!(stages, expected);
        let times = Times::default();
        assert_eq!(back_off(&times, 0), Duration::from_secs(10));
        assert_eq!(back_off(&times, 40), Duration::from_secs(300));
    }
}
