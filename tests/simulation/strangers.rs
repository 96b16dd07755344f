//! Objects that are nobody's business here: they stay as they were, whatever happens (invariant 9).

use serde_json::{Value, json};
use simcluster::Cluster;

use super::world::NAMESPACE;

/// An id whose Pod's name somebody else has taken.
pub const TAKEN: &str = "taken";

/// Puts them there: a Pod that has a sandbox's name without its labels, another that has one of the labels, a Service.
pub fn settle(cluster: &Cluster) {
    let pod = |name: &str, labels: Value| {
        json!({
            "metadata": {"namespace": NAMESPACE, "name": name, "labels": labels},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        })
    };
    cluster.put("pods", pod(&format!("sandbox-{TAKEN}"), json!({"app": "other"}))).unwrap();
    cluster.put("pods", pod("sandbox-half", json!({"app": "deer-flow-sandbox"}))).unwrap();
    let service = json!({
        "metadata": {"namespace": NAMESPACE, "name": "stranger", "labels": {"sandbox-id": "s-0"}},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "other"}},
    });
    cluster.put("services", service).unwrap();
}

/// Whether an object of this name is one of them.
pub fn is_one(name: &str) -> bool {
    ["sandbox-taken", "sandbox-half", "stranger"].contains(&name)
}

/// Panics if one of them has gone or is going.
pub fn judge(cluster: &Cluster) {
    for (resource, name) in [("pods", "sandbox-taken"), ("pods", "sandbox-half"), ("services", "stranger")] {
        let object = cluster.object(resource, NAMESPACE, name);
        let object = object.unwrap_or_else(|| panic!("invariant 9: {name} is gone"));
        assert!(object["metadata"]["deletionTimestamp"].is_null(), "invariant 9: {name} is going");
        assert!(object["metadata"]["annotations"].is_null(), "invariant 9: {name} was written on");
    }
}
