//! Whether a wait for a ready sandbox is over.

use crate::{observed::Status, phase::Phase};

/// How far a sandbox is on its way to being ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It is ready.
    Ready,
    /// It is not ready, and may become ready by itself.
    Waiting,
    /// It does not become ready by itself.
    Failed,
}

/// The reasons of a Pod that do not pass by themselves. Everything else may pass: a registry returns, a node gets room,
/// a crashing container is restarted, a volume is mounted at the next attempt.
///
/// `InvalidImageName` is not an image reference. `ErrImageNeverPull` is an image that is absent and must not be pulled.
/// `WorkspaceLost` is a claim whose volume is gone.
const PERMANENT: [&str; 3] = ["InvalidImageName", "ErrImageNeverPull", "WorkspaceLost"];

/// Returns whether a Pod with this reason does not become ready by itself.
#[must_use]
pub fn is_permanent(reason: &str) -> bool {
    PERMANENT.contains(&reason)
}

impl Readiness {
    /// Returns how far a sandbox with this status is.
    ///
    /// A Pod that has Succeeded or Failed is never started again. A terminating one is gone soon, and then the sandbox
    /// has no status.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        let is_permanent = || status.reason.as_ref().is_some_and(|reason| is_permanent(&reason.name));
        match status.phase {
            Phase::Succeeded | Phase::Failed => Self::Failed,
            _ if status.ready => Self::Ready,
            Phase::Pending | Phase::Running | Phase::Unknown if is_permanent() => Self::Failed,
            Phase::Pending | Phase::Running | Phase::Unknown | Phase::Terminating => Self::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::ClusterName, observed::Uid, phase::Reason, spec::ObservedSpec};

    fn status(phase: Phase, ready: bool, reason: Option<&str>) -> Status {
        Status {
            cluster: ClusterName::DEFAULT,
            url: "http://h:1".into(),
            phase,
            ready,
            reason: reason.map(|name| Reason::new(name, None).into()),
            pod: Uid("p".into()),
            created: None,
            spec: ObservedSpec::default(),
            expiry: None,
        }
    }

    /// Guards that a wait ends for a ready sandbox, a finished Pod and a permanent reason, and for nothing else.
    #[test]
    fn only_what_does_not_pass_is_failed() {
        for phase in [Phase::Pending, Phase::Running, Phase::Unknown] {
            for (ready, reason, wanted) in [
                (true, None, Readiness::Ready),
                (true, Some("InvalidImageName"), Readiness::Ready),
                (false, None, Readiness::Waiting),
                (false, Some("InvalidImageName"), Readiness::Failed),
                (false, Some("ErrImageNeverPull"), Readiness::Failed),
                (false, Some("WorkspaceLost"), Readiness::Failed),
                (false, Some("WorkspacePending"), Readiness::Waiting),
                (false, Some("WorkspaceMissing"), Readiness::Waiting),
                (false, Some("ErrImagePull"), Readiness::Waiting),
                (false, Some("ImagePullBackOff"), Readiness::Waiting),
                (false, Some("ContainerCreating"), Readiness::Waiting),
                (false, Some("CreateContainerConfigError"), Readiness::Waiting),
                (false, Some("CreateContainerError"), Readiness::Waiting),
                (false, Some("RunContainerError"), Readiness::Waiting),
                (false, Some("CrashLoopBackOff"), Readiness::Waiting),
                (false, Some("OOMKilled"), Readiness::Waiting),
                (false, Some("Unschedulable"), Readiness::Waiting),
                (false, Some("ContainersNotReady"), Readiness::Waiting),
                (false, Some("NodeLost"), Readiness::Waiting),
            ] {
                assert_eq!(
                    Readiness::of(&status(phase, ready, reason)),
                    wanted,
                    "{phase} {ready} {reason:?}"
                );
            }
        }
        for reason in [None, Some("Evicted"), Some("Completed")] {
            for phase in [Phase::Succeeded, Phase::Failed] {
                assert_eq!(
                    Readiness::of(&status(phase, false, reason)),
                    Readiness::Failed,
                    "{phase} {reason:?}"
                );
            }
            let terminating = status(Phase::Terminating, false, reason);
            assert_eq!(Readiness::of(&terminating), Readiness::Waiting, "{reason:?}");
        }
    }
}
