//! Whether a Pod fits on the node, in the scheduler's own words. Pure.

use serde_json::Value;

use super::resources::Amount;
use super::selector;
use super::volumes::PodVolumes;
use crate::behaviour::Course;

/// The node as the scheduler knows it.
#[derive(Debug)]
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

// === impl NodeInfo ===

impl NodeInfo<'_> {
    /// The error is the scheduler's message.
    pub fn check(&self, pod: &Value, course: Course, volumes: &PodVolumes) -> Result<(), String> {
        let spec = &pod["spec"];
        if let Some(why) = &volumes.error {
            // "not found" is what is left of the search for victims, which needs an earlier step's result.
            return Err(format!("0/1 nodes are available: {why}. not found"));
        }
        if course == Course::Unschedulable || self.node["spec"]["unschedulable"] == true {
            return Err(refused("node(s) were unschedulable", false));
        }
        if self.lost {
            return Err(refused("node(s) had untolerated taint(s)", false));
        }
        let selects = spec["nodeSelector"].as_object().is_some_and(|selector| {
            let labels = &self.node["metadata"]["labels"];
            !selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        });
        if selects {
            return Err(refused("node(s) didn't match Pod's node affinity/selector", false));
        }
        let wanted = Amount::requested(pod);
        let never = wanted.lacking(self.capacity);
        if !never.is_empty() {
            return Err(refused(&never.join(", 1 "), false));
        }
        let now = self.used.plus(wanted).lacking(self.capacity);
        if !now.is_empty() {
            return Err(refused(&now.join(", 1 "), true));
        }
        if volumes.taken {
            let why = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
            return Err(refused(why, true));
        }
        if !volumes.affinities.iter().all(|required| selector::matches(required, self.node)) {
            return Err(refused("node(s) didn't match PersistentVolume's node affinity", false));
        }
        if volumes.unbindable {
            return Err(refused("node(s) didn't find available persistent volumes to bind", false));
        }
        Ok(())
    }
}

/// The message for a node that was looked at. Were Pods to go, it might do: but none is of lower priority.
fn refused(why: &str, with_room: bool) -> String {
    let help = if with_room {
        "No preemption victims found for incoming pod."
    } else {
        "Preemption is not helpful for scheduling."
    };
    format!(
        "0/1 nodes are available: 1 {why}. no new claims to deallocate, preemption: 0/1 nodes are available: 1 {help}"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::quantity::Quantity;

    fn amount(cpu: i64, memory: i64, pods: u64) -> Amount {
        Amount { cpu: Quantity::whole(cpu), memory: Quantity::whole(memory), pods }
    }

    fn check(pod: &Value, used: Amount) -> Result<(), String> {
        let node = json!({"metadata": {"labels": {"kubernetes.io/hostname": "sim-node"}}});
        let node_info = NodeInfo { node: &node, capacity: amount(64, 256 << 30, 100), used, lost: false };
        node_info.check(pod, Course::Normal, &PodVolumes::default())
    }

    fn asks(key: &str, amount: &str) -> Value {
        json!({"spec": {"containers": [{"resources": {"requests": {key: amount}}}]}})
    }

    #[test]
    fn what_asks_for_too_much_or_for_another_node_does_not_fit() {
        let free = amount(0, 0, 0);
        let why = |pod: &Value| check(pod, free).unwrap_err();
        assert_eq!(check(&asks("memory", "1Gi"), free), Ok(()));
        assert_eq!(
            why(&asks("memory", "900Ti")),
            "0/1 nodes are available: 1 Insufficient memory. no new claims to deallocate, preemption: 0/1 nodes are \
             available: 1 Preemption is not helpful for scheduling."
        );
        assert!(why(&asks("cpu", "65")).contains("1 Insufficient cpu."));
        let elsewhere = json!({"spec": {"nodeSelector": {"nope": "x"}}});
        assert!(why(&elsewhere).contains("1 node(s) didn't match Pod's node affinity/selector."));
        let here = json!({"spec": {"nodeSelector": {"kubernetes.io/hostname": "sim-node"}}});
        assert_eq!(check(&here, free), Ok(()));
    }

    #[test]
    fn a_full_node_takes_nothing_more() {
        let why = check(&asks("cpu", "2"), amount(63, 0, 5)).unwrap_err();
        assert!(why.contains("1 Insufficient cpu. no new claims"), "{why}");
        assert!(why.ends_with("1 No preemption victims found for incoming pod."), "{why}");
        assert_eq!(check(&asks("cpu", "1"), amount(63, 0, 5)), Ok(()));
        let why = check(&asks("cpu", "1"), amount(64, 0, 100)).unwrap_err();
        assert!(why.contains("1 Insufficient cpu, 1 Too many pods."), "{why}");
    }

    #[test]
    fn nothing_is_put_on_a_cordoned_node() {
        let node = json!({"spec": {"unschedulable": true}});
        let node_info =
            NodeInfo { node: &node, capacity: amount(1, 1, 1), used: amount(0, 0, 0), lost: false };
        let why = node_info.check(&json!({}), Course::Normal, &PodVolumes::default()).unwrap_err();
        assert!(why.contains("1 node(s) were unschedulable."), "{why}");
    }

    #[test]
    fn nothing_is_put_on_a_silent_node() {
        let node = json!({});
        let node_info =
            NodeInfo { node: &node, capacity: amount(1, 1, 1), used: amount(0, 0, 0), lost: true };
        let why = node_info.check(&json!({}), Course::Normal, &PodVolumes::default()).unwrap_err();
        assert!(why.contains("1 node(s) had untolerated taint(s)."), "{why}");
    }
}
