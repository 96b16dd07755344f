//! The errors of calls to the cluster.

use std::time::Duration;

use crate::{named, text::shortened};

/// An error of a call to the cluster, classified by its consequences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", kind.name(), if message.is_empty() { String::new() } else { format!(" ({message})") })]
pub struct ClusterError {
    /// The class of the error.
    pub kind: ClusterErrorKind,
    /// The cluster's message, without secrets, at most [`ClusterError::MESSAGE_MAX`] bytes.
    pub message: String,
    /// The retry delay that the cluster asked for.
    pub retry_after: Option<Duration>,
}

named! {
    /// The class of a [`ClusterError`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum ClusterErrorKind {
        /// 409: an object with this name already exists.
        AlreadyExists = "AlreadyExists",
        /// 409: an object with this name exists and is terminating.
        Terminating = "Terminating",
        /// 409: the object's uid or resourceVersion is not the expected one.
        Conflict = "Conflict",
        /// 404: the object does not exist.
        NotFound = "NotFound",
        /// 404 on a create: the namespace does not exist.
        NamespaceMissing = "NamespaceMissing",
        /// 403: the namespace is terminating.
        NamespaceTerminating = "NamespaceTerminating",
        /// 403: a quota is exceeded.
        QuotaExceeded = "QuotaExceeded",
        /// 500 "range is full": no node port is left.
        NodePortsExhausted = "NodePortsExhausted",
        /// 403 by role-based access control: a permission is missing.
        Forbidden = "Forbidden",
        /// 401: the credentials are not valid, or no longer valid.
        Unauthorized = "Unauthorized",
        /// 400 or 422: the object is not valid.
        Invalid = "Invalid",
        /// 404 or 405 on a patch: the API server has no such subresource.
        NotSupported = "NotSupported",
        /// 400: the container has no log, because it has not started.
        ContainerWaiting = "ContainerWaiting",
        /// 400: the container has no previous log, because it was not started again.
        NoPreviousContainer = "NoPreviousContainer",
        /// An admission webhook or plug-in denied the request.
        Denied = "Denied",
        /// A mutating admission has changed an object so that it cannot be used.
        Mutated = "Mutated",
        /// 429: the API server limits the request rate.
        TooManyRequests = "TooManyRequests",
        /// The API server could not be reached, or reported that it cannot serve. Nothing was done.
        Unreachable = "Unreachable",
        /// 5xx after the request was sent. The outcome is unknown.
        ServerError = "ServerError",
        /// The call timed out. The outcome is unknown.
        TimedOut = "TimedOut",
        /// The claim of the workspace is still being deleted.
        WorkspaceTerminating = "WorkspaceTerminating",
        /// The claim of the workspace has no volume yet.
        WorkspacePending = "WorkspacePending",
        /// The claim of the workspace has lost its volume.
        WorkspaceLost = "WorkspaceLost",
        /// The claim of the workspace has another size, class or access mode than the request asks for.
        WorkspaceMismatch = "WorkspaceMismatch",
        /// A foreign object has the name of the workspace's claim.
        WorkspaceNotOurs = "WorkspaceNotOurs",
        /// A Pod uses the workspace, or a create has just taken it.
        WorkspaceInUse = "WorkspaceInUse",
        /// The storage class does not allow that the workspace grows.
        WorkspaceNotExpandable = "WorkspaceNotExpandable",
        /// Any other error.
        Other = "Other",
    }
}

// === impl ClusterErrorKind ===

impl ClusterErrorKind {
    /// Returns whether a retry of the same call may succeed without a change by an operator.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        match self {
            Self::Terminating
            | Self::Conflict
            | Self::NamespaceMissing
            | Self::NamespaceTerminating
            | Self::QuotaExceeded
            | Self::NodePortsExhausted
            | Self::Unauthorized
            | Self::TooManyRequests
            | Self::Unreachable
            | Self::ServerError
            | Self::TimedOut
            | Self::WorkspaceTerminating => true,
            Self::AlreadyExists
            | Self::NotFound
            | Self::Forbidden
            | Self::Invalid
            | Self::NotSupported
            | Self::ContainerWaiting
            | Self::NoPreviousContainer
            | Self::Denied
            | Self::Mutated
            | Self::WorkspacePending
            | Self::WorkspaceLost
            | Self::WorkspaceMismatch
            | Self::WorkspaceNotOurs
            | Self::WorkspaceInUse
            | Self::WorkspaceNotExpandable
            | Self::Other => false,
        }
    }
}

// === impl ClusterError ===

impl ClusterError {
    /// The longest message that is kept, in bytes.
    pub const MESSAGE_MAX: usize = 512;

    /// Creates an error with the cluster's message, shortened to [`ClusterError::MESSAGE_MAX`] bytes.
    #[must_use]
    pub fn new(kind: ClusterErrorKind, message: &str) -> Self {
        Self { kind, message: shortened(message, Self::MESSAGE_MAX).into_owned(), retry_after: None }
    }

    /// Returns what an operator or a caller can do, if it is about a workspace.
    pub(super) fn hint(&self) -> Option<&'static str> {
        let is_about_claims = self.message.contains("persistentvolumeclaims");
        Some(match self.kind {
            ClusterErrorKind::QuotaExceeded if is_about_claims => {
                "the quota on claims or on their storage is used up; delete workspaces that are not needed \
                 (GET /api/workspaces), or raise the quota"
            }
            ClusterErrorKind::Forbidden if is_about_claims => {
                "workspaces need rights on persistentvolumeclaims; config/rbac.yaml has them"
            }
            ClusterErrorKind::WorkspaceTerminating => {
                "it ends when the last Pod that mounts it has ended; `kubectl describe pvc` shows which"
            }
            ClusterErrorKind::WorkspacePending => {
                "it gets its volume when its first sandbox starts; try again when that runs"
            }
            ClusterErrorKind::WorkspaceLost => "DELETE /api/workspaces/{id} removes the claim",
            ClusterErrorKind::WorkspaceMismatch => {
                "PATCH /api/workspaces/{id} enlarges it; a claim of another class or mode must be deleted first"
            }
            ClusterErrorKind::WorkspaceNotOurs => {
                "`kubectl describe pvc` shows whose claim it is; another sandbox_id, thread_id or user_id has a claim of \
                 its own"
            }
            ClusterErrorKind::WorkspaceNotExpandable => {
                "set allowVolumeExpansion in the StorageClass, if its driver can"
            }
            _ => return None,
        })
    }

    /// Sets the retry delay that the cluster asked for.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }
}
