//! The scheduler: binds Pods that fit, and lets the others wait for capacity.

use serde_json::Value;

use super::events::EventContent;
use super::life::Stage;
use super::machines::Machine;
use super::resources::Amount;
use super::scheduler::{self, Cluster, Incoming, NodeInfo, Placed};
use super::volumes::PodVolumes;
use super::{Node, commit_status, report};
use crate::api;
use crate::behaviour::Course;
use crate::resource::{NAMESPACES, NODES};
use crate::shared::State;
use crate::storage::SELECTED_NODE;
use crate::store::Object;

// === impl Node: the scheduler ===

impl Node {
    /// Plans another attempt for all Pods that wait, oldest first, because one may fit now.
    pub(super) fn retry(&mut self) {
        for (_, uid) in std::mem::take(&mut self.waiting) {
            let due = self.due.plan(self.options.times.schedule, uid.clone());
            self.replace_next(&uid, Some((Stage::Scheduled, due)));
        }
    }

    pub(super) fn release_capacity(&mut self, node: usize, taken: Option<Amount>) {
        if let Some(taken) = taken {
            self.machines[node].used = self.machines[node].used.minus(taken);
            self.retry();
            self.resizes.retry();
        }
    }

    /// Returns the whole capacity of a node.
    pub(super) fn capacity(&self, node: usize) -> Amount {
        Amount::of(self.machines[node].capacity)
    }

    /// Binds a Pod to a node, first its claims, or reports why none takes it.
    pub(super) fn schedule(&mut self, cluster: &mut State, pod: &Object) -> (Stage, Object) {
        let Some(running) = self.pods.get_mut(pod.uid()) else { return (Stage::New, pod.clone()) };
        let (course, before) = (running.behaviour.course, running.node);
        // A Pod whose claims are being bound has capacity reserved, which it asks for again.
        let reserved = running.takes.take();
        if let Some(reserved) = reserved {
            self.machines[before].used = self.machines[before].used.minus(reserved);
        }
        let volumes = PodVolumes::of(cluster, pod);
        let node = match self.choose(cluster, pod, course, &volumes) {
            Ok(node) => node,
            Err(why) => {
                if reserved.is_some() {
                    self.retry();
                }
                return (Stage::Unschedulable, self.refuse(cluster, pod, &why));
            }
        };
        let takes = Amount::requested(pod.value());
        self.machines[node].used = self.machines[node].used.plus(takes);
        if let Some(running) = self.pods.get_mut(pod.uid()) {
            (running.node, running.takes) = (node, Some(takes));
        }
        if volumes.unbound.is_empty() {
            // Another Pod may wait for one like this.
            if self.affine > 0 {
                self.retry();
            }
            return (Stage::Scheduled, self.reach(cluster, pod, Stage::Scheduled));
        }
        for claim in &volumes.unbound {
            let mut value = claim.value().clone();
            value["metadata"]["annotations"][SELECTED_NODE] = self.machines[node].name.as_str().into();
            api::commit_change(cluster, claim, value);
        }
        (Stage::Binding, pod.clone())
    }

    fn choose(
        &self,
        state: &State,
        pod: &Object,
        course: Course,
        volumes: &PodVolumes,
    ) -> Result<usize, String> {
        let found = |machine: &Machine| state.store.get(NODES, "", &machine.name);
        let objects: Vec<_> = self.machines.iter().map(found).collect();
        let nodes: Vec<_> = objects
            .iter()
            .enumerate()
            .map(|(place, object)| NodeInfo {
                node: object.as_ref().map_or(&Value::Null, |node| node.value()),
                capacity: self.capacity(place),
                used: self.machines[place].used,
                lost: self.settings.lost,
            })
            .collect();
        let spec = &pod.value()["spec"];
        let others_matter = self.affine > 0 || spec["topologySpreadConstraints"].is_array();
        let others = self
            .pods
            .iter()
            .filter(|(uid, other)| others_matter && other.takes.is_some() && uid.as_str() != pod.uid());
        let placed: Vec<_> = others
            .map(|(_, other)| Placed {
                namespace: &other.namespace,
                labels: &other.labels,
                node: other.node,
                affinity: other.affinity.as_deref(),
                terminating: other.stage.is_stopping(),
            })
            .collect();
        let namespace_labels = |name: &str| {
            let namespace = state.store.get(NAMESPACES, "", name);
            namespace.map(|namespace| namespace.labels().clone()).unwrap_or_default()
        };
        let there = Cluster { nodes: &nodes, placed: &placed, namespace_labels: &namespace_labels };
        let incoming =
            Incoming { pod: pod.value(), namespace: pod.namespace(), labels: pod.labels(), volumes, course };
        scheduler::choose(&incoming, &there)
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
        self.recorder.write(cluster, &self.shared.clock, &written, &content, "");
        written
    }
}
