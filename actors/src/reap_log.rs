//! The log of past reaps, for callers of a sandbox that was reaped.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use jiff::Timestamp;
use lifecycle::{ids::SandboxId, lifetime::ReapReason};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long callers are told when and why a sandbox was reaped.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The maximum number of recorded reaps. The oldest are dropped first.
const REMEMBERED_MAX: usize = 10_000;

/// A past reap of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// The reason for the reap.
    pub reason: ReapReason,
    /// The wall-clock time of the reap.
    pub at: Timestamp,
}

/// The reaps of the last hour.
#[derive(Default)]
pub(crate) struct ReapLog {
    records: Mutex<Records>,
}

#[derive(Default)]
struct Records {
    by_id: HashMap<SandboxId, (Instant, Reaped)>,
    /// The reaps in order of time. An entry whose time differs from that in `by_id` is outdated.
    order: VecDeque<(Instant, SandboxId)>,
    /// The number of reaps since the start.
    total: u64,
}

// === impl ReapLog ===

impl ReapLog {
    /// Records that the sandbox was reaped.
    pub(crate) fn note(&self, id: &SandboxId, reaped: Reaped) {
        let reason = reaped.reason;
        tracing::info!(sandbox_id = %id, reason = reason.name(), "reaped: {}", reason.description());
        let now = Instant::now();
        let mut records = self.records.lock();
        records.total += 1;
        records.by_id.insert(id.clone(), (now, reaped));
        records.order.push_back((now, id.clone()));
        records.forget_old(now);
    }

    /// Drops the record of a sandbox that was created again.
    pub(crate) fn forget(&self, id: &SandboxId) {
        self.records.lock().by_id.remove(id);
    }

    /// Returns when and why the sandbox was reaped.
    pub(crate) fn get(&self, id: &SandboxId) -> Option<Reaped> {
        let mut records = self.records.lock();
        records.forget_old(Instant::now());
        records.by_id.get(id).map(|(_, reaped)| *reaped)
    }

    /// Returns the number of reaps since the start.
    pub(crate) fn total(&self) -> u64 {
        self.records.lock().total
    }
}

// === impl Records ===

impl Records {
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

    fn id(n: usize) -> SandboxId {
        SandboxId::parse(&format!("s-{n}")).unwrap()
    }

    /// Guards that a reap is recorded for an hour or until the sandbox is created again, and that the record is
    /// bounded.
    #[tokio::test(start_paused = true)]
    async fn reaps_are_remembered_for_an_hour() {
        let log = ReapLog::default();
        let note = |n, reason| log.note(&id(n), Reaped { reason, at: Timestamp::UNIX_EPOCH });
        note(0, ReapReason::Idle);
        note(1, ReapReason::Ttl);
        assert_eq!(log.get(&id(0)).unwrap().reason, ReapReason::Idle);
        log.forget(&id(1));
        assert_eq!(log.get(&id(1)), None);
        tokio::time::advance(Duration::from_secs(1800)).await;
        note(0, ReapReason::Finished);
        tokio::time::advance(Duration::from_secs(1800)).await;
        assert_eq!(log.get(&id(0)).unwrap().reason, ReapReason::Finished, "the later one counts");
        tokio::time::advance(Duration::from_secs(1800)).await;
        assert_eq!(log.get(&id(0)), None);
        for n in 0..=REMEMBERED_MAX {
            note(n, ReapReason::Ttl);
        }
        assert_eq!(log.get(&id(0)), None);
        assert!(log.get(&id(1)).is_some());
    }
}
