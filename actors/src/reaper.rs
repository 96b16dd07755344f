//! The shared state of reaping: the reap limits, which every actor asks before a reap, the counts, and the record of
//! past reaps for later callers.

use std::{
    collections::{HashMap, VecDeque},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use lifecycle::{
    error::{ClusterError, ClusterErrorKind},
    ids::SandboxId,
    lifetime::{Clocks, ReapReason},
    reap_limiter::{Admission, ReapLimiter, ReapLimits},
    traits::{Clock, Outcome},
};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::view::View;

/// How long callers are told when and why a sandbox was reaped.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The maximum number of recorded reaps. The oldest are dropped first.
const REMEMBERED_MAX: usize = 10_000;

/// The reap limits, the record and the counts.
pub(crate) struct Reaper {
    clock: Box<dyn Clock>,
    limiter: Mutex<ReapLimiter>,
    record: Mutex<Record>,
    reaped: AtomicU64,
    rehearsed: AtomicU64,
    /// The last reported reason why activity cannot be written.
    pending_write: Mutex<Option<ClusterErrorKind>>,
}

/// A past reap of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// The reason for the reap.
    pub cause: ReapReason,
    /// The wall-clock time of the reap.
    pub at: Timestamp,
}

/// The state of the reaper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaperState {
    /// Until when reaping is stopped, because too many sandboxes were due.
    pub stopped_until: Option<Timestamp>,
    /// The number of sandboxes reaped since the start.
    pub reaped: u64,
    /// The number of sandboxes that would have been reaped without the dry run.
    pub rehearsed: u64,
}

#[derive(Default)]
struct Record {
    by_id: HashMap<SandboxId, (Instant, Reaped)>,
    /// The reaps in order of time. An entry whose time differs from that in `by_id` is outdated.
    order: VecDeque<(Instant, SandboxId)>,
}

// === impl Reaper ===

impl Reaper {
    pub(crate) fn new(policy: ReapLimits, clock: Box<dyn Clock>) -> Self {
        let limiter = Mutex::new(ReapLimiter::new(policy, clocks(&*clock)));
        let (reaped, rehearsed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { clock, limiter, record: Mutex::default(), reaped, rehearsed, pending_write: Mutex::default() }
    }

    /// Returns both clocks.
    pub(crate) fn clocks(&self) -> Clocks {
        clocks(&*self.clock)
    }

    /// Asks the reap limits whether this sandbox may be reaped, given the number of sandboxes in the view.
    pub(crate) fn ask(&self, view: &View, id: &SandboxId, cause: ReapReason, clocks: Clocks) -> Admission {
        let total = view.len();
        let mut limiter = lock(&self.limiter);
        if let Some(since) = view.known_since() {
            limiter.start_grace(since.into_std());
        }
        let was_stopped = limiter.stopped_until(clocks.monotonic).is_some();
        let verdict = limiter.ask(id, total, clocks);
        if !was_stopped && let Some(until) = limiter.stopped_until(clocks.monotonic) {
            tracing::error!(until = %clocks.wall_at(until), total,
                "reaping has stopped: too large a share of all sandboxes was about to go within a minute; \
                 look why, then POST /api/reaper/resume or restart");
        }
        if verdict == Admission::DryRun {
            self.rehearsed.fetch_add(1, Ordering::Relaxed);
            tracing::info!(sandbox_id = %id, cause = cause.name(), "would be reaped: {}", cause.description());
        }
        verdict
    }

    /// Handles a reap that the cluster refused. It is retried later.
    pub(crate) fn not_done(&self, id: &SandboxId, fault: &ClusterError, granted: std::time::Instant) {
        lock(&self.limiter).give_back(granted);
        // A conflict is expected: the sandbox has changed, and its limits are evaluated again.
        if fault.kind == ClusterErrorKind::Conflict {
            tracing::debug!(sandbox_id = %id, %fault, "it has changed, and is not reaped");
        } else {
            tracing::warn!(sandbox_id = %id, %fault, "it is due to be reaped, and cannot be deleted");
        }
    }

    /// Records the outcome of a write of lifetime annotations. A failure is logged once, until a write succeeds or
    /// fails for another reason.
    pub(crate) fn note_write(&self, id: &SandboxId, outcome: &Outcome<()>) {
        let fault = match outcome {
            Outcome::Done(()) => None,
            // The Pod is gone or was replaced, so there is nothing to write to.
            Outcome::Refused(fault)
                if matches!(fault.kind, ClusterErrorKind::NotFound | ClusterErrorKind::Conflict) =>
            {
                return;
            }
            Outcome::Refused(fault) | Outcome::Unknown(fault) => Some(fault),
        };
        let kind = fault.map(|fault| fault.kind);
        let said = std::mem::replace(&mut *lock(&self.pending_write), kind);
        let Some(fault) = fault.filter(|_| said != kind) else { return };
        if fault.kind == ClusterErrorKind::Forbidden {
            tracing::warn!(sandbox_id = %id, %fault,
                "not allowed to write on Pods: after a restart of this daemon, sandboxes count as used last when \
                 that was last written, and owners are forgotten; give the role the right \"patch\" on \"pods\", \
                 as config/rbac.yaml does");
        } else {
            tracing::warn!(sandbox_id = %id, %fault,
                "when a sandbox was used could not be written on its Pod; it is tried again");
        }
    }

    /// Records that the sandbox was reaped.
    pub(crate) fn note(&self, id: &SandboxId, cause: ReapReason) {
        self.reaped.fetch_add(1, Ordering::Relaxed);
        tracing::info!(sandbox_id = %id, cause = cause.name(), "reaped: {}", cause.description());
        let now = Instant::now();
        let reaped = Reaped { cause, at: self.clock.wall() };
        let mut record = lock(&self.record);
        record.by_id.insert(id.clone(), (now, reaped));
        record.order.push_back((now, id.clone()));
        record.forget_old(now);
    }

    /// Drops the record of a sandbox that was created again.
    pub(crate) fn forget(&self, id: &SandboxId) {
        lock(&self.record).by_id.remove(id);
    }

    pub(crate) fn reaped(&self, id: &SandboxId) -> Option<Reaped> {
        let mut record = lock(&self.record);
        record.forget_old(Instant::now());
        record.by_id.get(id).map(|(_, reaped)| *reaped)
    }

    pub(crate) fn state(&self) -> ReaperState {
        let clocks = self.clocks();
        ReaperState {
            stopped_until: lock(&self.limiter)
                .stopped_until(clocks.monotonic)
                .map(|until| clocks.wall_at(until)),
            reaped: self.reaped.load(Ordering::Relaxed),
            rehearsed: self.rehearsed.load(Ordering::Relaxed),
        }
    }

    /// Resumes reaping. Returns whether it was stopped.
    pub(crate) fn resume(&self) -> bool {
        let lifted = lock(&self.limiter).resume(self.clocks().monotonic);
        if lifted {
            tracing::warn!("reaping goes on, as somebody asked");
        }
        lifted
    }
}

fn clocks(clock: &dyn Clock) -> Clocks {
    Clocks { monotonic: Instant::now().into_std(), wall: clock.wall() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

// === impl Record ===

impl Record {
    fn forget_old(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front() {
            if self.order.len() <= REMEMBERED_MAX && now.saturating_duration_since(*at) < REMEMBERED {
                return;
            }
            let Some((at, id)) = self.order.pop_front() else { return };
            if self.by_id.get(&id).is_some_and(|(noted, _)| *noted == at) {
                self.by_id.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Wall;

    impl Clock for Wall {
        fn wall(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    fn id(n: usize) -> SandboxId {
        SandboxId::parse(&format!("s-{n}")).unwrap()
    }

    /// Guards that a reap is recorded for an hour or until the sandbox is created again, and that the record is
    /// bounded.
    #[tokio::test(start_paused = true)]
    async fn reaps_are_remembered_for_an_hour() {
        let reaper = Reaper::new(ReapLimits::default(), Box::new(Wall));
        reaper.note(&id(0), ReapReason::Idle);
        reaper.note(&id(1), ReapReason::Ttl);
        assert_eq!(reaper.reaped(&id(0)).unwrap().cause, ReapReason::Idle);
        reaper.forget(&id(1));
        assert_eq!(reaper.reaped(&id(1)), None);
        tokio::time::advance(Duration::from_secs(1800)).await;
        reaper.note(&id(0), ReapReason::Finished);
        tokio::time::advance(Duration::from_secs(1800)).await;
        assert_eq!(reaper.reaped(&id(0)).unwrap().cause, ReapReason::Finished, "the later one counts");
        tokio::time::advance(Duration::from_secs(1800)).await;
        assert_eq!(reaper.reaped(&id(0)), None);
        for n in 0..=REMEMBERED_MAX {
            reaper.note(&id(n), ReapReason::Ttl);
        }
        assert_eq!(reaper.reaped(&id(0)), None);
        assert!(reaper.reaped(&id(1)).is_some());
    }
}
