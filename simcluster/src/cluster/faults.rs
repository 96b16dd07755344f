//! Fault injection methods of [`Cluster`].

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::Cluster;
use crate::faults::{ActiveRule, Effect, Rule, RuleId};
use crate::store::Snapshot;

// === impl Cluster: fault rules ===

impl Cluster {
    /// Adds a fault rule after the existing ones. A rule with [`Effect::StaleRead`] serves the state at this moment.
    #[expect(clippy::must_use_candidate, reason = "most rules are never removed one by one")]
    pub fn fault(&self, rule: Rule) -> RuleId {
        let stale = rule.effect == Effect::StaleRead;
        let id = self.shared().faults.lock().add(rule);
        if stale {
            self.shared().make_replica(id);
        }
        id
    }

    /// Returns the active rules, oldest first.
    #[must_use]
    pub fn faults(&self) -> Vec<ActiveRule> {
        self.shared().faults.lock().list()
    }

    /// Removes a fault rule. Returns false if it does not exist. Calls that it has already affected stay affected.
    #[expect(clippy::must_use_candidate, reason = "the caller usually knows that the rule exists")]
    pub fn remove_fault(&self, id: RuleId) -> bool {
        let removed = self.shared().faults.lock().remove(id);
        self.shared().replicas.lock().remove(&id);
        removed
    }

    /// Removes all fault rules.
    pub fn clear_faults(&self) {
        self.shared().faults.lock().clear();
        self.shared().replicas.lock().clear();
    }
}

// === impl Cluster: server faults ===

impl Cluster {
    /// Makes the whole server unavailable, or available again. While it is unavailable every call fails with a refused
    /// connection; open watches and pending calls are cut. Objects, the node and the clock are not affected.
    pub fn set_away(&self, away: bool) {
        self.shared().link.send_modify(|link| {
            link.away = away;
            link.away_generation += 1;
        });
    }

    /// Makes the whole server unavailable for a time. A call of [`Cluster::set_away`] in between takes precedence.
    pub fn away_for(&self, time: Duration) {
        self.set_away(true);
        let shared = Arc::clone(self.shared());
        let generation = shared.link.borrow().away_generation;
        self.spawn(async move {
            tokio::time::sleep(time).await;
            shared.link.send_if_modified(|link| {
                let over = link.away_generation == generation;
                link.away &= !over;
                over
            });
        });
    }

    /// Returns whether the server is unavailable.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.shared().link.borrow().away
    }

    /// Cuts all open watches. Clients can open new ones immediately.
    pub fn cut_watches(&self) {
        self.shared().link.send_modify(|link| link.cuts += 1);
    }

    /// Stalls all watches, open and new, or resumes them without loss.
    pub fn stall_watches(&self, stalled: bool) {
        self.shared().link.send_modify(|link| link.stalled = stalled);
    }

    /// Clears the watch window, as a restart of the server does: a watch from an older version gets 410.
    pub fn expire_watch_window(&self) {
        self.shared().state().store.forget_events();
    }

    /// Restarts the server: cuts open watches and clears the watch window.
    pub fn restart(&self) {
        self.expire_watch_window();
        self.cut_watches();
    }

    /// Returns a snapshot of the current state.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared().state().store.snapshot()
    }

    /// Restores an old state, like etcd from a backup: later objects are gone and deleted ones exist again, without
    /// events. Open watches are cut and the watch window is cleared.
    ///
    /// With `keep_counting` versions continue to increase (`etcdutl snapshot restore --bump-revision
    /// --mark-compacted`), and an older watch gets 410. Without it versions go back too: a list from a later version
    /// is rejected, and a watch from a later version gets no events until that version is reached again. The node
    /// syncs all Pods.
    pub fn restore(&self, snapshot: &Snapshot, keep_counting: bool) {
        self.shared().state().restore(snapshot, keep_counting);
        self.cut_watches();
    }

    /// Steps the cluster's wall clock forward or back, like a wrong time server. Timeouts are not affected: only the
    /// times in objects, and [`Cluster::now`].
    pub fn step_clock(&self, by: SignedDuration) {
        self.shared().clock.step(by);
    }
}
