//! What a caller may want: the body of `POST /api/sandboxes`, parsed.

use crate::ids::{SandboxId, ThreadId, UserId};

/// A create request whose every field has been checked for form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRequest {
    /// The sandbox asked for.
    pub sandbox_id: SandboxId,
    /// The conversation it serves; the sandbox's own id stands in where there is none.
    pub thread_id: Option<ThreadId>,
    /// Whose data it mounts.
    pub user_id: UserId,
    /// Further mounts, in the caller's order; checked against the settings when the Pod is built.
    pub extra_mounts: Vec<ExtraMount>,
    /// Whether skills of the old layout are mounted too.
    pub include_legacy_skills: bool,
    /// Whether the Lark command line is put into the Pod by an init container.
    pub provision_lark_cli_runtime: bool,
    /// Whether the Lark command line's broker runs beside the sandbox.
    pub provision_lark_cli_broker: bool,
}

/// A host directory that a caller wants inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraMount {
    /// Where it is on the host, as the caller wrote it.
    pub host_path: String,
    /// Where it appears in the sandbox, as the caller wrote it.
    pub container_path: String,
    /// Whether the sandbox may only read it.
    pub read_only: bool,
}
