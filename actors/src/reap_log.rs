//! The log of past reaps, for callers of a sandbox that was reaped.

use jiff::Timestamp;
use lifecycle::{ids::SandboxId, lifetime::ReapReason};
use parking_lot::Mutex;

use crate::recent::Recent;

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
    recent: Recent<Reaped>,
    /// The number of reaps since the start.
    total: u64,
}

// === impl ReapLog ===

impl ReapLog {
    /// Records that the sandbox was reaped.
    pub(crate) fn note(&self, id: &SandboxId, reaped: Reaped) {
        let reason = reaped.reason;
        tracing::info!(sandbox_id = %id, reason = reason.name(), "reaped: {}", reason.description());
        let mut records = self.records.lock();
        records.total += 1;
        records.recent.insert(id, reaped);
    }

    /// Drops the record of a sandbox that was created again.
    pub(crate) fn forget(&self, id: &SandboxId) {
        self.records.lock().recent.remove(id);
    }

    /// Returns when and why the sandbox was reaped.
    pub(crate) fn get(&self, id: &SandboxId) -> Option<Reaped> {
        self.records.lock().recent.get_mut(id).copied()
    }

    /// Returns the number of reaps since the start.
    pub(crate) fn total(&self) -> u64 {
        self.records.lock().total
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::recent::KEPT_MAX;

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
        for n in 0..=KEPT_MAX {
            note(n, ReapReason::Ttl);
        }
        assert_eq!(log.get(&id(0)), None);
        assert!(log.get(&id(1)).is_some());
    }
}
