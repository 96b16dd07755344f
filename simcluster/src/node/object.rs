//! The Node object, as a kubelet registers it and the node controller marks it. Pure.

use serde_json::{Value, json};

use super::machines::{Machine, address};
use crate::fields::{retain_in, transition_time};
use crate::options::Capacity;
use crate::validate::quantity::Quantity;

/// The release the cluster behaves as.
const RELEASE: &str = "v1.36.2";
/// The taint of an unreachable node.
pub(super) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// The node at a place, which has just registered and is ready.
pub(super) fn new(place: usize, machine: &Machine, now: &str) -> Value {
    let name = machine.name.as_str();
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let mut labels = json!({
        "beta.kubernetes.io/arch": arch, "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": arch,
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
    });
    for (key, value) in &machine.labels {
        labels[key] = value.as_str().into();
    }
    let pods = format!("10.{}.0.0/16", 244_usize.wrapping_add(place).min(255));
    let mut node = json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDR": pods, "podCIDRs": [pods]},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address(place)},
                {"type": "Hostname", "address": name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "6.12.0", "osImage": "simcluster",
                "containerRuntimeVersion": "containerd://2.1.0", "kubeletVersion": RELEASE, "kubeProxyVersion": "",
                "operatingSystem": "linux", "architecture": arch,
            },
        },
    });
    write_capacity(&mut node, machine.capacity);
    hear(&mut node, now);
    node
}

/// Writes what the node has.
pub(super) fn write_capacity(node: &mut Value, capacity: Capacity) {
    let memory = i64::try_from(capacity.memory_bytes / 1024).unwrap_or(i64::MAX);
    let amounts = json!({
        "cpu": Quantity::milli(capacity.cpu_millis).canonical(), "memory": format!("{memory}Ki"),
        "pods": capacity.pods.to_string(), "ephemeral-storage": "1Ti",
    });
    node["status"]["capacity"] = amounts.clone();
    node["status"]["allocatable"] = amounts;
}

/// The kubelet posts its status: the node is ready, and is marked by nothing any more.
pub(super) fn hear(node: &mut Value, now: &str) {
    let conditions = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    write_conditions(node, now, &conditions);
    retain_in(&mut node["spec"], "taints", |taint| taint["key"] != UNREACHABLE);
}

/// Nothing was heard of the node for too long.
pub(super) fn lose(node: &mut Value, now: &str) {
    let unknown = |kind| (kind, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.");
    write_conditions(node, now, &["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"].map(unknown));
    let mut taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    taints.retain(|taint| taint["key"] != UNREACHABLE);
    for effect in ["NoSchedule", "NoExecute"] {
        taints.push(json!({"key": UNREACHABLE, "effect": effect, "timeAdded": now}));
    }
    node["spec"]["taints"] = taints.into();
}

fn write_conditions(node: &mut Value, now: &str, conditions: &[(&str, &str, &str, &str)]) {
    let conditions = conditions.iter().map(|(kind, status, reason, message)| {
        json!({
            "type": kind, "status": status, "lastHeartbeatTime": now,
            "lastTransitionTime": transition_time(node, kind, status, now), "reason": reason, "message": message,
        })
    });
    node["status"]["conditions"] = conditions.collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::resources::Amount;

    #[test]
    fn a_node_that_is_lost_and_found_is_as_before() {
        let capacity = Capacity { cpu_millis: 1500, memory_bytes: 2 << 30, pods: 110 };
        let machine = Machine {
            name: "n".to_owned(),
            labels: [("zone".to_owned(), "a".to_owned())].into(),
            capacity,
            used: Amount::none(),
        };
        let fresh = new(1, &machine, "t");
        assert_eq!(fresh["metadata"]["labels"]["zone"], "a");
        assert_eq!(fresh["status"]["addresses"][0]["address"], "192.0.2.3");
        assert_eq!(fresh["status"]["capacity"]["cpu"], "1500m");
        assert_eq!(fresh["status"]["capacity"]["memory"], "2097152Ki");
        let mut node = fresh.clone();
        lose(&mut node, "t");
        assert_eq!(node["status"]["conditions"][3]["status"], "Unknown");
        assert_eq!(node["spec"]["taints"].as_array().map(Vec::len), Some(2));
        hear(&mut node, "t");
        assert_eq!(node, fresh);
    }
}
