//! Why a sandbox that has reached a limit is still there.

use std::time::Instant;

use jiff::Timestamp;

use crate::lifetime::ReapReason;

/// Why a sandbox is not reaped although it has reached a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldReason {
    /// Its activity probe was not answered, so it may be busy.
    ProbeUnanswered,
    /// Its activity probe was not sent, because too many others were under way or there was no connection.
    ProbeNotSent,
    /// The reap limits allow no more reaps now.
    ReapLimits,
    /// Reaping is a dry run.
    DryRun,
    /// It could not be deleted, or has changed since that was decided.
    DeleteFailed,
}

/// A sandbox that is held, as callers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Why.
    pub reason: HoldReason,
    /// When it is reaped at the earliest. If its activity probe was not answered: when it is reaped without an answer.
    pub until: Timestamp,
}

/// A sandbox that is left alone although this limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    /// The limit.
    pub(crate) cause: ReapReason,
    pub(crate) reason: HoldReason,
    /// When a reap is considered again.
    pub(crate) until: Instant,
}

// === impl HoldReason ===

impl HoldReason {
    /// A stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProbeUnanswered => "ProbeUnanswered",
            Self::ProbeNotSent => "ProbeNotSent",
            Self::ReapLimits => "ReapLimits",
            Self::DryRun => "DryRun",
            Self::DeleteFailed => "DeleteFailed",
        }
    }

    /// The reason in a sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::ProbeUnanswered => "the sandbox did not answer its activity probe and may be busy",
            Self::ProbeNotSent => "the sandbox's activity probe could not be sent; it is tried again",
            Self::ReapLimits => "the reap limits allow no more reaps now; see GET /api/reaper",
            Self::DryRun => "reaping is a dry run",
            Self::DeleteFailed => "the sandbox could not be deleted; it is tried again",
        }
    }
}
