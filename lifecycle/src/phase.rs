//! A Pod's phase, and why a sandbox is not running.

use std::fmt;

use serde::Serialize;

/// A Pod's phase as callers see it: Kubernetes' own five, and `Terminating` as `kubectl` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Phase {
    /// Accepted, but not all containers run yet.
    Pending,
    /// Bound to a node, and at least one container runs.
    Running,
    /// All containers ended with success.
    Succeeded,
    /// All containers ended, one of them at least with a failure.
    Failed,
    /// The Pod's state could not be read, as a rule because its node is lost; any phase we do not know.
    Unknown,
    /// Being deleted: the Pod has a deletion timestamp, whatever its phase.
    Terminating,
}

/// Why a sandbox does not run, by a stable name, with the cluster's own words where it has some.
///
/// The name is Kubernetes' own `reason` wherever Kubernetes gives one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// A stable name such as `ImagePullBackOff` or `Unschedulable`; cut at [`Reason::NAME_MAX`] bytes.
    pub name: Box<str>,
    /// What the cluster says of it; cut at [`Reason::MESSAGE_MAX`] bytes.
    pub message: Option<Box<str>>,
}

// === impl Phase ===

impl Phase {
    /// Reads Kubernetes' `status.phase`; absent or unknown text is [`Phase::Unknown`].
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

    /// The text that callers see.
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
    /// Longest message kept, in bytes: enough for a scheduler's sentence, little enough to keep thousands.
    pub const MESSAGE_MAX: usize = 256;

    /// Longest name kept, in bytes: several times Kubernetes' own. Whoever may write a Pod's status may write any.
    pub const NAME_MAX: usize = 128;

    /// A reason with the cluster's words, cut to size on a character's border.
    #[must_use]
    pub fn new(name: &str, message: Option<&str>) -> Self {
        let message = message.filter(|m| !m.is_empty());
        Self {
            name: cut(name, Self::NAME_MAX).into(),
            message: message.map(|message| cut(message, Self::MESSAGE_MAX).into()),
        }
    }

    /// What a person can do about it, where we know something better than the cluster's own words.
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

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An unknown phase never becomes one of the five by guess.
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

    /// A long message is cut, never in the middle of a character, and so is a name: both are kept for each sandbox.
    #[test]
    fn words_are_cut_on_a_character() {
        let long = "é".repeat(400);
        let reason = Reason::new(&long, Some(&long));
        assert_eq!(reason.message.as_deref(), Some("é".repeat(128).as_str()));
        assert_eq!(&*reason.name, "é".repeat(64));
        assert_eq!(Reason::new("X", Some("")).message, None);
    }
}
