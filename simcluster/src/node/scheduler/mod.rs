//! The scheduler's decision: the node for a Pod, or the message that explains why none takes it. Pure.
//!
//! Each node passes the filters in the order of the real plugins, and the first that refuses it gives the reason. Of
//! those that remain, [`score`] takes the best.

pub(super) mod affinity;
mod score;
mod spread;
mod taints;

use std::collections::BTreeMap;

use serde_json::Value;

use super::resources::Amount;
use super::volumes::PodVolumes;
use crate::behaviour::Course;
use crate::selector::requirements;
use crate::store::Labels;

/// A node as the scheduler knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeInfo<'a> {
    /// The Node object.
    pub node: &'a Value,
    /// The whole capacity.
    pub capacity: Amount,
    /// The sum of the requests of its Pods.
    pub used: Amount,
    /// Whether the node is unreachable.
    pub lost: bool,
}

/// A Pod that has a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a> {
    pub namespace: &'a str,
    pub labels: &'a Labels,
    /// The place of its node in the list.
    pub node: usize,
    /// Its affinity, if that concerns other Pods.
    pub affinity: Option<&'a Value>,
    pub terminating: bool,
}

/// The nodes and the Pods on them.
pub(super) struct Cluster<'a> {
    pub nodes: &'a [NodeInfo<'a>],
    pub placed: &'a [Placed<'a>],
    /// Returns the labels of a namespace.
    pub namespace_labels: &'a dyn Fn(&str) -> Labels,
}

/// The Pod that wants a node.
pub(super) struct Incoming<'a> {
    pub pod: &'a Value,
    pub namespace: &'a str,
    pub labels: &'a Labels,
    pub volumes: &'a PodVolumes,
    pub course: Course,
}

/// Why a node does not take a Pod.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    reasons: Vec<&'static str>,
    /// Whether the deletion of other Pods would help.
    preemptible: bool,
}

// === impl Cluster ===

impl Cluster<'_> {
    /// Returns a label of a node.
    fn label(&self, node: usize, key: &str) -> Option<&str> {
        self.nodes.get(node)?.node["metadata"]["labels"].get(key)?.as_str()
    }
}

/// Returns the place of the node that takes a Pod. The error is the scheduler's message.
pub(super) fn choose(incoming: &Incoming<'_>, cluster: &Cluster<'_>) -> Result<usize, String> {
    let count = cluster.nodes.len();
    if let Some(why) = &incoming.volumes.error {
        // The search for victims fails with "not found", because it needs an earlier step's result.
        return Err(format!("0/{count} nodes are available: {why}. not found"));
    }
    let results: Vec<_> = (0..count).map(|node| filter(incoming, cluster, node)).collect();
    let fitting: Vec<_> = results.iter().enumerate().filter(|(_, r)| r.is_ok()).map(|(n, _)| n).collect();
    score::best(incoming, cluster, &fitting).ok_or_else(|| {
        let refusals: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        message(&refusals, incoming.pod["spec"]["preemptionPolicy"] == "Never")
    })
}

/// Passes one node through the filters.
fn filter(incoming: &Incoming<'_>, cluster: &Cluster<'_>, node: usize) -> Result<(), Refusal> {
    let (pod, volumes, info) = (incoming.pod, incoming.volumes, &cluster.nodes[node]);
    let refuse = |reason, preemptible| Err(Refusal { reasons: vec![reason], preemptible });
    let wanted = Amount::requested(pod);
    let cordoned = info.node["spec"]["unschedulable"] == true && !taints::tolerates_cordon(pod);
    if incoming.course == Course::Unschedulable || cordoned {
        return refuse("node(s) were unschedulable", false);
    }
    if !taints::tolerates_node(pod, info) {
        return refuse("node(s) had untolerated taint(s)", false);
    }
    if !affinity_fits(pod, info.node) {
        return refuse("node(s) didn't match Pod's node affinity/selector", false);
    }
    for (sum, preemptible) in [(wanted, false), (info.used.plus(wanted), true)] {
        let reasons = sum.lacking(info.capacity);
        if !reasons.is_empty() {
            return Err(Refusal { reasons, preemptible });
        }
    }
    if volumes.taken {
        let why =
            "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
        return refuse(why, true);
    }
    if !volumes.affinities.iter().all(|required| requirements::matches(required, info.node)) {
        return refuse("node(s) didn't match PersistentVolume's node affinity", false);
    }
    if volumes.unbindable {
        return refuse("node(s) didn't find available persistent volumes to bind", false);
    }
    let others = spread::check(incoming, cluster, node).or_else(|| affinity::check(incoming, cluster, node));
    others.map_or(Ok(()), |(reason, preemptible)| refuse(reason, preemptible))
}

/// Whether a node matches the selector and the required node affinity of a Pod.
fn affinity_fits(pod: &Value, node: &Value) -> bool {
    let spec = &pod["spec"];
    let labels = &node["metadata"]["labels"];
    let mut pairs = spec["nodeSelector"].as_object().into_iter().flatten();
    let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    pairs.all(|(key, value)| labels.get(key) == Some(value))
        && (required.is_null() || requirements::matches(required, node))
}

/// Writes the refusals of all nodes as the scheduler does: each reason with the number of its nodes, sorted as text.
fn message(refusals: &[&Refusal], never_preempts: bool) -> String {
    let all = refusals.len();
    let reasons = refusals.iter().flat_map(|refusal| refusal.reasons.iter().copied());
    let help = refusals.iter().map(|refusal| {
        if refusal.preemptible {
            "No preemption victims found for incoming pod"
        } else {
            "Preemption is not helpful for scheduling"
        }
    });
    let preemption = if never_preempts {
        "not eligible due to preemptionPolicy=Never.".to_owned()
    } else {
        format!("0/{all} nodes are available: {}.", counted(help))
    };
    format!(
        "0/{all} nodes are available: {}. no new claims to deallocate, preemption: {preemption}",
        counted(reasons)
    )
}

fn counted<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut lines: Vec<_> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    lines.sort();
    lines.join(", ")
}

#[cfg(test)]
mod tests;
