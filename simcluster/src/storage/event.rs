//! The Event about a claim that gets no volume.

use serde_json::{Value, json};

use crate::store::Object;

/// Returns the name of the Event about a claim, which is the same for each attempt.
pub(super) fn name(claim: &Object) -> String {
    let uid: String = claim.uid().chars().filter(char::is_ascii_hexdigit).take(16).collect();
    format!("{}.{uid}", claim.name())
}

/// Returns the Event of a provisioner that does not find the snapshot, as the external provisioner of CSI drivers writes it.
pub(super) fn no_snapshot(
    claim: &Object,
    class: &str,
    provisioner: &str,
    snapshot: &str,
    now: &str,
) -> Value {
    let message = format!(
        "failed to provision volume with StorageClass {class:?}: error getting handle for DataSource Type VolumeSnapshot by \
         Name {snapshot}: error getting snapshot {snapshot} from api server: volumesnapshots.snapshot.storage.k8s.io \
         {snapshot:?} not found"
    );
    json!({
        "metadata": {"name": name(claim), "namespace": claim.namespace(), "creationTimestamp": now},
        "involvedObject": {
            "kind": "PersistentVolumeClaim", "namespace": claim.namespace(), "name": claim.name(), "uid": claim.uid(),
            "apiVersion": "v1", "resourceVersion": claim.value()["metadata"]["resourceVersion"],
        },
        "reason": "ProvisioningFailed", "message": message, "type": "Warning", "count": 1,
        "source": {"component": provisioner}, "firstTimestamp": now, "lastTimestamp": now, "eventTime": null,
        "reportingComponent": provisioner, "reportingInstance": "",
    })
}
