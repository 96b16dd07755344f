//! The settings of the node that can change while it runs.

use std::collections::HashMap;

use serde_json::Value;

use crate::behaviour::Behaviour;
use crate::options::{Capacity, NodeOptions};
use crate::store::text_at;

/// The settings of the nodes. The handle of the cluster writes them, and the node follows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// The behaviour of Pods without one of their own.
    pub behaviour: Behaviour,
    /// The behaviour of certain Pods, by namespace and name, also before they exist.
    pub pods: HashMap<(String, String), Behaviour>,
    /// The whole capacity of the first node.
    pub capacity: Capacity,
    /// Whether the nodes are unreachable.
    pub lost: bool,
    /// Whether network policies have no effect, as with a network plugin that does not know them.
    pub ignores_network_policies: bool,
}

// === impl Settings ===

impl Settings {
    pub fn of(options: &NodeOptions) -> Self {
        Self { behaviour: options.behaviour, capacity: options.capacity, ..Self::default() }
    }

    /// How a Pod behaves: as was said of it at run time, else by its annotation, else as all do.
    pub fn behaviour_of(&self, pod: &Value) -> Behaviour {
        let meta = |key| text_at(pod, &["metadata", key]).to_owned();
        let said =
            if self.pods.is_empty() { None } else { self.pods.get(&(meta("namespace"), meta("name"))) };
        said.copied().or_else(|| Behaviour::of(pod)).unwrap_or(self.behaviour)
    }
}
