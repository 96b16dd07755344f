//! The choice between the nodes that fit. Pure.
//!
//! The weights are those of the default plugins. Of equal nodes the real scheduler takes any; here the first wins.

use serde_json::Value;

use super::{Cluster, Incoming, affinity, spread, taints};
use crate::fields::items;
use crate::node::resources::Amount;
use crate::selector::requirements;

/// Returns the best of the nodes that fit; `None` if there is none.
pub(super) fn best(incoming: &Incoming<'_>, cluster: &Cluster<'_>, fitting: &[usize]) -> Option<usize> {
    if let [] | [_] = fitting {
        return fitting.first().copied();
    }
    let each =
        |score: &dyn Fn(usize) -> f64| -> Vec<f64> { fitting.iter().map(|node| score(*node)).collect() };
    let node = |node: usize| cluster.nodes[node].node;
    let taints = each(&|n| float(taints::count_unpreferred(incoming.pod, node(n))));
    let affinity = each(&|n| preferred(incoming.pod, node(n)));
    let spread = each(&|n| spread::score(incoming, cluster, n));
    let pods = each(&|n| float(affinity::score(incoming, cluster, n)));
    // This score is not stretched.
    let mut sums = each(&|n| 100.0 * free(incoming, cluster, n));
    for (scores, weight) in [
        (by_most(&taints).iter().map(|score| 100.0 - score).collect(), 3.0),
        (by_most(&affinity), 2.0),
        (by_most(&spread).iter().map(|score| 100.0 - score).collect(), 2.0),
        (by_range(&pods), 2.0),
    ] {
        let scores: Vec<f64> = scores;
        sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += weight * score);
    }
    let mut best = 0;
    for (place, sum) in sums.iter().enumerate() {
        if *sum > sums[best] {
            best = place;
        }
    }
    Some(fitting[best])
}

/// Scales scores so that the highest is 100.
fn by_most(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().copied().fold(0.0, f64::max);
    scores.iter().map(|score| if most > 0.0 { 100.0 * score / most } else { 0.0 }).collect()
}

/// Stretches scores to the range from 0 to 100.
fn by_range(scores: &[f64]) -> Vec<f64> {
    let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = most - least;
    scores.iter().map(|score| if range > 0.0 { 100.0 * (score - least) / range } else { 0.0 }).collect()
}

/// Returns the weights of the preferred terms of the node affinity that a node matches.
fn preferred(pod: &Value, node: &Value) -> f64 {
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"];
    let matching = items(&affinity["preferredDuringSchedulingIgnoredDuringExecution"])
        .filter(|term| requirements::term_matches(&term["preference"], node))
        .filter_map(|term| term["weight"].as_i64());
    float(matching.sum::<i64>())
}

/// Returns the part of a node that stays free, on the average of its resources (`LeastAllocated`).
fn free(incoming: &Incoming<'_>, cluster: &Cluster<'_>, node: usize) -> f64 {
    let info = &cluster.nodes[node];
    let after = info.used.plus(Amount::requested(incoming.pod));
    let part = |used: i128, all: i128| if all > 0 { 1.0 - float(used) / float(all) } else { 0.0 };
    let cpu = part(after.cpu.millis(), info.capacity.cpu.millis());
    let memory = part(after.memory.units(), info.capacity.memory.units());
    let pods = part(i128::from(after.pods), i128::from(info.capacity.pods));
    // Pods without requests count with a little, so that they do not gather on one node.
    f64::midpoint(cpu, memory) + pods / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "scores are compared, not shown")]
fn float(number: impl TryInto<i64>) -> f64 {
    number.try_into().unwrap_or(i64::MAX) as f64
}
