//! The reap limits that all sandboxes of a cluster share.

use std::time::Instant;

use lifecycle::{
    error::{ClusterError, ClusterErrorKind},
    ids::SandboxId,
    lifetime::{Clocks, ReapReason},
    reap_limiter::{Admission, ReapLimiter, ReapLimits},
};
use parking_lot::Mutex;

use crate::view::View;

/// The state of the reap limits.
pub(crate) struct Limiter {
    limiter: Mutex<ReapLimiter>,
}

impl Limiter {
    pub(crate) fn new(limits: ReapLimits, clocks: Clocks) -> Self {
        Self { limiter: Mutex::new(ReapLimiter::new(limits, clocks)) }
    }

    /// Asks whether this sandbox may be reaped, given the number of sandboxes in the view.
    pub(crate) fn ask(&self, view: &View, id: &SandboxId, reason: ReapReason, clocks: Clocks) -> Admission {
        let total = view.len();
        let mut limiter = self.limiter.lock();
        if let Some(since) = view.known_since() {
            limiter.start_grace(since.into_std());
        }
        let was_stopped = limiter.stopped_until(clocks.monotonic).is_some();
        let admission = limiter.ask(id, total, clocks);
        if !was_stopped && let Some(until) = limiter.stopped_until(clocks.monotonic) {
            tracing::error!(until = %clocks.wall_at(until), total,
                "reaping has stopped: too large a share of all sandboxes was about to go within a minute; \
                 look why, then POST /api/reaper/resume or restart");
        }
        if admission == Admission::DryRun {
            tracing::info!(sandbox_id = %id, reason = reason.name(), "would be reaped: {}", reason.description());
        }
        admission
    }

    /// Takes back the permission for a reap that the cluster refused. The reap is retried later.
    pub(crate) fn give_back(&self, id: &SandboxId, fault: &ClusterError, granted: Instant) {
        self.limiter.lock().give_back(granted);
        // A conflict is expected: the sandbox has changed, and its limits are evaluated again.
        if fault.kind == ClusterErrorKind::Conflict {
            tracing::debug!(sandbox_id = %id, %fault, "it has changed, and is not reaped");
        } else {
            tracing::warn!(sandbox_id = %id, %fault, "it is due to be reaped, and cannot be deleted");
        }
    }

    /// Returns until when reaping is stopped, because too many sandboxes were due.
    pub(crate) fn stopped_until(&self, now: Instant) -> Option<Instant> {
        self.limiter.lock().stopped_until(now)
    }

    /// Resumes reaping. Returns whether it was stopped.
    pub(crate) fn resume(&self, now: Instant) -> bool {
        let was_stopped = self.limiter.lock().resume(now);
        if was_stopped {
            tracing::warn!("reaping was resumed by a request");
        }
        was_stopped
    }
}
