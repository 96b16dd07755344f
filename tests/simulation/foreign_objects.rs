//! Foreign objects, which must never change (invariant 9).

use serde_json::{Value, json};
use simcluster::Cluster;
use testkit::NAMESPACE;

/// An id whose Pod name is used by a foreign object.
pub const TAKEN: &str = "taken";

/// Creates the foreign objects: a Pod with a sandbox's name and without its labels, a Pod with only one of the labels,
/// and a Service.
pub fn create(cluster: &Cluster) {
    let pod = |name: &str, labels: Value| {
        json!({
            "metadata": {"namespace": NAMESPACE, "name": name, "labels": labels},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        })
    };
    cluster.put("pods", pod(&format!("sandbox-{TAKEN}"), json!({"app": "other"}))).unwrap();
    cluster.put("pods", pod("sandbox-half", json!({"app": "deer-flow-sandbox"}))).unwrap();
    let service = json!({
        "metadata": {"namespace": NAMESPACE, "name": "foreign", "labels": {"sandbox-id": "s-0"}},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "other"}},
    });
    cluster.put("services", service).unwrap();
}

/// Returns whether this is the name of a foreign object.
pub fn contains(name: &str) -> bool {
    ["sandbox-taken", "sandbox-half", "foreign"].contains(&name)
}

/// Panics if a foreign object is gone, terminating or has annotations.
pub fn check(cluster: &Cluster) {
    for (resource, name) in [("pods", "sandbox-taken"), ("pods", "sandbox-half"), ("services", "foreign")] {
        let object = cluster.object(resource, NAMESPACE, name);
        let object = object.unwrap_or_else(|| panic!("invariant 9: {name} is gone"));
        assert!(object["metadata"]["deletionTimestamp"].is_null(), "invariant 9: {name} is going");
        assert!(object["metadata"]["annotations"].is_null(), "invariant 9: {name} was written on");
    }
}
