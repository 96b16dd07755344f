//! The reasons for which a sandbox that has reached a limit still exists.

use std::time::Instant;

use jiff::Timestamp;

use crate::{lifetime::ReapReason, named};

named! {
    /// The reason for which a sandbox is held, although it has reached a limit.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    pub enum HoldReason {
        /// Its activity probe was not answered, so it may be busy.
        ProbeUnanswered = "ProbeUnanswered",
        /// Its activity probe was not sent, because too many others were in flight or there was no connection.
        ProbeNotSent = "ProbeNotSent",
        /// The reap limits allow no more reaps now.
        ReapLimits = "ReapLimits",
        /// Reaping is a dry run.
        DryRun = "DryRun",
        /// It could not be deleted, or has changed since the decision.
        DeleteFailed = "DeleteFailed",
    }
}

/// A held sandbox, as callers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The reason for the hold.
    pub reason: HoldReason,
    /// The earliest time of the reap. After unanswered activity probes: the time at which it is reaped without an
    /// answer.
    pub until: Timestamp,
}

/// A sandbox that is held although this limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    /// The limit that is reached.
    pub(crate) limit: ReapReason,
    pub(crate) reason: HoldReason,
    /// The time at which the reap is considered again.
    pub(crate) until: Instant,
}

// === impl HoldReason ===

impl HoldReason {
    /// Returns the reason as a sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::ProbeUnanswered => "the sandbox did not answer its activity probe and may be busy",
            Self::ProbeNotSent => "the sandbox's activity probe could not be sent; it is tried again",
            Self::ReapLimits => {
                "the reap limits allow no reap now, or the daemon has just started; see GET /api/reaper"
            }
            Self::DryRun => "reaping is a dry run",
            Self::DeleteFailed => "the sandbox could not be deleted; it is tried again",
        }
    }
}
