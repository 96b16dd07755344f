//! The fault switches on the handle.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::Cluster;
use crate::faults::{ActiveRule, Effect, Rule, RuleId};
use crate::store::Snapshot;

// === impl Cluster: rules ===

impl Cluster {
    /// Puts a fault rule in force, after those that are already. One with [`Effect::StaleRead`] keeps the state there is
    /// now.
    #[expect(clippy::must_use_candidate, reason = "most rules are never taken back one by one")]
    pub fn fault(&self, rule: Rule) -> RuleId {
        let stale = rule.effect == Effect::StaleRead;
        let id = self.shared().faults().add(rule);
        if stale {
            self.shared().make_replica(id);
        }
        id
    }

    /// The rules in force, oldest first.
    #[must_use]
    pub fn faults(&self) -> Vec<ActiveRule> {
        self.shared().faults().list()
    }

    /// Takes a fault rule back; false if there is none of that number. Calls it has already struck stay struck.
    #[expect(clippy::must_use_candidate, reason = "whoever made the rule knows that it is there")]
    pub fn remove_fault(&self, id: RuleId) -> bool {
        let removed = self.shared().faults().remove(id);
        self.shared().keep_replicas(|kept| kept != id);
        removed
    }

    /// Takes all fault rules back.
    pub fn clear_faults(&self) {
        self.shared().faults().clear();
        self.shared().keep_replicas(|_| false);
    }
}

// === impl Cluster: the server as a whole ===

impl Cluster {
    /// Takes the whole server away, or brings it back. While it is away every call fails as a refused connection;
    /// when it goes, open watches and unanswered calls are cut. Objects, the node and the clock go on.
    pub fn set_away(&self, away: bool) {
        self.shared().link.send_modify(|link| {
            link.away = away;
            link.turns += 1;
        });
    }

    /// Takes the whole server away for a while, unless [`Cluster::set_away`] says otherwise before that is over.
    pub fn away_for(&self, time: Duration) {
        self.set_away(true);
        let shared = Arc::clone(self.shared());
        let turn = shared.link.borrow().turns;
        self.spawn(async move {
            tokio::time::sleep(time).await;
            shared.link.send_if_modified(|link| {
                let over = link.turns == turn;
                link.away &= !over;
                over
            });
        });
    }

    /// Whether the server is away.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.shared().link.borrow().away
    }

    /// Cuts all watches that are open now; new ones may be opened at once.
    pub fn cut_watches(&self) {
        self.shared().link.send_modify(|link| link.cuts += 1);
    }

    /// Makes all watches, open or new, silent, or lets them go on where they were.
    pub fn stall_watches(&self, stalled: bool) {
        self.shared().link.send_modify(|link| link.stalled = stalled);
    }

    /// Forgets the events so far, as a restart of the server does: a watch from any older version gets 410.
    pub fn expire_watch_window(&self) {
        self.shared().state().store.forget_events();
    }

    /// A restart of the server in one step: open watches are cut and the watch window is lost.
    pub fn restart(&self) {
        self.expire_watch_window();
        self.cut_watches();
    }

    /// The present state, to go back to.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared().state().store.snapshot()
    }

    /// Takes on an old state, as an etcd that was restored from a backup: what was made since is gone, what was
    /// deleted since is back, and nobody is told. Open watches are cut and the watch window is lost.
    ///
    /// With `keep_counting` versions go on (`etcdutl snapshot restore --bump-revision --mark-compacted`), and a watch
    /// from before gets 410. Without, versions go back too: a list from a later one is refused as from the future, and a
    /// watch from a later one hears nothing until versions have come that far again. The node looks at all Pods anew.
    pub fn restore(&self, snapshot: &Snapshot, keep_counting: bool) {
        self.shared().state().restore(snapshot, keep_counting);
        self.cut_watches();
    }

    /// Puts the cluster's wall clock forward, or back with a negative step, as a wrong time server does. What is
    /// waited for is not moved: only what is written in objects, and [`Cluster::now`].
    pub fn step_clock(&self, by: SignedDuration) {
        self.shared().clock.step(by);
    }
}
