//! The nodes: their names, labels and capacities, and what their Pods take.

use std::collections::BTreeMap;

use super::resources::Amount;
use crate::options::{Capacity, NodeOptions, OtherNode};

/// One node.
#[derive(Debug)]
pub(super) struct Machine {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub capacity: Capacity,
    /// The sum of the requests of its Pods.
    pub used: Amount,
}

// === impl Machine ===

impl Machine {
    /// Returns all nodes of a cluster, the first one, which has this capacity, first.
    pub fn all(options: &NodeOptions, capacity: Capacity) -> Vec<Self> {
        let (name, labels) = (options.name.clone(), options.labels.clone());
        let first = OtherNode { name, labels, capacity };
        let all = std::iter::once(first).chain(options.others.iter().cloned());
        all.map(|OtherNode { name, labels, capacity }| Self { name, labels, capacity, used: Amount::none() })
            .collect()
    }
}

/// Returns the address of a node, by its place.
pub(super) fn address(node: usize) -> String {
    format!("192.0.2.{}", 2 + node.min(252))
}
