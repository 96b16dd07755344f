//! Workspaces: storage that outlives a sandbox's Pod. Each is a `PersistentVolumeClaim`.
//!
//! Pure. [`adoption`] decides whether a create may use an existing claim, [`growth`] whether one can grow, and
//! [`retention`] when one is deleted. [`trouble`] says why a sandbox does not start because of its claim.

pub mod adoption;
pub mod claim;
pub mod growth;
pub mod retention;
pub mod trouble;

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use crate::{ids::text_traits, named};

/// The id of a workspace: 32 lower-case hexadecimal digits. It is computed from the scope and its ids, so that the next
/// sandbox of the same scope finds the claim by its name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkspaceId(Arc<str>);

/// The length of a [`WorkspaceId`].
const LENGTH: usize = 32;

named! {
    /// The sandboxes that share a workspace.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
    #[serde(rename_all = "lowercase")]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    pub enum Scope {
        /// Each sandbox has its own.
        Sandbox = "sandbox",
        /// The sandboxes of one thread of one user.
        Thread = "thread",
        /// The sandboxes of one user.
        User = "user",
    }
}

named! {
    /// Whether a workspace is kept or deleted when the last Pod that uses it is gone.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
    #[serde(rename_all = "lowercase")]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    pub enum WhenDeleted {
        /// It is kept for a time.
        Keep = "keep",
        /// It is deleted.
        Delete = "delete",
    }
}

/// The scope of a workspace, with the ids that identify it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScopeIds {
    /// The scope.
    pub scope: Scope,
    /// The sandbox, for [`Scope::Sandbox`].
    pub sandbox_id: Option<Arc<str>>,
    /// The thread, for [`Scope::Thread`].
    pub thread_id: Option<Arc<str>>,
    /// The user, for [`Scope::Thread`] and [`Scope::User`].
    pub user_id: Option<Arc<str>>,
}

/// An amount of storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// The amount as Kubernetes writes it, such as `10Gi`.
    pub text: Arc<str>,
    /// The amount in bytes.
    pub bytes: u64,
}

/// The workspace that a create asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its scope.
    pub ids: ScopeIds,
    /// The size that the sandbox needs at least.
    pub size: Size,
    /// The storage class; `None` for any.
    pub storage_class: Option<Arc<str>>,
    /// The access mode, such as `ReadWriteOnce`.
    pub access_mode: Arc<str>,
    /// Whether it is kept or deleted after the last sandbox.
    pub when_deleted: WhenDeleted,
    /// How long it is kept after its last use.
    pub keep_for: Duration,
    /// The manifest of its claim, as it is sent to the API server.
    pub manifest: Arc<[u8]>,
}

/// The changes of a workspace that a POST asks for. Absent fields are those of the profile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkspaceRequest {
    /// The size, as the caller wrote it.
    pub size: Option<String>,
    /// Whether it is kept or deleted after the last sandbox.
    pub when_deleted: Option<WhenDeleted>,
}

/// The workspace of an existing Pod, as the Pod's labels and annotations describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodWorkspace {
    /// Its id.
    pub id: WorkspaceId,
    /// The size that was asked for when the Pod was created.
    pub size: Option<Arc<str>>,
    /// Whether it is kept or deleted after the last sandbox, as it was when the Pod was created.
    pub when_deleted: Option<WhenDeleted>,
}

// === impl WorkspaceId ===

impl WorkspaceId {
    /// Parses an id; returns `None` if it is not one.
    ///
    /// ```
    /// use lifecycle::workspace::WorkspaceId;
    /// assert!(WorkspaceId::parse("0123456789abcdef0123456789abcdef").is_some());
    /// assert!(WorkspaceId::parse("0123456789ABCDEF0123456789ABCDEF").is_none());
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == LENGTH && text.bytes().all(is_digit)).then(|| Self(text.into()))
    }

    /// Creates the id with these digits.
    #[must_use]
    pub fn of_hash(hash: u128) -> Self {
        Self(format!("{hash:032x}").into())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_traits!(WorkspaceId);

// === impl Scope, WhenDeleted ===
