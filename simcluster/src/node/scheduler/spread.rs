//! Topology spread constraints. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Cluster, Incoming, affinity_fits, taints};
use crate::fields::items;
use crate::selector::requirements::selects;
use crate::store::text_at;

/// The numbers of matching Pods, by the value of a constraint's topology key.
type Counts<'a> = BTreeMap<&'a str, usize>;

/// Returns why a node does not fit because of a constraint, and whether deleting Pods would help.
pub(super) fn check(
    incoming: &Incoming<'_>,
    cluster: &Cluster<'_>,
    node: usize,
) -> Option<(&'static str, bool)> {
    let hard = constraints(incoming.pod, "DoNotSchedule");
    for constraint in &hard {
        let Some(place) = cluster.label(node, text_at(constraint, &["topologyKey"])) else {
            return Some((
                "node(s) didn't match pod topology spread constraints (missing required label)",
                false,
            ));
        };
        let counts = count(constraint, &hard, incoming, cluster);
        let domains = i64::try_from(counts.len()).unwrap_or(i64::MAX);
        let enough = domains >= constraint["minDomains"].as_i64().unwrap_or(1);
        let least = if enough { counts.values().min().copied().unwrap_or(0) } else { 0 };
        let own = usize::from(selects(&selector(constraint, incoming), |key| incoming.labels.get(key)));
        let there = counts.get(place).copied().unwrap_or(0) + own;
        let skew = i64::try_from(there.saturating_sub(least)).unwrap_or(i64::MAX);
        if skew > max_skew(constraint) {
            return Some(("node(s) didn't match pod topology spread constraints", true));
        }
    }
    None
}

/// Returns how much the soft constraints speak against a node.
pub(super) fn score(incoming: &Incoming<'_>, cluster: &Cluster<'_>, node: usize) -> f64 {
    let soft = constraints(incoming.pod, "ScheduleAnyway");
    let against = |constraint: &&Value| {
        let counts = count(constraint, &soft, incoming, cluster);
        let place = cluster.label(node, text_at(constraint, &["topologyKey"]));
        // A node without the label is the worst place.
        let there = place.and_then(|place| counts.get(place)).copied();
        let most = counts.values().max().copied().unwrap_or(0) + 1;
        let weight = f64::from(u32::try_from(counts.len() + 2).unwrap_or(u32::MAX)).ln();
        f64::from(u32::try_from(there.unwrap_or(most)).unwrap_or(u32::MAX)) * weight
    };
    soft.iter().map(against).sum()
}

fn constraints<'a>(pod: &'a Value, action: &str) -> Vec<&'a Value> {
    items(&pod["spec"]["topologySpreadConstraints"])
        .filter(|constraint| constraint["whenUnsatisfiable"] == action)
        .collect()
}

fn max_skew(constraint: &Value) -> i64 {
    constraint["maxSkew"].as_i64().unwrap_or(1)
}

/// Counts the Pods that a constraint selects in each place. Skips nodes without the key of a constraint, and nodes that
/// the policies of the constraint exclude.
fn count<'a>(
    constraint: &Value,
    all: &[&Value],
    incoming: &Incoming<'_>,
    cluster: &'a Cluster<'_>,
) -> Counts<'a> {
    let key = text_at(constraint, &["topologyKey"]);
    let selector = selector(constraint, incoming);
    let mut counts = Counts::new();
    for (node, info) in cluster.nodes.iter().enumerate() {
        let labelled = all.iter().all(|c| cluster.label(node, text_at(c, &["topologyKey"])).is_some());
        let honored = constraint["nodeAffinityPolicy"] == "Ignore" || affinity_fits(incoming.pod, info.node);
        let tolerated =
            constraint["nodeTaintsPolicy"] != "Honor" || taints::tolerates_node(incoming.pod, info);
        let Some(place) = cluster.label(node, key).filter(|_| labelled && honored && tolerated) else {
            continue;
        };
        let here = cluster.placed.iter().filter(|placed| {
            placed.node == node
                && !placed.terminating
                && placed.namespace == incoming.namespace
                && selects(&selector, |key| placed.labels.get(key))
        });
        *counts.entry(place).or_default() += here.count();
    }
    counts
}

/// Returns a constraint's selector with the Pod's own values of `matchLabelKeys`.
fn selector(constraint: &Value, incoming: &Incoming<'_>) -> Value {
    let mut selector = constraint["labelSelector"].clone();
    for key in items(&constraint["matchLabelKeys"]).filter_map(Value::as_str) {
        if let Some(value) = incoming.labels.get(key)
            && selector.is_object()
        {
            selector["matchLabels"][key] = json!(value);
        }
    }
    selector
}
