//! The resources that Pods request, that the node has left, and that the kubelet reports. Pure.

use serde_json::{Map, Value, json};

use crate::fields::items;
use crate::options::Capacity;
use crate::requests::requested;
use crate::validate::quantity::Quantity;

/// The memory limit that the kernel shows for a Pod without one.
const NO_LIMIT: &str = "9007199254740988Ki";

/// An amount of what a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amount {
    pub cpu: Quantity,
    pub memory: Quantity,
    pub pods: u64,
}

// === impl Amount ===

impl Amount {
    /// Nothing at all.
    pub fn none() -> Self {
        Self { cpu: Quantity::whole(0), memory: Quantity::whole(0), pods: 0 }
    }

    /// Returns the whole of a capacity.
    pub fn of(capacity: Capacity) -> Self {
        Self {
            cpu: Quantity::milli(capacity.cpu_millis),
            memory: Quantity::whole(i64::try_from(capacity.memory_bytes).unwrap_or(i64::MAX)),
            pods: capacity.pods,
        }
    }

    /// Returns what a Pod requests.
    pub fn requested(pod: &Value) -> Self {
        Self { cpu: requested(pod, "cpu"), memory: requested(pod, "memory"), pods: 1 }
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.plus(other.cpu),
            memory: self.memory.plus(other.memory),
            pods: self.pods.saturating_add(other.pods),
        }
    }

    pub fn minus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.minus(other.cpu),
            memory: self.memory.minus(other.memory),
            pods: self.pods.saturating_sub(other.pods),
        }
    }

    /// Returns the reasons why this amount exceeds the capacity, in the scheduler's wording and order.
    pub fn lacking(self, capacity: Self) -> Vec<&'static str> {
        [
            (self.cpu.exceeds(capacity.cpu), "Insufficient cpu"),
            (self.memory.exceeds(capacity.memory), "Insufficient memory"),
            (self.pods > capacity.pods, "Too many pods"),
        ]
        .into_iter()
        .filter_map(|(lacks, word)| lacks.then_some(word))
        .collect()
    }
}

/// Returns the resources that a kubelet reports as in force for a whole Pod.
pub(super) fn in_force(pod: &Value) -> Value {
    let limits = summed(pod, "limits", true);
    let requests = summed(pod, "requests", false);
    let mut all = json!({"limits": limits});
    if !all["limits"].as_object().is_some_and(|limits| limits.contains_key("memory")) {
        all["limits"]["memory"] = NO_LIMIT.into();
    }
    if !requests.is_empty() {
        all["requests"] = requests.into();
    }
    all
}

/// Returns the resources that the node allocates to a whole Pod; empty for one that requests none.
pub(super) fn allocated(pod: &Value) -> Map<String, Value> {
    summed(pod, "requests", false)
}

/// The sum over all containers. If all must name an amount for there to be one, a single one without it means none.
fn summed(pod: &Value, kind: &str, all: bool) -> Map<String, Value> {
    let containers = items(&pod["spec"]["containers"]);
    let mut sums = Map::new();
    for key in ["cpu", "memory"] {
        let one = |c: &Value| Quantity::from_json(c["resources"][kind].get(key)?);
        let named: Vec<_> = containers.clone().filter_map(one).collect();
        if named.is_empty() || (all && named.len() < containers.len()) {
            continue;
        }
        if let Some(sum) = named.into_iter().reduce(Quantity::plus) {
            sums.insert(key.to_owned(), sum.canonical().into());
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(resources: &[Value]) -> Value {
        let containers: Vec<_> = resources.iter().map(|r| json!({"resources": r})).collect();
        json!({"spec": {"containers": containers}})
    }

    #[test]
    fn a_pod_without_limits_is_reported_with_the_kernels_own() {
        assert_eq!(in_force(&pod(&[json!({})])), json!({"limits": {"memory": "9007199254740988Ki"}}));
        let limited = pod(&[json!({"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}})]);
        let expected = json!({"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}});
        assert_eq!(in_force(&limited), expected);
        let half = pod(&[json!({"limits": {"memory": "64Mi"}}), json!({})]);
        assert_eq!(in_force(&half), json!({"limits": {"memory": "9007199254740988Ki"}}));
    }

    #[test]
    fn the_greediest_init_container_counts_if_it_asks_for_more_than_the_rest_together() {
        let mut asking = pod(&[json!({"requests": {"cpu": "1"}}), json!({"requests": {"cpu": "1"}})]);
        assert_eq!(Amount::requested(&asking).cpu, Quantity::whole(2));
        asking["spec"]["initContainers"] = json!([{"resources": {"requests": {"cpu": "3"}}}]);
        assert_eq!(Amount::requested(&asking).cpu, Quantity::whole(3));
    }
}
