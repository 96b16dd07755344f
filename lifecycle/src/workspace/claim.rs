//! The observed state of a workspace's claim.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

use super::{ScopeIds, Size, WhenDeleted};
use crate::{
    ids::ProfileName,
    observed::{ResourceVersion, Uid},
};

/// The phase of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum ClaimPhase {
    /// It has no volume yet. With a storage class that waits for the first consumer, this is normal without a Pod.
    Pending,
    /// It has its volume.
    Bound,
    /// Its volume is gone, and its data with it.
    Lost,
}

/// The last observed state of a claim that this program created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedClaim {
    /// The uid.
    pub uid: Uid,
    /// The resourceVersion of this observation.
    pub version: ResourceVersion,
    /// The scope, from its label and annotations.
    pub ids: ScopeIds,
    /// The phase.
    pub phase: ClaimPhase,
    /// Whether it is terminating.
    pub terminating: bool,
    /// The requested size.
    pub size: Size,
    /// The size of its volume, once it has one.
    pub capacity: Option<Size>,
    /// The storage class.
    pub storage_class: Option<Arc<str>>,
    /// The access modes.
    pub access_modes: Vec<Arc<str>>,
    /// Whether it is kept or deleted after the last sandbox. An unreadable annotation counts as [`WhenDeleted::Keep`].
    pub when_deleted: WhenDeleted,
    /// How long it is kept after its last use; `None` keeps it for ever.
    pub keep_for: Option<Duration>,
    /// The profile with which it was created.
    pub profile: Option<ProfileName>,
    /// The creation time.
    pub created: Option<Timestamp>,
    /// When a create has last taken it.
    pub last_used: Option<Timestamp>,
    /// Since when no Pod uses it, as far as that was written.
    pub unused_since: Option<Timestamp>,
}

// === impl ClaimPhase ===

impl ClaimPhase {
    /// Parses `status.phase`. An absent or unknown phase counts as pending.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            Some("Bound") => Self::Bound,
            Some("Lost") => Self::Lost,
            _ => Self::Pending,
        }
    }
}

// === impl ObservedClaim ===

impl ObservedClaim {
    /// Returns the usable size: the larger one of the requested size and the volume's.
    #[must_use]
    pub fn usable(&self) -> &Size {
        self.capacity.as_ref().filter(|capacity| capacity.bytes > self.size.bytes).unwrap_or(&self.size)
    }
}

#[cfg(test)]
pub(super) mod fixture {
    use super::*;
    use crate::workspace::Scope;

    /// A bound claim of a user.
    pub(in crate::workspace) fn claim() -> ObservedClaim {
        ObservedClaim {
            uid: Uid("u".into()),
            version: ResourceVersion(1),
            ids: ScopeIds {
                scope: Scope::User,
                sandbox_id: None,
                thread_id: None,
                user_id: Some("u".into()),
            },
            phase: ClaimPhase::Bound,
            terminating: false,
            size: Size { text: "1Gi".into(), bytes: 1 << 30 },
            capacity: None,
            storage_class: None,
            access_modes: vec![],
            when_deleted: WhenDeleted::Keep,
            keep_for: None,
            profile: None,
            created: None,
            last_used: None,
            unused_since: None,
        }
    }
}
