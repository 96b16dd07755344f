//! The objects of storage as the controllers write them. Pure.

use serde_json::{Value, json};

use super::names::{BIND_COMPLETED, LOCAL_PATH, PROVISIONED_BY, SELECTED_NODE};
use crate::resource::VOLUME_PROTECTION;
use crate::store::{Object, text_at};

/// Returns the class that a cluster of kind has: one provisioner of local directories, which waits for a Pod.
pub(crate) fn standard_class() -> Value {
    json!({
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": LOCAL_PATH, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
    })
}

/// Returns the volume that a provisioner makes for a claim.
pub(super) fn volume(claim: &Object, class: &Object, now: &str) -> Value {
    let (spec, class_value) = (&claim.value()["spec"], class.value());
    let provisioner = text_at(class_value, &["provisioner"]);
    let name = volume_name(claim);
    let mut volume = json!({
        "metadata": {
            "name": name, "finalizers": [VOLUME_PROTECTION], "annotations": {PROVISIONED_BY: provisioner},
            "creationTimestamp": now,
        },
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "claimRef": reference(claim),
            "persistentVolumeReclaimPolicy": class_value["reclaimPolicy"],
            "storageClassName": class.name(),
            "volumeMode": spec["volumeMode"],
        },
        "status": {"phase": "Bound", "lastPhaseTransitionTime": now},
    });
    if provisioner == LOCAL_PATH {
        let node = &claim.value()["metadata"]["annotations"][SELECTED_NODE];
        let path = format!("/var/local-path-provisioner/{name}_{}_{}", claim.namespace(), claim.name());
        volume["spec"]["hostPath"] = json!({"path": path, "type": "DirectoryOrCreate"});
        volume["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]},
        ]}]}});
    } else {
        volume["spec"]["csi"] = json!({"driver": provisioner, "volumeHandle": name});
    }
    volume
}

/// The name of the volume that is made for a claim.
pub(super) fn volume_name(claim: &Object) -> String {
    format!("pvc-{}", claim.uid())
}

/// How a volume refers to its claim.
fn reference(claim: &Object) -> Value {
    json!({
        "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": claim.namespace(),
        "name": claim.name(), "uid": claim.uid(), "resourceVersion": claim.version.to_string(),
    })
}

/// Returns the volume bound to a claim.
pub(super) fn bound_volume(volume: &Object, claim: &Object, now: &str) -> Value {
    let mut value = volume.value().clone();
    value["spec"]["claimRef"] = reference(claim);
    set_phase(&mut value, "Bound", now);
    value
}

/// Sets the phase of a volume.
pub(super) fn set_phase(volume: &mut Value, phase: &str, now: &str) {
    if volume["status"]["phase"] != phase {
        volume["status"] = json!({"phase": phase, "lastPhaseTransitionTime": now});
    }
}

/// Returns the claim bound to a volume.
pub(super) fn bound_claim(claim: &Object, volume: &Value, provisioner: Option<&str>) -> Value {
    let mut value = claim.value().clone();
    value["metadata"]["annotations"][BIND_COMPLETED] = "yes".into();
    if text_at(&value, &["spec", "volumeName"]).is_empty() {
        value["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] = "yes".into();
        value["spec"]["volumeName"] = volume["metadata"]["name"].clone();
    }
    if let Some(provisioner) = provisioner {
        for key in
            ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"]
        {
            value["metadata"]["annotations"][key] = provisioner.into();
        }
    }
    value["status"] = json!({
        "phase": "Bound", "accessModes": volume["spec"]["accessModes"], "capacity": volume["spec"]["capacity"],
    });
    value
}

/// Returns the claim after its volume has vanished: bound for ever to nothing.
pub(super) fn lost_claim(claim: &Object) -> Value {
    let mut value = claim.value().clone();
    value["status"]["phase"] = "Lost".into();
    if let Some(status) = value["status"].as_object_mut() {
        status.remove("accessModes");
        status.remove("capacity");
    }
    value
}

/// Returns the claim while its volume is made larger.
pub(super) fn expanding_claim(claim: &Object, now: &str) -> Value {
    let mut value = claim.value().clone();
    let size = value["spec"]["resources"]["requests"]["storage"].clone();
    let status = &mut value["status"];
    status["allocatedResources"] = json!({"storage": size});
    status["allocatedResourceStatuses"] = json!({"storage": "ControllerResizeInProgress"});
    status["conditions"] = json!([
        {"type": "Resizing", "status": "True", "lastProbeTime": null, "lastTransitionTime": now},
    ]);
    value
}

/// Returns the claim whose volume is larger, but not yet its file system.
pub(super) fn expanded_claim(claim: &Object, now: &str) -> Value {
    let mut value = claim.value().clone();
    let message = "Waiting for user to (re-)start a pod to finish file system resize of volume on node.";
    let status = &mut value["status"];
    status["allocatedResourceStatuses"] = json!({"storage": "NodeResizePending"});
    status["conditions"] = json!([{
        "type": "FileSystemResizePending", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
        "message": message,
    }]);
    value
}

/// Returns the claim whose file system has grown.
pub(super) fn resized_claim(claim: &Object) -> Value {
    let mut value = claim.value().clone();
    let status = &mut value["status"];
    status["capacity"]["storage"] = status["allocatedResources"]["storage"].clone();
    if let Some(status) = status.as_object_mut() {
        status.remove("conditions");
        status.remove("allocatedResourceStatuses");
    }
    value
}
