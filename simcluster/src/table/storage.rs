//! The rows of claims, volumes and storage classes.

use crate::fields::items;
use serde_json::{Value, json};

use crate::store::{Object, text_at};

/// The row of a claim.
pub(super) fn claim(object: &Object, age: &str) -> Value {
    let value = &object.value();
    let spec = &value["spec"];
    let volume = text_at(spec, &["volumeName"]);
    let modes = modes(&value["status"]["accessModes"]);
    // Only a bound claim shows its capacity and modes.
    let (capacity, modes) = if volume.is_empty() {
        (String::new(), String::new())
    } else {
        (text_at(value, &["status", "capacity", "storage"]).to_owned(), modes)
    };
    let phase = if object.terminating() { "Terminating" } else { text_at(value, &["status", "phase"]) };
    let unset = |key: &str| match text_at(spec, &[key]) {
        "" => "<unset>".to_owned(),
        text => text.to_owned(),
    };
    json!([
        object.name(),
        phase,
        volume,
        capacity,
        modes,
        text_at(spec, &["storageClassName"]),
        unset("volumeAttributesClassName"),
        age,
        unset("volumeMode"),
    ])
}

/// The row of a volume.
pub(super) fn volume(object: &Object, age: &str) -> Value {
    let value = &object.value();
    let spec = &value["spec"];
    let claim = match text_at(spec, &["claimRef", "name"]) {
        "" => String::new(),
        name => format!("{}/{name}", text_at(spec, &["claimRef", "namespace"])),
    };
    let phase = if object.terminating() { "Terminating" } else { text_at(value, &["status", "phase"]) };
    let unset = |key: &str| match text_at(spec, &[key]) {
        "" => "<unset>".to_owned(),
        text => text.to_owned(),
    };
    json!([
        object.name(),
        text_at(spec, &["capacity", "storage"]),
        modes(&spec["accessModes"]),
        text_at(spec, &["persistentVolumeReclaimPolicy"]),
        phase,
        claim,
        text_at(spec, &["storageClassName"]),
        unset("volumeAttributesClassName"),
        text_at(value, &["status", "reason"]),
        age,
        unset("volumeMode"),
    ])
}

/// The row of a storage class.
pub(super) fn class(object: &Object, age: &str) -> Value {
    let value = &object.value();
    let mark = &value["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"];
    let default = if mark == "true" { " (default)" } else { "" };
    json!([
        format!("{}{default}", object.name()),
        text_at(value, &["provisioner"]),
        text_at(value, &["reclaimPolicy"]),
        text_at(value, &["volumeBindingMode"]),
        value["allowVolumeExpansion"].as_bool().unwrap_or(false),
        age,
    ])
}

/// Access modes in their short form.
fn modes(list: &Value) -> String {
    let short = |mode: &str| match mode {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    let modes = items(list).filter_map(Value::as_str).map(short);
    modes.collect::<Vec<_>>().join(",")
}
