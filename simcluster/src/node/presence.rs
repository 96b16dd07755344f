//! The Node objects: the nodes register them, and the node controller marks them when the nodes are unreachable.

use tokio::time::Instant;

use super::{Node, object};
use crate::resource::NODES;

// === impl Node: its presence ===

impl Node {
    /// Writes the Node objects as kubelets that start or go on do: ready, with their capacities.
    pub(super) fn register(&self) {
        let now = self.shared.clock.stamp();
        let mut state = self.shared.state();
        for (place, machine) in self.machines.iter().enumerate() {
            let Some(old) = state.store.get(NODES, "", &machine.name) else {
                let mut node = object::new(place, machine, &now);
                node["metadata"]["uid"] = state.random.uid().into();
                node["metadata"]["creationTimestamp"] = now.as_str().into();
                state.store.put(NODES, node);
                continue;
            };
            let mut node = old.value().clone();
            object::write_capacity(&mut node, machine.capacity);
            object::hear(&mut node, &now);
            if node != *old.value() {
                state.store.put(NODES, node);
            }
        }
    }

    /// Marks the Node objects once nothing has been heard of the nodes for too long.
    pub(super) fn notice_silence(&mut self) {
        if self.deadline.is_none_or(|deadline| deadline > Instant::now()) {
            return;
        }
        self.deadline = None;
        let mut state = self.shared.state();
        for machine in &self.machines {
            if let Some(old) = state.store.get(NODES, "", &machine.name) {
                let mut node = old.value().clone();
                object::lose(&mut node, &self.shared.clock.stamp());
                state.store.put(NODES, node);
            }
        }
    }
}
