//! What of the node can be changed while it runs.

use std::collections::HashMap;

use serde_json::Value;

use super::resources::Amount;
use crate::behaviour::Behaviour;
use crate::options::{Capacity, NodeOptions};
use crate::store::text_at;
use crate::validate::quantity::Quantity;

/// The node's settings; whoever holds the cluster writes them, the node follows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// How Pods behave that nothing else is said of.
    pub behaviour: Behaviour,
    /// How certain Pods behave, by namespace and name, before they exist too.
    pub pods: HashMap<(String, String), Behaviour>,
    /// All that the node has.
    pub capacity: Capacity,
    /// Whether nothing is heard of it.
    pub lost: bool,
}

// === impl Settings ===

impl Settings {
    pub fn of(options: &NodeOptions) -> Self {
        Self {
            behaviour: options.behaviour,
            capacity: Capacity {
                cpu_millis: options.cpu_millis,
                memory_bytes: options.memory_bytes,
                pods: options.pods,
            },
            ..Self::default()
        }
    }

    /// How a Pod behaves: as was said of it at run time, else by its annotation, else as all do.
    pub fn behaviour_of(&self, pod: &Value) -> Behaviour {
        let meta = |key| text_at(pod, &["metadata", key]).to_owned();
        let said =
            if self.pods.is_empty() { None } else { self.pods.get(&(meta("namespace"), meta("name"))) };
        said.copied().or_else(|| Behaviour::of(pod)).unwrap_or(self.behaviour)
    }

    pub(super) fn capacity(&self) -> Amount {
        Amount {
            cpu: Quantity::milli(self.capacity.cpu_millis),
            memory: Quantity::whole(i64::try_from(self.capacity.memory_bytes).unwrap_or(i64::MAX)),
            pods: self.capacity.pods,
        }
    }
}
