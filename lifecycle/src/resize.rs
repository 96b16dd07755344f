//! The resize of a sandbox in place: another limit of CPU or memory without a restart.

use serde::{Serialize, Serializer};

use crate::{named, spec::Resources};

/// A resize, as far as the cluster reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Resize {
    /// How far it is.
    pub state: ResizeState,
    /// The message of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<str>>,
    /// The limits that the container has until the resize is done.
    #[serde(skip_serializing_if = "Resources::is_empty")]
    pub actual: Resources,
}

named! {
    /// How far a resize is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    pub enum ResizeState {
        /// It is in the Pod, and the node has not looked at it yet.
        Proposed = "Proposed",
        /// The node changes the container.
        InProgress = "InProgress",
        /// The node has not enough free resources now, and tries again.
        Deferred = "Deferred",
        /// The node can never do it.
        Infeasible = "Infeasible",
        /// The container has the limits of the Pod.
        Done = "Done",
    }
}

// === impl Resize ===

impl Resize {
    /// A resize that is done.
    pub const DONE: Self = Self { state: ResizeState::Done, message: None, actual: Resources::NONE };
}

impl Serialize for ResizeState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
