//! Faults of nodes and images.

use kubernetes::manifest::Template;
use serde_json::{Value, json};
use simcluster::{Capacity, NodeOptions, Options, Times};

use crate::fixture::{Case, NAMESPACE, nodes, options, template, with_profile};

fn set_condition(case: &Case, node: &str, kind: &str, status: &str) {
    case.cluster
        .change("nodes", "", node, |node| {
            for condition in node["status"]["conditions"].as_array_mut().unwrap() {
                if condition["type"] == kind {
                    condition["status"] = status.into();
                }
            }
        })
        .unwrap();
}

/// Guards the code of each fault of nodes.
#[tokio::test]
async fn faults_of_nodes() {
    let case = Case::start(Options { node: None, ..options() }, template()).await;
    case.finds("no node", &["SP0901"]).await;

    let change = async |fault: &str, change: &dyn Fn(&mut Value)| {
        let case = Case::start(options(), template()).await;
        case.cluster.change("nodes", "", "sim-node", change).unwrap();
        case.finds(fault, &["SP0902"]).await;
    };
    change("cordoned", &|node| node["spec"]["unschedulable"] = true.into()).await;
    let taint = json!([{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]);
    change("tainted", &|node| node["spec"]["taints"] = taint.clone()).await;

    let case = Case::start(options(), template()).await;
    set_condition(&case, "sim-node", "Ready", "Unknown");
    case.finds("lost", &["SP0902"]).await;

    let case = Case::start(options(), template()).await;
    set_condition(&case, "sim-node", "DiskPressure", "True");
    case.finds("pressure", &["SP0904"]).await;
}

/// Guards that one of several nodes that is not ready is a warning. Host paths on several nodes are one too.
#[tokio::test]
async fn one_of_two_nodes_is_lost() {
    let case = Case::start(nodes(2), template()).await;
    set_condition(&case, "sim-node-2", "Ready", "False");
    let taint = json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]);
    case.cluster.change("nodes", "", "sim-node-2", |node| node["spec"]["taints"] = taint).unwrap();
    case.finds("one is lost", &["SP0707", "SP0903"]).await;
}

/// Guards that a node that takes no Pods needs no image, and that its own files and mounts do not matter.
#[tokio::test]
async fn a_control_plane_takes_no_pods() {
    let tainted = async |template| {
        let case = Case::start(nodes(2), template).await;
        let taint = json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
        let other = json!([{"names": ["registry.example/other:1"], "sizeBytes": 1}]);
        let change = |node: &mut Value| {
            node["spec"]["taints"] = taint;
            node["status"]["images"] = other;
        };
        case.cluster.change("nodes", "", "sim-node", change).unwrap();
        case
    };
    tainted(template()).await.finds("host paths", &[]).await;

    let claim = Some("data".to_owned());
    let case = tainted(Template { skills_pvc: claim.clone(), userdata_pvc: claim, ..template() }).await;
    case.put(
        "persistentvolumeclaims",
        json!({
            "metadata": {"name": "data", "namespace": NAMESPACE},
            "spec": {"accessModes": ["ReadWriteOnce"]},
            "status": {"phase": "Bound"},
        }),
    );
    case.finds("a claim of one node", &[]).await;
}

/// Guards that a tolerated taint is not a fault.
#[tokio::test]
async fn taints_may_be_tolerated() {
    let tolerations = json!([{"key": "dedicated", "operator": "Exists"}]);
    let case = Case::start(options(), with_profile(template(), &json!({ "tolerations": tolerations }))).await;
    let taint = json!([{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]);
    case.cluster.change("nodes", "", "sim-node", |node| node["spec"]["taints"] = taint).unwrap();
    case.finds("tolerated", &[]).await;
}

/// Guards the code of each profile that does not fit the cluster. A limit alone may be larger than every node.
#[tokio::test]
async fn profiles_that_do_not_fit() {
    for (fields, codes) in [
        (json!({"cpu": "64"}), &["SP0905"][..]),
        (json!({"memory": {"request": "64Gi", "limit": "64Gi"}}), &["SP0905"]),
        (json!({"memory": {"limit": "64Gi"}}), &[]),
        (json!({"node_selector": {"pool": "sandboxes"}}), &["SP0906"]),
        (json!({"runtime_class": "gvisor"}), &["SP0907"]),
        (json!({"priority_class": "low"}), &["SP0908"]),
    ] {
        let node = NodeOptions {
            capacity: Capacity { cpu_millis: 4000, memory_bytes: 8 << 30, ..Capacity::default() },
            times: Times::INSTANT,
            ..NodeOptions::default()
        };
        let options = Options { node: Some(node), ..options() };
        let case = Case::start(options, with_profile(template(), &fields)).await;
        case.finds(&fields.to_string(), codes).await;
    }
}

/// Guards that an absent image is a warning, and that nothing is said of a node that reports only a part of its images.
#[tokio::test]
async fn images_are_absent() {
    let image = |n: usize| json!({"names": [format!("registry.example/image:{n}")], "sizeBytes": 1});
    for (count, codes) in [(0, &[][..]), (3, &["SP1001"]), (49, &["SP1001"]), (50, &[])] {
        let case = Case::start(options(), template()).await;
        let images: Vec<_> = (0..count).map(image).collect();
        case.cluster
            .change("nodes", "", "sim-node", |node| node["status"]["images"] = json!(images))
            .unwrap();
        case.finds(&format!("{count} other images"), codes).await;
    }
}
