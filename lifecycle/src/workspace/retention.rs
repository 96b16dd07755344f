//! When a claim is deleted, as a pure function of the claim, of the Pods that use it, and of the time.
//!
//! Nothing is deleted early: a time that this process has not seen counts as a use. Deadlines use the monotonic clock, so a
//! step of the wall clock moves none.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{WhenDeleted, claim::ObservedClaim};
use crate::{lifetime::Clocks, named};

/// The time for which an unused claim is left alone if this process has not seen the end of its last Pod: a create may
/// be about to make its Pod. It is longer than any create takes.
pub const GRACE: Duration = Duration::from_secs(60);

/// The shortest time for which a workspace can be kept.
pub const KEEP_MIN: Duration = Duration::from_secs(60);

/// The longest time for which a workspace can be kept: ten years.
pub const KEEP_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The knowledge of this process about the use of one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Since when no Pod uses it, as this process has seen; `None` while a Pod uses it.
    unused: Option<Instant>,
    /// Whether this process has seen the end of its last Pod, and no create has taken it since.
    saw_end: bool,
    /// The annotations of the observation, to notice that a create has taken it.
    last_used: Option<Timestamp>,
    unused_since: Option<Timestamp>,
    /// Whether a Pod was seen to use it after it was written that none does.
    is_mark_outdated: bool,
    /// The end of the time for which it is kept, by the annotations.
    kept_until: Option<Instant>,
}

named! {
    /// Why a claim is deleted.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum DeleteReason {
        /// Its last sandbox is gone, and it was to be deleted with it.
        SandboxGone = "WorkspaceSandboxGone",
        /// It was to be deleted with its sandbox, and no Pod uses it.
        Unused = "WorkspaceUnused",
        /// It was not used for the time for which it is kept.
        Expired = "WorkspaceExpired",
        /// A request deletes it.
        Requested = "WorkspaceDeleted",
    }
}

/// The decision about a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Leave it as it is, and decide again at this time, if there is one.
    Keep(Option<Instant>),
    /// Write that it is not used any more. The time for which it is kept starts then.
    MarkUnused,
    /// Delete it in exactly this state.
    Delete(DeleteReason),
}

// === impl Usage ===

impl Usage {
    /// Updates what is known with an observation: the claim, and whether a Pod uses it. A terminating Pod uses it too.
    #[must_use]
    pub fn observe(before: Option<Self>, claim: &ObservedClaim, in_use: bool, clocks: Clocks) -> Self {
        let now = clocks.monotonic;
        let taken = before.is_some_and(|before| before.last_used != claim.last_used);
        let unused = match before {
            _ if in_use => None,
            // A create has taken it and makes its Pod now.
            _ if taken => Some(now),
            Some(Self { unused: Some(since), .. }) => Some(since),
            _ => Some(now),
        };
        let saw_end =
            !in_use && !taken && before.is_some_and(|before| before.saw_end || before.unused.is_none());
        let is_same_mark = before.is_some_and(|before| before.unused_since == claim.unused_since);
        let was_outdated = before.is_some_and(|before| before.is_mark_outdated);
        let is_mark_outdated = claim.unused_since.is_some() && (in_use || (is_same_mark && was_outdated));
        let kept_until = match before {
            // The annotations are converted once, so that a step of the wall clock moves no deadline.
            Some(before) if before.unused_since == claim.unused_since && !taken => before.kept_until,
            _ => None,
        };
        let kept_until = kept_until.or_else(|| kept_until_of(claim, clocks));
        Self {
            unused,
            saw_end,
            last_used: claim.last_used,
            unused_since: claim.unused_since,
            is_mark_outdated,
            kept_until,
        }
    }

    /// Returns when the claim will be deleted if no sandbox uses it before, as far as it is known.
    #[must_use]
    pub fn deletes_at(&self, claim: &ObservedClaim) -> Option<Instant> {
        let unused = self.unused?;
        match claim.when_deleted {
            WhenDeleted::Delete if self.saw_end => Some(unused),
            WhenDeleted::Delete => Some(unused + GRACE),
            WhenDeleted::Keep => {
                claim.keep_for.filter(|_| !self.is_mark_outdated)?;
                // Not before the grace: a create may have taken it just before this process started.
                Some(self.kept_until?.max(unused + GRACE))
            }
        }
    }

    /// Returns whether a create may be about to make a Pod that uses the claim.
    #[must_use]
    pub fn may_be_taken(&self, claim: &ObservedClaim, now: Instant) -> bool {
        let in_grace = self.unused.is_none_or(|since| now < since + GRACE);
        in_grace && !self.saw_end && claim.unused_since.is_none()
    }

    /// Decides what happens to the claim.
    pub fn decide(&self, claim: &ObservedClaim, now: Instant) -> Decision {
        let Some(unused) = self.unused.filter(|_| !claim.terminating) else { return Decision::Keep(None) };
        let is_marked = claim.unused_since.is_some() && !self.is_mark_outdated;
        if claim.when_deleted == WhenDeleted::Keep && !is_marked {
            let at = if self.saw_end { unused } else { unused + GRACE };
            return if at <= now { Decision::MarkUnused } else { Decision::Keep(Some(at)) };
        }
        match self.deletes_at(claim) {
            Some(at) if at <= now => Decision::Delete(match claim.when_deleted {
                WhenDeleted::Keep => DeleteReason::Expired,
                WhenDeleted::Delete if self.saw_end => DeleteReason::SandboxGone,
                WhenDeleted::Delete => DeleteReason::Unused,
            }),
            next => Decision::Keep(next),
        }
    }
}

/// Returns the end of the time for which a claim is kept, which starts with the annotation that it is not used.
fn kept_until_of(claim: &ObservedClaim, clocks: Clocks) -> Option<Instant> {
    let (since, keep_for) = (claim.unused_since?, claim.keep_for?);
    clocks.instant(since).checked_add(keep_for)
}

// === impl DeleteReason ===

impl DeleteReason {
    /// Returns the reason as a sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::SandboxGone => "the last sandbox of the workspace is gone",
            Self::Unused => "no sandbox uses the workspace",
            Self::Expired => "the workspace was not used for the time for which it is kept",
            Self::Requested => "a request deletes the workspace",
        }
    }
}

#[cfg(test)]
mod tests;
