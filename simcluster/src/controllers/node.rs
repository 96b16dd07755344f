//! The simulated node as an object, as its kubelet would have registered it.

use serde_json::{Value, json};

use crate::options::NodeOptions;
use crate::resource::NODES;
use crate::shared::Shared;
use crate::validate::quantity::Quantity;

/// The Pods a kubelet takes unless it is told otherwise (`--max-pods`).
const MAX_PODS: &str = "110";

/// Registers the node, unless somebody has.
pub(super) fn register(shared: &Shared) {
    let Some(options) = &shared.options.node else { return };
    let stamp = shared.clock.stamp();
    let mut state = shared.state();
    if state.store.get(NODES, "", &options.name).is_some() {
        return;
    }
    // Not drawn from the cluster's own randomness: uids are the same with and without a node.
    let uid = crate::random::Random::seeded(shared.options.seed.rotate_left(32)).uid();
    let mut node = object(options, &stamp);
    node["metadata"]["uid"] = uid.into();
    state.store.put(NODES, node);
}

fn object(options: &NodeOptions, stamp: &str) -> Value {
    let name = &options.name;
    let memory = Quantity::whole(i64::try_from(options.memory_bytes >> 10).unwrap_or(i64::MAX)).canonical();
    let amounts = json!({
        "cpu": Quantity::milli(options.cpu_millis).canonical(),
        "memory": format!("{memory}Ki"),
        "ephemeral-storage": "100Gi",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "pods": MAX_PODS,
    });
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": stamp, "lastTransitionTime": stamp})
    };
    json!({
        "metadata": {
            "name": name,
            "creationTimestamp": stamp,
            "labels": {
                "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
            },
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {"podCIDR": "10.244.0.0/16", "podCIDRs": ["10.244.0.0/16"], "providerID": format!("sim://{name}")},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            ],
            "addresses": [
                {"type": "InternalIP", "address": "192.0.2.2"},
                {"type": "Hostname", "address": name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "6.12.0",
                "osImage": "Simulated Linux", "containerRuntimeVersion": "containerd://2.2.0",
                "kubeletVersion": "v1.36.2", "kubeProxyVersion": "", "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    })
}
