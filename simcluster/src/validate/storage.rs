//! Validation of claims, volumes and storage classes.

use serde_json::Value;

use super::names;
use super::quantity::Quantity;
#[cfg(feature = "kubectl")]
use super::spec_diff::claim_diff;
use crate::fields::items;
use crate::quote::json_quoted;
use crate::status::Cause;
use crate::store::text_at;

const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const IMMUTABLE: &str = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
/// The sources of volumes. A volume has exactly one; other sources are not known here.
const SOURCES: [&str; 4] = ["csi", "hostPath", "local", "nfs"];

/// Validates a new claim.
pub(super) fn claim(spec: &Value) -> Vec<Cause> {
    let mut causes = check_modes(spec, "at least 1 access mode is required");
    match size(spec) {
        None => causes.push(Cause::required("spec.resources[storage]", "")),
        Some(amount) => causes.extend(check_size(amount, "spec.resources[storage]")),
    }
    causes.extend(check_class(spec));
    causes.extend(check_volume_mode(spec));
    for key in ["dataSource", "dataSourceRef"] {
        causes.extend(check_source(spec, key));
    }
    causes
}

/// Checks a change of a claim. Only the size may change, once the claim is bound, and it may not shrink.
pub(super) fn claim_change(old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = claim(&new["spec"]);
    let (mut before, mut after) = (old["spec"].clone(), new["spec"].clone());
    if text_at(&before, &["volumeName"]).is_empty()
        && let Some(volume) = after.get("volumeName")
    {
        // The controller writes the volume, once.
        before["volumeName"] = volume.clone();
    }
    if old["status"]["phase"] == "Bound" && after["resources"].get("requests").is_some() {
        after["resources"]["requests"]["storage"] = before["resources"]["requests"]["storage"].clone();
        if after.get("volumeAttributesClassName").is_some() {
            after["volumeAttributesClassName"] = before["volumeAttributesClassName"].clone();
        }
    }
    let same_size = size(&before) == size(&after);
    if same_size && let Some(amount) = before.pointer("/resources/requests/storage") {
        // Two notations of one amount are equal.
        after["resources"]["requests"]["storage"] = amount.clone();
    }
    if before != after {
        causes.push(Cause::forbidden("spec", &immutable(&before, &after)));
    }
    let held = old["status"]["capacity"].get("storage").and_then(Quantity::from_json);
    if let (Some(was), Some(is)) = (size(&old["spec"]), size(&new["spec"]))
        && was.exceeds(is)
        && held.is_some_and(|held| !is.exceeds(held))
    {
        let why = "field can not be less than status.capacity";
        causes.push(Cause::forbidden("spec.resources.requests.storage", why));
    }
    if old["spec"]["volumeMode"] != new["spec"]["volumeMode"] {
        let shown = new["spec"].get("volumeMode").map_or_else(|| "null".to_owned(), Value::to_string);
        causes.push(Cause::invalid("volumeMode", &shown, "field is immutable"));
    }
    causes
}

/// Validates a new volume.
pub(super) fn volume(value: &Value) -> Vec<Cause> {
    let spec = &value["spec"];
    let mut causes = check_modes(spec, "");
    match spec["capacity"].get("storage").and_then(Quantity::from_json) {
        None => causes.push(Cause::unsupported("spec.capacity", "", &["storage"])),
        Some(amount) => causes.extend(check_size(amount, "spec.capacity[storage]")),
    }
    let policies = ["Delete", "Recycle", "Retain"];
    let policy = text_at(spec, &["persistentVolumeReclaimPolicy"]);
    causes.extend(Cause::unless_supported("spec.persistentVolumeReclaimPolicy", policy, &policies));
    match SOURCES.iter().filter(|source| spec.get(**source).is_some()).count() {
        0 => causes.push(Cause::required("spec", "must specify a volume type")),
        1 => {}
        _ => causes.push(Cause::forbidden("spec", "may not specify more than 1 volume type")),
    }
    causes.extend(check_class(spec));
    causes.extend(check_volume_mode(spec));
    causes
}

/// Validates a new storage class.
pub(super) fn class(value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let provisioner = text_at(value, &["provisioner"]);
    if provisioner.is_empty() {
        causes.push(Cause::required("provisioner", ""));
    } else {
        let wrong = names::qualified_name(&provisioner.to_lowercase());
        causes.extend(Cause::all_invalid("provisioner", provisioner, &wrong));
    }
    for (key, allowed) in [
        ("reclaimPolicy", ["Delete", "Retain"]),
        ("volumeBindingMode", ["Immediate", "WaitForFirstConsumer"]),
    ] {
        causes.extend(Cause::unless_supported(key, text_at(value, &[key]), &allowed));
    }
    causes
}

/// Checks a change of a storage class. The fields for the provisioner are immutable.
pub(super) fn class_change(old: &Value, new: &Value) -> Vec<Cause> {
    let differs = |key: &&str| old.get(*key) != new.get(*key);
    let mut causes: Vec<_> = ["parameters", "provisioner", "reclaimPolicy"]
        .iter()
        .filter(|key| differs(key))
        .map(|key| Cause::forbidden(*key, &format!("updates to {key} are forbidden.")))
        .collect();
    if differs(&"volumeBindingMode") {
        let shown = json_quoted(text_at(new, &["volumeBindingMode"]));
        causes.push(Cause::invalid("volumeBindingMode", &shown, "field is immutable"));
    }
    causes
}

fn immutable(before: &Value, after: &Value) -> String {
    #[cfg(feature = "kubectl")]
    return format!("{IMMUTABLE}\n{}", claim_diff(before, after));
    #[cfg(not(feature = "kubectl"))]
    {
        let _ = (before, after);
        IMMUTABLE.to_owned()
    }
}

/// Returns the requested size of a claim.
fn size(spec: &Value) -> Option<Quantity> {
    Quantity::from_json(spec["resources"]["requests"].get("storage")?)
}

fn check_size(amount: Quantity, field: &str) -> Option<Cause> {
    let wrong = !amount.exceeds(Quantity::whole(0));
    wrong.then(|| Cause::invalid_text(field, &amount.canonical(), "must be greater than zero"))
}

fn check_modes(spec: &Value, missing: &str) -> Vec<Cause> {
    let modes: Vec<_> = items(&spec["accessModes"]).filter_map(Value::as_str).collect();
    let mut causes = Vec::new();
    if modes.is_empty() {
        causes.push(Cause::required("spec.accessModes", missing));
    }
    causes.extend(modes.iter().filter_map(|mode| Cause::unless_supported("spec.accessModes", mode, &MODES)));
    if modes.len() > 1 && modes.contains(&"ReadWriteOncePod") {
        let why = "may not use ReadWriteOncePod with other access modes";
        causes.push(Cause::forbidden("spec.accessModes", why));
    }
    causes
}

fn check_class(spec: &Value) -> Vec<Cause> {
    let name = text_at(spec, &["storageClassName"]);
    if name.is_empty() {
        return Vec::new();
    }
    Cause::all_invalid("spec.storageClassName", name, &names::subdomain(name))
}

fn check_volume_mode(spec: &Value) -> Option<Cause> {
    let mode = spec.get("volumeMode")?.as_str()?;
    Cause::unless_supported("spec.volumeMode", mode, &["Block", "Filesystem"])
}

/// Checks the shape of a claim's data source. Nothing is copied from it.
fn check_source(spec: &Value, key: &str) -> Vec<Cause> {
    let Some(source) = spec.get(key) else { return Vec::new() };
    let mut causes = Vec::new();
    for part in ["name", "kind"] {
        if text_at(source, &[part]).is_empty() {
            causes.push(Cause::required(format!("spec.{key}.{part}"), ""));
        }
    }
    let [group, kind] = ["apiGroup", "kind"].map(|part| text_at(source, &[part]));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        causes.push(Cause::invalid_text(format!("spec.{key}"), kind, why));
    }
    causes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bound() -> Value {
        json!({
            "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}},
                "storageClassName": "fast", "volumeName": "v", "volumeMode": "Filesystem",
            },
            "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}},
        })
    }

    fn messages(causes: &[Cause]) -> Vec<String> {
        let first = |cause: &Cause| cause.message.lines().next().unwrap_or_default().to_owned();
        causes.iter().map(|cause| format!("{}: {}", cause.field, first(cause))).collect()
    }

    /// Guards what a new claim must have, and the message for each mistake.
    #[test]
    fn mistakes_in_a_claim_have_kubernetes_messages() {
        let modes =
            "supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"";
        let unknown = format!("spec.accessModes: Unsupported value: \"Some\": {modes}");
        for (path, value, expected) in [
            (
                "/accessModes",
                json!([]),
                "spec.accessModes: Required value: at least 1 access mode is required",
            ),
            ("/accessModes", json!(["Some"]), unknown.as_str()),
            (
                "/accessModes",
                json!(["ReadWriteOncePod", "ReadOnlyMany"]),
                "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
            ),
            ("/resources", json!({}), "spec.resources[storage]: Required value"),
            (
                "/resources/requests/storage",
                json!("0"),
                "spec.resources[storage]: Invalid value: \"0\": must be greater than zero",
            ),
            (
                "/volumeMode",
                json!("Tape"),
                "spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\"",
            ),
            (
                "/dataSource",
                json!({"kind": "VolumeSnapshot", "apiGroup": "g"}),
                "spec.dataSource.name: Required value",
            ),
        ] {
            let mut spec = bound()["spec"].clone();
            spec["dataSource"] = json!({"kind": "PersistentVolumeClaim", "name": "a"});
            assert_eq!(messages(&claim(&spec)), Vec::<String>::new());
            *spec.pointer_mut(path).unwrap() = value;
            assert_eq!(messages(&claim(&spec)), [expected]);
        }
    }

    /// Guards that only the size of a bound claim changes, and only upwards.
    #[test]
    fn only_the_size_of_a_bound_claim_may_grow() {
        let immutable = format!("spec: Forbidden: {IMMUTABLE}");
        let shrunk = "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity";
        let size = "/spec/resources/requests/storage";
        for (phase, path, value, expected) in [
            ("Bound", size, json!("3Gi"), vec![]),
            ("Bound", size, json!("2048Mi"), vec![]),
            ("Bound", size, json!("1Gi"), vec![shrunk]),
            ("Bound", "/spec/storageClassName", json!("slow"), vec![immutable.as_str()]),
            ("Bound", "/spec/accessModes", json!(["ReadWriteMany"]), vec![&immutable]),
            ("Pending", size, json!("3Gi"), vec![&immutable]),
        ] {
            let mut old = bound();
            old["status"]["phase"] = phase.into();
            let mut new = old.clone();
            *new.pointer_mut(path).unwrap() = value;
            assert_eq!(messages(&claim_change(&old, &new)), expected, "{phase} {path}");
        }
    }

    /// Guards the lines that the server prints for a claim that cannot change so.
    #[cfg(feature = "kubectl")]
    #[test]
    fn a_forbidden_change_is_shown_line_by_line() {
        let mut new = bound();
        new["spec"]["accessModes"] = json!(["ReadWriteMany"]);
        let causes = claim_change(&bound(), &new);
        let diff = "@@ -1,6 +1,6 @@\n {\n  \"AccessModes\": [\n-  \"ReadWriteOnce\"\n+  \"ReadWriteMany\"\n  ],\n  \"Selector\": null,\n  \"Resources\": {\n";
        assert!(causes[0].message.ends_with(diff), "{}", causes[0].message);
    }

    /// Guards that a class cannot change how its volumes are made.
    #[test]
    fn a_class_keeps_its_provisioner_and_binding_mode() {
        let old =
            json!({"provisioner": "a.b/c", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"});
        assert_eq!(messages(&class(&old)), Vec::<String>::new());
        let mut new = old.clone();
        new["allowVolumeExpansion"] = true.into();
        assert_eq!(messages(&class_change(&old, &new)), Vec::<String>::new());
        new["provisioner"] = "d".into();
        new["volumeBindingMode"] = "WaitForFirstConsumer".into();
        assert_eq!(
            messages(&class_change(&old, &new)),
            [
                "provisioner: Forbidden: updates to provisioner are forbidden.",
                "volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable",
            ]
        );
    }
}
