//! The contents of `POST /api/sandboxes` and of `PATCH /api/sandboxes/{id}`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    ids::{ClusterName, ProfileName, SandboxId, ThreadId, UserId},
    lifetime::{Limits, LimitsPatch, Owner},
    network::NetworkMode,
    placement::replacement::Replacement,
    selector::Selector,
    spec::{Resources, ShellSessions},
    text::Hidden,
    workspace::WorkspaceRequest,
};

/// A create request whose fields are all well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRequest {
    /// The id of the requested sandbox.
    pub sandbox_id: SandboxId,
    /// The conversation that the sandbox serves; without one, the sandbox's own id is used.
    pub thread_id: Option<ThreadId>,
    /// The user whose data is mounted.
    pub user_id: UserId,
    /// Additional mounts, in the caller's order. They are checked against the settings when the Pod is built.
    pub extra_mounts: Vec<ExtraMount>,
    /// Whether skills of the old layout are mounted too. Accepted for older clients; they are always mounted.
    pub include_legacy_skills: bool,
    /// The skills root, as the caller wrote it. It is checked when the Pod is built. `None` is the default path.
    pub skills_container_path: Option<String>,
    /// Whether an init container installs the Lark command line in the Pod.
    pub provision_lark_cli_runtime: bool,
    /// Whether the Lark broker runs beside the sandbox.
    pub provision_lark_cli_broker: bool,
    /// The number of concurrent shell sessions; `None` leaves it to the image.
    pub max_shell_sessions: Option<ShellSessions>,
    /// The profile of the Pod; `None` for the settings alone.
    pub profile: Option<ProfileName>,
    /// The values that the request sets in place of the profile.
    pub overrides: RequestedOverrides,
    /// The changes of the profile's workspace.
    pub workspace: Option<WorkspaceRequest>,
    /// The requested limits. The defaults of the settings apply to absent ones.
    pub limits: Limits,
    /// The owner. It comes from a header, not from the body.
    pub owner: Option<Owner>,
    /// The cluster that the request names.
    pub cluster: Option<ClusterName>,
    /// The labels that the cluster must have.
    pub cluster_selector: Option<Selector>,
    /// Why the sandbox takes the place of one on another cluster, if it does. It does not come from the body.
    pub replaces: Option<Replacement>,
    /// When the sandbox was created that moves. It does not come from the body.
    pub first_created: Option<Timestamp>,
}

/// The values that a request sets in place of its profile, as the caller wrote them. The bounds are checked when the Pod is
/// built.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestedOverrides {
    /// The limits of the container `sandbox`.
    pub resources: Resources,
    /// Environment variables of the container `sandbox`.
    pub env: BTreeMap<String, Hidden>,
    /// Labels of the Pod.
    pub labels: BTreeMap<String, String>,
    /// The image of the container `sandbox`.
    pub image: Option<String>,
    /// The network mode of the Pod.
    pub network: Option<NetworkMode>,
}

/// A host directory to mount in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraMount {
    /// The path on the host, as the caller wrote it.
    pub host_path: String,
    /// The path in the sandbox, as the caller wrote it.
    pub container_path: String,
    /// Whether the mount is read-only.
    pub read_only: bool,
}

/// A change of an existing sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// The changes of the limits of its lifetime.
    pub limits: LimitsPatch,
    /// The new limits of its container, in place.
    pub resources: Resources,
}

// === impl CreateRequest ===

impl CreateRequest {
    /// Creates a request with the default of every field except the id.
    #[must_use]
    pub fn new(sandbox_id: SandboxId) -> Self {
        Self {
            sandbox_id,
            thread_id: None,
            user_id: UserId::default(),
            extra_mounts: Vec::new(),
            include_legacy_skills: false,
            skills_container_path: None,
            provision_lark_cli_runtime: false,
            provision_lark_cli_broker: false,
            max_shell_sessions: None,
            profile: None,
            overrides: RequestedOverrides::default(),
            workspace: None,
            limits: Limits::default(),
            owner: None,
            cluster: None,
            cluster_selector: None,
            replaces: None,
            first_created: None,
        }
    }

    /// Returns the thread whose data is mounted: the sandbox's own id if the request contains no thread.
    #[must_use]
    pub fn thread(&self) -> &str {
        self.thread_id.as_ref().map_or(self.sandbox_id.as_str(), ThreadId::as_str)
    }
}

// === impl Change ===

impl From<LimitsPatch> for Change {
    fn from(limits: LimitsPatch) -> Self {
        Self { limits, ..Self::default() }
    }
}

impl From<Resources> for Change {
    fn from(resources: Resources) -> Self {
        Self { resources, ..Self::default() }
    }
}
