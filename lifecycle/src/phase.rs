//! The phase of a Pod, and the reason why a sandbox does not run.

use serde::Serialize;

use crate::{
    exit::Exit,
    named,
    text::{shortened, truncated},
};

named! {
    /// The phase of a Pod, as callers see it: Kubernetes' own five, and `Terminating` as `kubectl` prints it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    pub enum Phase {
        /// The Pod is accepted, but not all containers run yet.
        Pending = "Pending",
        /// The Pod is bound to a node, and at least one container runs.
        Running = "Running",
        /// All containers ended successfully.
        Succeeded = "Succeeded",
        /// All containers ended, at least one of them with a failure.
        Failed = "Failed",
        /// The Pod's state could not be read, usually because its node is lost; or the phase has an unknown name.
        Unknown = "Unknown",
        /// The Pod has a deletion timestamp, in any phase.
        Terminating = "Terminating",
    }
}

/// The reason why a sandbox does not run, with the cluster's message if there is one.
///
/// The name is Kubernetes' own `reason` if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// A stable name such as `ImagePullBackOff` or `Unschedulable`, truncated to [`Reason::NAME_MAX`] bytes.
    pub name: Box<str>,
    /// The cluster's message, shortened to [`Reason::MESSAGE_MAX`] bytes.
    pub message: Option<Box<str>>,
    /// The container that it is about, if it is about one.
    pub container: Container,
    /// The end of the container that it is about, if it is about one.
    pub exit: Option<Box<Exit>>,
}

/// A container of a sandbox's Pod, which tells the setting to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// The sandbox itself, or the whole Pod.
    Sandbox,
    /// The init container with Lark's command line.
    LarkInit,
    /// The broker of Lark's command line, or its init container.
    LarkBroker,
    /// A container that this program did not create, such as a service mesh's proxy.
    Other,
}

// === impl Phase ===

impl Phase {
    /// Parses Kubernetes' `status.phase`; an absent or unknown value is [`Phase::Unknown`].
    #[must_use]
    pub fn of_pod(text: Option<&str>) -> Self {
        match text {
            Some("Pending") => Self::Pending,
            Some("Running") => Self::Running,
            Some("Succeeded") => Self::Succeeded,
            Some("Failed") => Self::Failed,
            _ => Self::Unknown,
        }
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

    /// Creates a reason that is about the sandbox itself, with its texts shortened at a character boundary.
    #[must_use]
    pub fn new(name: &str, message: Option<&str>) -> Self {
        let message = message.filter(|m| !m.is_empty());
        Self {
            name: truncated(name, Self::NAME_MAX).into(),
            message: message.map(|message| shortened(message, Self::MESSAGE_MAX).into()),
            container: Container::Sandbox,
            exit: None,
        }
    }

    /// Returns the reason for a sandbox whose Service has no node port although the settings ask for one.
    #[must_use]
    pub fn no_node_port() -> Self {
        Self::new("NoNodePort", Some("its Service has no node port, so its URL works in the cluster only"))
    }

    /// The message of a Pod whose volumes or network are not set up yet, so that no image is being pulled.
    pub const NO_POD_SANDBOX: &str = "the Pod's volumes or network are not set up yet";

    /// Returns whether an eviction is for a limit of the Pod's own. The kubelet's messages for its three kinds of limits on
    /// disk say "exceeds" or "exceeded"; those for a node say "The node was low on resource".
    fn is_over_own_limit(&self) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        ["exceeds the", "exceeded its"].iter().any(|words| message.contains(words))
            && !message.contains("node was low on resource")
    }

    /// Returns whether the scheduler has no node because of where a volume is, or of who uses it.
    fn is_about_the_place_of_a_volume(&self) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        ["volume node affinity conflict", "ReadWriteOncePod access mode"]
            .iter()
            .any(|words| message.contains(words))
    }

    /// Returns the advice for a volume that cannot be mounted. The kubelet's message names the volume of the manifest.
    fn hint_of_mount(&self) -> &'static str {
        let message = self.message.as_deref().unwrap_or_default();
        let is_about = |volume: &str| message.contains(&format!("volume \"{volume}"));
        if is_about("workspace\"") {
            "check the claim of the workspace: with ReadWriteOnce all its sandboxes must run on one node"
        } else if is_about("user-data") {
            "check THREADS_HOST_PATH or USERDATA_PVC_NAME: the path or the claim must exist where the Pod runs"
        } else if is_about("skills\"") {
            "check SKILLS_HOST_PATH or SKILLS_PVC_NAME: the path or the claim must exist where the Pod runs"
        } else if is_about("skills-") || is_about("extra-") || is_about("lark-") {
            "check DEER_FLOW_HOST_BASE_DIR: the path must exist on the node where the Pod runs"
        } else {
            "a volume could not be mounted; check the host paths or the claims"
        }
    }

    /// Returns what an operator can do about it, if there is better advice than the cluster's message.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        let is_sandbox = self.container == Container::Sandbox;
        Some(match &*self.name {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                match self.container {
                    Container::Sandbox => {
                        "check SANDBOX_IMAGE and that the nodes can pull it (registry, credentials, network)"
                    }
                    Container::LarkInit => {
                        "check LARK_CLI_INIT_IMAGE and that the nodes can pull it (registry, credentials, network)"
                    }
                    Container::LarkBroker => {
                        "check LARK_CLI_BROKER_IMAGE and that the nodes can pull it (registry, credentials, network)"
                    }
                    Container::Other => {
                        "check the image of the named container, which an admission webhook has added to the Pod"
                    }
                }
            }
            "ContainerCreating" | "PodInitializing"
                if self.message.as_deref() == Some(Self::NO_POD_SANDBOX) =>
            {
                "if this lasts, a volume cannot be mounted or the network cannot be set up; see `kubectl describe pod`"
            }
            "ContainerCreating"
                if self.message.as_deref().is_some_and(|m| m.starts_with("Pulling image")) =>
            {
                "the image is being pulled; pre-pull it on the nodes to make starts fast"
            }
            "ContainerCreating" | "PodInitializing" => {
                "usually the image is being pulled; pre-pull it on the nodes to make starts fast"
            }
            "Unschedulable" | "FailedScheduling" if self.is_about_the_place_of_a_volume() => {
                "no node that can mount the workspace's volume has room; see `kubectl describe pod`"
            }
            "Unschedulable" | "FailedScheduling" => {
                "no node has room or fits; see `kubectl describe pod` and `kubectl get nodes`"
            }
            "CrashLoopBackOff" | "Error" if is_sandbox => "the sandbox container exits; see `kubectl logs`",
            "CrashLoopBackOff" | "Error" => "the named container exits; see `kubectl logs -c` with its name",
            "OOMKilled" if is_sandbox => "the sandbox needed more memory than its limit",
            "OOMKilled" => "the named container needed more memory than its limit",
            "Evicted" if self.is_over_own_limit() => "the sandbox used more disk than its limit",
            "Evicted" => "the node ran short of a resource and evicted the Pod",
            "NodeNotReady" => "the Pod's node is not ready; see `kubectl get nodes`",
            "RunContainerError" | "StartError" => {
                "the container could not be started; see `kubectl describe pod`"
            }
            "CreateContainerConfigError" | "CreateContainerError" => {
                "the container could not be made; see `kubectl describe pod`"
            }
            "FailedMount" => self.hint_of_mount(),
            "FailedAttachVolume" => {
                "the volume of a claim cannot be attached to the node, as when another node has it; check the workspace, \
                 USERDATA_PVC_NAME and SKILLS_PVC_NAME"
            }
            "FailedCreatePodSandBox" => {
                "the node's network plug-in or container runtime fails; see `kubectl describe pod` and the node's log"
            }
            "Unhealthy" => "it is starting, or does not answer its probe; see `kubectl logs`",
            "Failed" => {
                "the container could not be made or its image not be pulled; see `kubectl describe pod`"
            }
            "BackOff" => {
                "it has failed and is tried again later; see `kubectl describe pod` and `kubectl logs`"
            }
            "Killing" if self.message.as_deref().is_some_and(|m| m.contains("failed liveness probe")) => {
                "it boots longer than SANDBOX_BOOT_TIMEOUT, or does not answer any more; see `kubectl logs --previous`"
            }
            "Killing" => "the kubelet stops a container; see `kubectl describe pod`",
            "Preempted" => "a Pod of higher priority has taken its place; DELETE and POST make a new one",
            "NoNodePort" => {
                "it was made with another SANDBOX_SERVICE_TYPE; a POST of it replaces its Service, or set the type back"
            }
            "WorkspacePending" => {
                "check that the storage class exists, and that its provisioner runs and has the access mode; `kubectl \
                 describe pvc` shows why"
            }
            "WorkspaceMissing" => "DELETE the sandbox; a POST makes it again with a new workspace",
            "WorkspaceTerminating" => {
                "DELETE the sandbox; a POST makes it again with a new workspace once the claim is gone"
            }
            "WorkspaceLost" => {
                "DELETE the sandbox, and then its workspace with DELETE /api/workspaces/{id}; a POST makes an empty one"
            }
            "NodeLost" => "the node stopped answering; the Pod's state is not known",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
