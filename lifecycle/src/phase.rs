//! The phase of a Pod, and the reason why a sandbox does not run.

use std::fmt;

use serde::Serialize;

use crate::text::truncated;

/// The phase of a Pod, as callers see it: Kubernetes' own five, and `Terminating` as `kubectl` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Phase {
    /// The Pod is accepted, but not all containers run yet.
    Pending,
    /// The Pod is bound to a node, and at least one container runs.
    Running,
    /// All containers ended successfully.
    Succeeded,
    /// All containers ended, at least one of them with a failure.
    Failed,
    /// The Pod's state could not be read, usually because its node is lost; or the phase has an unknown name.
    Unknown,
    /// The Pod has a deletion timestamp, in any phase.
    Terminating,
}

/// The reason why a sandbox does not run, with the cluster's message if there is one.
///
/// The name is Kubernetes' own `reason` if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// A stable name such as `ImagePullBackOff` or `Unschedulable`, truncated to [`Reason::NAME_MAX`] bytes.
    pub name: Box<str>,
    /// The cluster's message, truncated to [`Reason::MESSAGE_MAX`] bytes.
    pub message: Option<Box<str>>,
}

// === impl Phase ===

impl Phase {
    /// Parses Kubernetes' `status.phase`; an absent or unknown value is [`Phase::Unknown`].
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            Some("Pending") => Self::Pending,
            Some("Running") => Self::Running,
            Some("Succeeded") => Self::Succeeded,
            Some("Failed") => Self::Failed,
            _ => Self::Unknown,
        }
    }

    /// Returns the text that callers see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
            Self::Terminating => "Terminating",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Reason ===

impl Reason {
    /// The longest message that is kept, in bytes: enough for a sentence of the scheduler, and small enough to keep
    /// thousands.
    pub const MESSAGE_MAX: usize = 256;

    /// The longest name that is kept, in bytes: several times the length of Kubernetes' own. A client with access to
    /// a Pod's status can write a name of any length.
    pub const NAME_MAX: usize = 128;

    /// Creates a reason, with its texts truncated at a character boundary.
    #[must_use]
    pub fn new(name: &str, message: Option<&str>) -> Self {
        let message = message.filter(|m| !m.is_empty());
        Self {
            name: truncated(name, Self::NAME_MAX).into(),
            message: message.map(|message| truncated(message, Self::MESSAGE_MAX).into()),
        }
    }

    /// Returns what an operator can do about it, if there is better advice than the cluster's message.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match &*self.name {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                "check SANDBOX_IMAGE and that the nodes can pull it (registry, credentials, network)"
            }
            "ContainerCreating" | "PodInitializing" => {
                "usually the image is being pulled; pre-pull it on the nodes to make starts fast"
            }
            "Unschedulable" => "no node has room or fits; see `kubectl describe pod` and `kubectl get nodes`",
            "CrashLoopBackOff" | "Error" => "the sandbox container exits; see `kubectl logs`",
            "OOMKilled" => "the sandbox needed more memory than its limit",
            "Evicted" => "the node ran short of a resource and evicted the Pod",
            "CreateContainerConfigError" | "CreateContainerError" => {
                "the container could not be made; see `kubectl describe pod`"
            }
            "FailedMount" => "a volume could not be mounted; check the host paths or the claims",
            "NodeLost" => "the node stopped answering; the Pod's state is not known",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that an unknown phase is never parsed as one of the others.
    #[test]
    fn phases_are_read_exactly() {
        for (text, phase) in [
            (Some("Pending"), Phase::Pending),
            (Some("Running"), Phase::Running),
            (Some("Succeeded"), Phase::Succeeded),
            (Some("Failed"), Phase::Failed),
            (Some("Unknown"), Phase::Unknown),
            (Some("running"), Phase::Unknown),
            (None, Phase::Unknown),
        ] {
            assert_eq!(Phase::parse(text), phase, "{text:?}");
        }
    }

    /// Guards that long messages and names are truncated at a character boundary, because both are kept for each
    /// sandbox.
    #[test]
    fn words_are_cut_on_a_character() {
        let long = "é".repeat(400);
        let reason = Reason::new(&long, Some(&long));
        assert_eq!(reason.message.as_deref(), Some("é".repeat(128).as_str()));
        assert_eq!(&*reason.name, "é".repeat(64));
        assert_eq!(Reason::new("X", Some("")).message, None);
    }
}
