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
    let mut value = with_phase(volume.value(), "Bound", now);
    value["spec"]["claimRef"] = reference(claim);
    value
}

/// Returns a volume with a phase.
pub(super) fn with_phase(volume: &Value, phase: &str, now: &str) -> Value {
    let mut value = volume.clone();
    if value["status"]["phase"] != phase {
        value["status"] = json!({"phase": phase, "lastPhaseTransitionTime": now});
    }
    value
}

/// Binds a claim to a volume.
pub(super) fn bind_claim(claim: &mut Value, volume: &Value, provisioner: Option<&str>) {
    claim["metadata"]["annotations"][BIND_COMPLETED] = "yes".into();
    if text_at(claim, &["spec", "volumeName"]).is_empty() {
        claim["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] = "yes".into();
        claim["spec"]["volumeName"] = volume["metadata"]["name"].clone();
    }
    if let Some(provisioner) = provisioner {
        for key in
            ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"]
        {
            claim["metadata"]["annotations"][key] = provisioner.into();
        }
    }
    claim["status"] = json!({
        "phase": "Bound", "accessModes": volume["spec"]["accessModes"], "capacity": volume["spec"]["capacity"],
    });
}

/// Marks a claim whose volume has vanished: it is bound for ever to nothing.
pub(super) fn lose_claim(claim: &mut Value) {
    claim["status"]["phase"] = "Lost".into();
    remove_status(claim, ["accessModes", "capacity"]);
}

/// Begins to make the volume of a claim larger.
pub(super) fn start_expansion(claim: &mut Value, now: &str) {
    let size = claim["spec"]["resources"]["requests"]["storage"].clone();
    claim["status"]["allocatedResources"] = json!({"storage": size});
    write_expansion(claim, "ControllerResizeInProgress", json!({"type": "Resizing"}), now);
}

/// Marks a claim whose volume is larger, but not yet its file system.
pub(super) fn wait_for_file_system(claim: &mut Value, now: &str) {
    let message = "Waiting for user to (re-)start a pod to finish file system resize of volume on node.";
    let condition = json!({"type": "FileSystemResizePending", "message": message});
    write_expansion(claim, "NodeResizePending", condition, now);
}

fn write_expansion(claim: &mut Value, state: &str, mut condition: Value, now: &str) {
    condition["status"] = "True".into();
    condition["lastProbeTime"] = Value::Null;
    condition["lastTransitionTime"] = now.into();
    claim["status"]["allocatedResourceStatuses"] = json!({"storage": state});
    claim["status"]["conditions"] = json!([condition]);
}

/// Ends the expansion of a claim, whose file system has grown.
pub(super) fn end_expansion(claim: &mut Value) {
    claim["status"]["capacity"]["storage"] = claim["status"]["allocatedResources"]["storage"].clone();
    remove_status(claim, ["conditions", "allocatedResourceStatuses"]);
}

fn remove_status(claim: &mut Value, keys: [&str; 2]) {
    if let Some(status) = claim["status"].as_object_mut() {
        status.retain(|key, _| !keys.contains(&key.as_str()));
    }
}
