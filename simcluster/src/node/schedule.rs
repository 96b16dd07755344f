//! The scheduler: binds Pods that fit, and lets the others wait for capacity.

use serde_json::Value;
use tokio::time::Instant;

use super::events::EventContent;
use super::fit::NodeInfo;
use super::life::Stage;
use super::resources::Amount;
use super::volumes::PodVolumes;
use super::{Node, commit_status, report};
use crate::api;
use crate::resource::NODES;
use crate::shared::State;
use crate::storage::SELECTED_NODE;
use crate::store::Object;

// === impl Node: the scheduler ===

impl Node {
    /// Plans another attempt for all Pods that wait, oldest first, because one may fit now.
    pub(super) fn retry(&mut self) {
        for (_, uid) in std::mem::take(&mut self.waiting) {
            let Some(running) = self.pods.get_mut(&uid) else { continue };
            let at = (Instant::now() + self.options.times.schedule, self.planned);
            self.planned += 1;
            if let Some((_, old)) = running.next.replace((Stage::Scheduled, at)) {
                self.due.remove(&old);
            }
            self.due.insert(at, uid);
        }
    }

    pub(super) fn release_capacity(&mut self, taken: Option<Amount>) {
        if let Some(taken) = taken {
            self.used = self.used.minus(taken);
            self.retry();
            self.resizes.retry();
        }
    }

    /// Binds a Pod to the node, first its claims, or reports why it does not fit.
    pub(super) fn schedule(&mut self, cluster: &mut State, pod: &Object) -> (Stage, Object) {
        let Some(running) = self.pods.get_mut(pod.uid()) else { return (Stage::New, pod.clone()) };
        let volumes = PodVolumes::of(cluster, pod);
        // A Pod whose claims are being bound has capacity reserved, which it asks for again.
        let reserved = running.takes.take();
        if let Some(reserved) = reserved {
            self.used = self.used.minus(reserved);
        }
        let node = cluster.store.get(NODES, "", &self.options.name);
        let node_info = NodeInfo {
            node: node.as_ref().map_or(&Value::Null, |node| node.value()),
            capacity: self.settings.capacity(),
            used: self.used,
            lost: self.settings.lost,
        };
        if let Err(why) = node_info.check(pod.value(), running.behaviour.course, &volumes) {
            if reserved.is_some() {
                self.retry();
            }
            return (Stage::Unschedulable, self.refuse(cluster, pod, &why));
        }
        let takes = Amount::requested(pod.value());
        running.takes = Some(takes);
        self.used = self.used.plus(takes);
        if volumes.unbound.is_empty() {
            return (Stage::Scheduled, self.reach(cluster, pod, Stage::Scheduled));
        }
        for claim in &volumes.unbound {
            let mut value = claim.value().clone();
            value["metadata"]["annotations"][SELECTED_NODE] = self.options.name.as_str().into();
            api::commit_change(cluster, claim, value);
        }
        (Stage::Binding, pod.clone())
    }

    /// Reports why no node takes a Pod, unless that was reported already.
    fn refuse(&mut self, cluster: &mut State, pod: &Object, why: &str) -> Object {
        if pod.value()["status"]["conditions"][0]["message"] == why {
            return pod.clone();
        }
        let mut value = pod.value().clone();
        report::unschedulable(&mut value, why, &self.shared.clock.stamp());
        let written = commit_status(cluster, pod, value);
        let content = EventContent::failed_scheduling(why);
        self.recorder.write(cluster, &self.shared.clock, &written, content);
        written
    }
}
