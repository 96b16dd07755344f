//! Affinity and anti-affinity between Pods. Pure.

use serde_json::Value;

use super::{Cluster, Incoming, Placed};
use crate::fields::items;
use crate::selector::requirements::selects;
use crate::store::{Labels, text_at};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// The required terms of a Pod's affinity, of one kind (`podAffinity`, `podAntiAffinity`).
fn required<'a>(affinity: &'a Value, kind: &str) -> std::slice::Iter<'a, Value> {
    items(&affinity[kind][REQUIRED])
}

/// The preferred terms of a Pod's affinity, of one kind, with their weights.
fn preferred<'a>(affinity: &'a Value, kind: &str) -> impl Iterator<Item = (i64, &'a Value)> {
    items(&affinity[kind][PREFERRED])
        .map(|term| (term["weight"].as_i64().unwrap_or(0), &term["podAffinityTerm"]))
}

/// Whether a Pod's affinity has terms about other Pods.
pub(in crate::node) fn concerns_pods(affinity: &Value) -> bool {
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| affinity[*kind].is_object())
}

/// Returns why a node does not fit because of other Pods, and whether their deletion would help.
pub(super) fn check(
    incoming: &Incoming<'_>,
    cluster: &Cluster<'_>,
    node: usize,
) -> Option<(&'static str, bool)> {
    let affinity = &incoming.pod["spec"]["affinity"];
    if !attracts(required(affinity, "podAffinity").as_slice(), incoming, cluster, node) {
        return Some(("node(s) didn't match pod affinity rules", false));
    }
    let repelled = required(affinity, "podAntiAffinity").any(|term| {
        let matching =
            |placed: &Placed<'_>| matches(term, incoming.namespace, placed.namespace, placed.labels, cluster);
        cluster.placed.iter().any(|placed| matching(placed) && shares(cluster, term, node, placed.node))
    });
    if repelled {
        return Some(("node(s) didn't match pod anti-affinity rules", true));
    }
    let unwanted = cluster.placed.iter().any(|placed| {
        let mut terms =
            placed.affinity.into_iter().flat_map(|affinity| required(affinity, "podAntiAffinity"));
        terms.any(|term| {
            matches(term, placed.namespace, incoming.namespace, incoming.labels, cluster)
                && shares(cluster, term, node, placed.node)
        })
    });
    unwanted.then_some(("node(s) didn't satisfy existing pods anti-affinity rules", true))
}

/// Whether the required affinity of a Pod holds on a node. A Pod that all terms select counts. The first of a group of
/// Pods that select themselves may go anywhere.
fn attracts(terms: &[Value], incoming: &Incoming<'_>, cluster: &Cluster<'_>, node: usize) -> bool {
    let all_match = |namespace: &str, labels: &Labels| {
        terms.iter().all(|term| matches(term, incoming.namespace, namespace, labels, cluster))
    };
    let has_key = |term: &Value| cluster.label(node, text_at(term, &["topologyKey"])).is_some();
    if !terms.iter().all(has_key) {
        return false;
    }
    let peers: Vec<_> =
        cluster.placed.iter().filter(|placed| all_match(placed.namespace, placed.labels)).collect();
    let near = |term: &Value| peers.iter().any(|peer| shares(cluster, term, node, peer.node));
    let any_near_somewhere = terms.iter().any(|term| {
        peers.iter().any(|peer| cluster.label(peer.node, text_at(term, &["topologyKey"])).is_some())
    });
    terms.iter().all(near) || (!any_near_somewhere && all_match(incoming.namespace, incoming.labels))
}

/// Returns how much the preferences of a Pod and of those that are there speak for a node.
pub(super) fn score(incoming: &Incoming<'_>, cluster: &Cluster<'_>, node: usize) -> i64 {
    let affinity = &incoming.pod["spec"]["affinity"];
    let mut sum = 0;
    for (kind, sign) in [("podAffinity", 1), ("podAntiAffinity", -1)] {
        for placed in cluster.placed {
            let near = |term: &Value| shares(cluster, term, node, placed.node);
            for (weight, term) in preferred(affinity, kind) {
                if near(term) && matches(term, incoming.namespace, placed.namespace, placed.labels, cluster) {
                    sum += sign * weight;
                }
            }
            let Some(theirs) = placed.affinity else { continue };
            let wants = |term: &Value| {
                near(term) && matches(term, placed.namespace, incoming.namespace, incoming.labels, cluster)
            };
            sum +=
                preferred(theirs, kind).filter(|(_, term)| wants(term)).map(|(w, _)| sign * w).sum::<i64>();
            // A Pod that must be near the new one speaks for its own place, too.
            if sign > 0 {
                sum += required(theirs, kind).map(|term| i64::from(wants(term))).sum::<i64>();
            }
        }
    }
    sum
}

/// Whether two nodes are one place by the topology key of a term.
fn shares(cluster: &Cluster<'_>, term: &Value, one: usize, other: usize) -> bool {
    let key = text_at(term, &["topologyKey"]);
    let value = cluster.label(one, key);
    value.is_some() && value == cluster.label(other, key)
}

/// Whether a term of a Pod in `own` namespace selects a Pod.
fn matches(term: &Value, own: &str, namespace: &str, labels: &Labels, cluster: &Cluster<'_>) -> bool {
    let mut listed = items(&term["namespaces"]);
    let selector = term.get("namespaceSelector").filter(|selector| !selector.is_null());
    let in_space = if listed.len() == 0 && selector.is_none() {
        own == namespace
    } else {
        let labels = (cluster.namespace_labels)(namespace);
        listed.any(|listed| listed == namespace)
            || selector.is_some_and(|selector| selects(selector, |key| labels.get(key)))
    };
    in_space && selects(&term["labelSelector"], |key| labels.get(key))
}
