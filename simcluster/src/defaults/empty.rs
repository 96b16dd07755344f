//! Empty objects, as in bookmarks. Go writes some fields even if they are empty.

use serde_json::{Value, json};

use crate::resource::Resource;

/// Returns the fields except `metadata`.
pub(crate) fn empty(resource: &Resource) -> Value {
    match (resource.group, resource.kind) {
        (_, "Pod") => json!({"spec": {"containers": null}, "status": {}}),
        (_, "Service") => json!({"spec": {}, "status": {"loadBalancer": {}}}),
        (_, "Namespace" | "ResourceQuota" | "PersistentVolume") => json!({"spec": {}, "status": {}}),
        (_, "PersistentVolumeClaim") => json!({"spec": {"resources": {}}, "status": {}}),
        (_, "StorageClass") => json!({"provisioner": ""}),
        ("", "Event") => json!({
            "involvedObject": {}, "source": {}, "firstTimestamp": null, "lastTimestamp": null, "eventTime": null,
            "reportingComponent": "", "reportingInstance": "",
        }),
        (_, "Event") => json!({
            "regarding": {}, "eventTime": null, "deprecatedSource": {}, "deprecatedFirstTimestamp": null,
            "deprecatedLastTimestamp": null,
        }),
        (_, "Lease") => json!({"spec": {}}),
        (_, "NetworkPolicy") => json!({"spec": {"podSelector": {}}}),
        (_, "EndpointSlice") => json!({"addressType": "", "endpoints": null, "ports": null}),
        (_, "Node") => json!({"spec": {}, "status": {
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
            "nodeInfo": {
                "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "",
                "containerRuntimeVersion": "", "kubeletVersion": "", "kubeProxyVersion": "", "operatingSystem": "",
                "architecture": "",
            },
        }}),
        (_, "PriorityClass") => json!({"value": 0}),
        (_, "RuntimeClass") => json!({"handler": ""}),
        (_, "Role" | "ClusterRole") => json!({"rules": null}),
        (_, "RoleBinding" | "ClusterRoleBinding") => {
            json!({"roleRef": {"apiGroup": "", "kind": "", "name": ""}})
        }
        _ => json!({}),
    }
}
