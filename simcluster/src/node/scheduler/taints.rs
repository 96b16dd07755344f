//! Taints and tolerations. Pure.

use serde_json::{Value, json};

use super::NodeInfo;
use crate::fields::items;
use crate::node::object::UNREACHABLE;
use crate::store::text_at;

/// The taint of a cordoned node.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Whether a Pod may be put on a cordoned node.
pub(super) fn tolerates_cordon(pod: &Value) -> bool {
    tolerates(pod, &json!({"key": UNSCHEDULABLE, "effect": "NoSchedule"}))
}

/// Whether a Pod tolerates all taints of a node that keep Pods away.
pub(super) fn tolerates_node(pod: &Value, node: &NodeInfo<'_>) -> bool {
    let lost = node.lost.then(|| json!({"key": UNREACHABLE, "effect": "NoSchedule"}));
    let keeps_away = |taint: &&Value| matches!(text_at(taint, &["effect"]), "NoSchedule" | "NoExecute");
    items(&node.node["spec"]["taints"]).filter(keeps_away).chain(&lost).all(|taint| tolerates(pod, taint))
}

/// Returns how many taints of a node that a Pod does not tolerate ask to prefer other nodes.
pub(super) fn count_unpreferred(pod: &Value, node: &Value) -> usize {
    items(&node["spec"]["taints"])
        .filter(|taint| taint["effect"] == "PreferNoSchedule" && !tolerates(pod, taint))
        .count()
}

fn tolerates(pod: &Value, taint: &Value) -> bool {
    items(&pod["spec"]["tolerations"]).any(|toleration| {
        let part = |key| text_at(toleration, &[key]);
        let same = |key| part(key).is_empty() || part(key) == text_at(taint, &[key]);
        let exists = part("operator") == "Exists";
        // A toleration without a key is for all keys, but only with `Exists`.
        let key = if part("key").is_empty() { exists } else { same("key") };
        same("effect") && key && (exists || part("value") == text_at(taint, &["value"]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::resources::Amount;

    /// Guards which tolerations are for which taints.
    #[test]
    fn tolerations_match_by_key_value_and_effect() {
        let taint = json!({"key": "k", "value": "v", "effect": "NoSchedule"});
        for (toleration, expected) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "k", "operator": "Exists"}), true),
            (json!({"key": "k", "value": "v"}), true),
            (json!({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}), true),
            (json!({"key": "k", "value": "v", "effect": "NoExecute"}), false),
            (json!({"key": "k", "value": "other"}), false),
            (json!({"key": "other", "operator": "Exists"}), false),
            (json!({"value": "v"}), false),
        ] {
            let pod = json!({"spec": {"tolerations": [toleration]}});
            assert_eq!(tolerates(&pod, &taint), expected, "{pod}");
        }
        let node = json!({"spec": {"taints": [taint, {"key": "p", "effect": "PreferNoSchedule"}]}});
        let info = NodeInfo { node: &node, capacity: Amount::none(), used: Amount::none(), lost: false };
        assert!(!tolerates_node(&json!({}), &info));
        assert_eq!(count_unpreferred(&json!({}), &node), 1);
        let bare = json!({});
        assert!(tolerates_node(&json!({}), &NodeInfo { node: &bare, ..info }));
        assert!(!tolerates_node(&json!({}), &NodeInfo { node: &bare, lost: true, ..info }));
    }
}
