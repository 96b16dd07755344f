//! The nodes: their names, labels and capacities, and what their Pods take.

use std::collections::BTreeMap;

use super::resources::Amount;
use crate::options::{Capacity, NodeOptions};

/// One node.
#[derive(Debug)]
pub(super) struct Machine {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// Its capacity at the start. That of the first node can change at run time.
    pub capacity: Capacity,
    /// The sum of the requests of its Pods.
    pub used: Amount,
}

// === impl Machine ===

impl Machine {
    /// Returns all nodes of a cluster, the first one first.
    pub fn all(options: &NodeOptions) -> Vec<Self> {
        let machine = |name: &str, labels: &BTreeMap<String, String>, capacity| Self {
            name: name.to_owned(),
            labels: labels.clone(),
            capacity,
            used: Amount::none(),
        };
        let first = machine(&options.name, &options.labels, options.capacity());
        let others = options.others.iter().map(|node| machine(&node.name, &node.labels, node.capacity));
        std::iter::once(first).chain(others).collect()
    }
}

/// Returns the address of a node, by its place.
pub(super) fn address(node: usize) -> String {
    format!("192.0.2.{}", 2 + node.min(252))
}
