//! The Node object: the node registers it, and the node controller marks it when the node is unreachable.

use tokio::time::Instant;

use super::{Node, object};
use crate::resource::NODES;

// === impl Node: its presence ===

impl Node {
    /// Writes the Node object as a kubelet that starts or goes on does: ready, with its capacity.
    pub(super) fn register(&self) {
        let now = self.shared.clock.stamp();
        let mut state = self.shared.state();
        let capacity = self.settings.capacity;
        let Some(old) = state.store.get(NODES, "", &self.options.name) else {
            let mut node = object::new(&self.options.name, capacity, &now);
            node["metadata"]["uid"] = state.random.uid().into();
            node["metadata"]["creationTimestamp"] = now.into();
            state.store.put(NODES, node);
            return;
        };
        let mut node = old.value().clone();
        object::write_capacity(&mut node, capacity);
        object::hear(&mut node, &now);
        if node != *old.value() {
            state.store.put(NODES, node);
        }
    }

    /// Marks the Node object once nothing has been heard of it for too long.
    pub(super) fn notice_silence(&mut self) {
        if self.deadline.is_none_or(|deadline| deadline > Instant::now()) {
            return;
        }
        self.deadline = None;
        let mut state = self.shared.state();
        if let Some(old) = state.store.get(NODES, "", &self.options.name) {
            let mut node = old.value().clone();
            object::lose(&mut node, &self.shared.clock.stamp());
            state.store.put(NODES, node);
        }
    }
}
