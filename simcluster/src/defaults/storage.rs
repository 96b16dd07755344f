//! Defaults of claims, volumes and storage classes.

use serde_json::{Value, json};

use super::set_default;
use crate::resource::{CLAIM_PROTECTION, VOLUME_PROTECTION};
use crate::validate::quantity::Quantity;

/// Sets the defaults of a new claim.
pub(super) fn claim(value: &mut Value) {
    protect(value, CLAIM_PROTECTION);
    set_default(&mut value["spec"], "volumeMode", json!("Filesystem"));
    write_canonical(value.pointer_mut("/spec/resources/requests/storage"));
}

/// Sets the defaults of a new volume.
pub(super) fn volume(value: &mut Value) {
    protect(value, VOLUME_PROTECTION);
    let spec = &mut value["spec"];
    set_default(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
    set_default(spec, "volumeMode", json!("Filesystem"));
    if let Some(host) = spec.get_mut("hostPath") {
        set_default(host, "type", json!(""));
    }
    write_canonical(value.pointer_mut("/spec/capacity/storage"));
}

/// Sets the defaults of a storage class.
pub(super) fn class(value: &mut Value) {
    set_default(value, "reclaimPolicy", json!("Delete"));
    set_default(value, "volumeBindingMode", json!("Immediate"));
}

/// Adds a finalizer, as the admission plugin `StorageObjectInUseProtection` does.
fn protect(value: &mut Value, finalizer: &str) {
    set_default(&mut value["metadata"], "finalizers", json!([]));
    if let Some(list) = value["metadata"]["finalizers"].as_array_mut()
        && list.iter().all(|known| known != finalizer)
    {
        list.push(finalizer.into());
    }
}

fn write_canonical(amount: Option<&mut Value>) {
    if let Some(amount) = amount
        && let Some(quantity) = Quantity::from_json(amount)
    {
        *amount = quantity.canonical().into();
    }
}
