//! The kubelet's part of resizing Pods in place: when each is decided and done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::resize::{self, Decision};
use super::resources::Amount;
use super::{Node, commit_status};
use crate::resource::PODS;
use crate::shared::State;
use crate::store::Object;
use crate::timers::Timers;

/// The Pods that are being resized.
#[derive(Debug, Default)]
pub(super) struct Resizes {
    /// The uids of the Pods to look at.
    pub due: Timers<String>,
    /// The uids of the Pods for which there is no room.
    deferred: BTreeSet<String>,
}

// === impl Resizes ===

impl Resizes {
    /// Looks at all Pods again for which there was no room.
    pub fn retry(&mut self) {
        for uid in std::mem::take(&mut self.deferred) {
            self.due.plan(Duration::ZERO, uid);
        }
    }

    pub fn forget(&mut self, uid: &str) {
        self.deferred.remove(uid);
        self.due.retain(|other| other != uid);
    }
}

// === impl Node: resizing ===

impl Node {
    /// Notices that a Pod asks for other resources than it has.
    pub(super) fn see_size(&mut self, pod: &Object) {
        let Some(running) = self.pods.get(pod.uid()) else { return };
        let alive = !running.stage.is_stopping() && !running.stage.is_over() && !running.stage.waits();
        let asks = resize::is_wanted(pod.value()) || resize::is_stale(pod.value());
        if alive && asks && resize::in_progress(pod.value()).is_none() {
            self.resizes.forget(pod.uid());
            self.resizes.due.plan(Duration::ZERO, pod.uid().to_owned());
        }
    }

    /// Decides or ends the resizes that are due.
    pub(super) fn act_on_sizes(&mut self) {
        let shared = Arc::clone(&self.shared);
        while let Some(uid) = self.resizes.due.pop() {
            let Some(running) = self.pods.get(&uid) else { continue };
            if running.takes.is_none() {
                continue;
            }
            if self.settings.lost {
                self.resizes.deferred.insert(uid);
                continue;
            }
            let mut cluster = shared.state();
            let found = cluster.store.get(PODS, &running.namespace, &running.name);
            let Some(pod) = found.filter(|pod| pod.uid() == uid && !pod.terminating()) else { continue };
            if cluster.manual_pods.contains(&uid) {
                continue;
            }
            let generation = &pod.value()["metadata"]["generation"];
            if resize::in_progress(pod.value()) == Some(generation) {
                self.finish_resize(&mut cluster, &pod);
            } else {
                self.decide_resize(&mut cluster, &pod);
            }
        }
    }

    fn decide_resize(&mut self, cluster: &mut State, pod: &Object) {
        let Some(running) = self.pods.get(pod.uid()) else { return };
        let takes = running.takes.unwrap_or_else(Amount::none);
        let node = running.node;
        let (others, now) = (self.machines[node].used.minus(takes), self.shared.clock.stamp());
        let capacity = self.capacity(node);
        let mut value = pod.value().clone();
        if !resize::is_wanted(&value) {
            resize::remove_conditions(&mut value);
            commit_status(cluster, pod, value);
            return;
        }
        let (reason, message) = match resize::decide(&value, others, capacity) {
            Decision::Allocate => {
                let wanted = Amount::requested(&value);
                self.machines[node].used = others.plus(wanted);
                if let Some(running) = self.pods.get_mut(pod.uid()) {
                    running.takes = Some(wanted);
                }
                resize::write_allocated(&mut value, &now);
                commit_status(cluster, pod, value);
                self.resizes.due.plan(self.options.times.run, pod.uid().to_owned());
                // A Pod that shrinks makes room.
                self.retry();
                self.resizes.retry();
                return;
            }
            Decision::Deferred(message) => {
                self.resizes.deferred.insert(pod.uid().to_owned());
                ("Deferred", message)
            }
            Decision::Infeasible(message) => ("Infeasible", message),
        };
        if !resize::is_pending(&value, &message) {
            resize::write_pending(&mut value, reason, &message, &now);
            commit_status(cluster, pod, value);
        }
    }

    fn finish_resize(&mut self, cluster: &mut State, pod: &Object) {
        let mut value = pod.value().clone();
        let restarts = resize::write_done(&mut value, &self.shared.clock.stamp());
        let written = commit_status(cluster, pod, value);
        if !restarts {
            return;
        }
        let Some(running) = self.pods.get(pod.uid()) else { return };
        let count = written.value()["status"]["containerStatuses"][0]["restartCount"].as_u64();
        let count = count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
        let stage = self.circumstances(running, written.value()).run(count.saturating_add(1));
        if let Some(running) = self.pods.get_mut(pod.uid()) {
            running.stage = stage;
        }
        let written = self.reach(cluster, &written, stage);
        self.plan(pod.uid(), written.value());
    }
}
