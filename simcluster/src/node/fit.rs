//! Whether a Pod fits on the node at all.

use serde_json::Value;

use crate::options::NodeOptions;
use crate::store::text_at;
use crate::validate::quantity::Quantity;

const NO_HELP: &str = "no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for \
     scheduling.";

/// The error is the scheduler's message. `claimed` says whether there is a claim of a name.
pub(super) fn check(pod: &Value, node: &NodeOptions, claimed: impl Fn(&str) -> bool) -> Result<(), String> {
    let spec = &pod["spec"];
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let claim = text_at(volume, &["persistentVolumeClaim", "claimName"]);
        if !claim.is_empty() && !claimed(claim) {
            return Err(format!(
                "0/1 nodes are available: persistentvolumeclaim {claim:?} not found. not found"
            ));
        }
    }
    let selects = spec["nodeSelector"].as_object().is_some_and(|selector| {
        selector.iter().any(|(key, value)| key != "kubernetes.io/hostname" || value != node.name.as_str())
    });
    if selects {
        return Err(format!(
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. {NO_HELP}"
        ));
    }
    let requested = |key: &str| {
        let containers = spec["containers"].as_array().into_iter().flatten();
        containers
            .filter_map(|container| Quantity::from_json(container["resources"]["requests"].get(key)?))
            .fold(Quantity::whole(0), Quantity::plus)
    };
    let cpu = Quantity::milli(node.cpu_millis);
    let memory = Quantity::whole(i64::try_from(node.memory_bytes).unwrap_or(i64::MAX));
    for (key, capacity) in [("cpu", cpu), ("memory", memory)] {
        if requested(key).exceeds(capacity) {
            return Err(format!("0/1 nodes are available: 1 Insufficient {key}. {NO_HELP}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_asks_for_too_much_or_for_another_node_does_not_fit() {
        let node = NodeOptions::default();
        let pod = |spec: Value| json!({"spec": spec});
        let asks = |key: &str, amount: &str| {
            pod(json!({"containers": [{"resources": {"requests": {key: amount}}}]}))
        };
        assert_eq!(check(&asks("memory", "1Gi"), &node, |_| true), Ok(()));
        assert!(
            check(&asks("memory", "900Ti"), &node, |_| true).unwrap_err().contains("1 Insufficient memory.")
        );
        assert!(check(&asks("cpu", "65"), &node, |_| true).unwrap_err().contains("1 Insufficient cpu."));
        let elsewhere = pod(json!({"nodeSelector": {"nope": "x"}}));
        assert!(
            check(&elsewhere, &node, |_| true)
                .unwrap_err()
                .contains("didn't match Pod's node affinity/selector")
        );
        let claim = pod(json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}));
        assert_eq!(check(&claim, &node, |name| name == "c"), Ok(()));
        assert!(check(&claim, &node, |_| false).is_err());
    }
}
