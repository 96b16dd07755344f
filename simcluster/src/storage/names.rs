//! Names that the controllers of storage share, and the claims that a Pod names.

use serde_json::Value;

use crate::fields::items;
use crate::store::text_at;

/// The provisioner of kind and of k3s: a volume is a directory of one node.
pub(crate) const LOCAL_PATH: &str = "rancher.io/local-path";
/// The provisioner of classes whose volumes an administrator makes.
pub(crate) const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// The node that the scheduler has chosen for a claim.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// The mark of a claim whose binding is complete.
pub(super) const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// The mark of a volume that a provisioner made.
pub(super) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// Returns the names of the claims that a Pod mounts.
pub(crate) fn claims_of(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = items(&pod["spec"]["volumes"]);
    volumes
        .map(|volume| text_at(volume, &["persistentVolumeClaim", "claimName"]))
        .filter(|name| !name.is_empty())
}

/// Returns whether a Pod mounts a claim of its namespace.
pub(crate) fn uses_claim(pod: &Value, claim: &str) -> bool {
    claims_of(pod).any(|name| name == claim)
}
