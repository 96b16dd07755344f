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
    for (name, labels) in claims() {
        // Each annotation says that the claim can be deleted.
        let annotations = json!({
            "sandbox-provisioner/when-deleted": "delete", "sandbox-provisioner/keep-for": "1m",
            "sandbox-provisioner/unused-since": UNUSED,
        });
        let metadata =
            json!({"namespace": NAMESPACE, "name": name, "labels": labels, "annotations": annotations});
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        cluster.put("persistentvolumeclaims", json!({"metadata": metadata, "spec": spec})).unwrap();
    }
}

/// The annotation of the foreign claims.
const UNUSED: &str = "2020-01-01T00:00:00Z";

/// Returns the names and the labels of the foreign claims: a plain one, one with the name of a workspace and the labels
/// of another tool, and one with the labels of a workspace and another name.
fn claims() -> [(String, Value); 3] {
    let id = "0".repeat(32);
    let labels = |tool: &str| {
        json!({
            "app.kubernetes.io/managed-by": tool, "sandbox-provisioner/workspace": id,
            "sandbox-provisioner/workspace-scope": "user",
        })
    };
    [
        ("users".to_owned(), json!({"app": "other"})),
        (format!("workspace-{id}"), labels("Helm")),
        ("copy".to_owned(), labels("sandbox-provisioner")),
    ]
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
    for (name, labels) in claims() {
        let claim = cluster.object("persistentvolumeclaims", NAMESPACE, &name);
        let claim = claim.unwrap_or_else(|| panic!("invariant 9: {name} is gone"));
        assert!(claim["metadata"]["deletionTimestamp"].is_null(), "invariant 9: {name} is going");
        let written = &claim["metadata"]["annotations"]["sandbox-provisioner/unused-since"];
        assert_eq!((written, &claim["metadata"]["labels"]), (&json!(UNUSED), &labels), "invariant 9: {name}");
    }
}
