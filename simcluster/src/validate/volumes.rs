//! Validation of a Pod's volumes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check_label;
use super::quantity::Quantity;
use crate::fields::items;
use crate::status::Cause;
use crate::store::text_at;

/// The kinds of volumes in the real server's order, each with the name that messages print for a second one.
const SOURCES: [(&str, &str); 30] = [
    ("emptyDir", "emptyDir"),
    ("hostPath", "hostPath"),
    ("gitRepo", "gitRepo"),
    ("gcePersistentDisk", "gcePersistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("secret", "secret"),
    ("nfs", "nfs"),
    ("iscsi", "iscsi"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("persistentVolumeClaim", "persistentVolumeClaim"),
    ("rbd", "rbd"),
    ("cinder", "cinder"),
    ("cephfs", "cephFS"),
    ("quobyte", "quobyte"),
    ("downwardAPI", "downwarAPI"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("configMap", "configMap"),
    ("azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("storageos", "storageos"),
    ("projected", "projected"),
    ("scaleIO", "scaleIO"),
    ("csi", "csi"),
    ("ephemeral", "ephemeral"),
    ("image", "image"),
];
const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// Validates the volumes of a spec and returns the names of the valid ones.
pub(super) fn check<'a>(spec: &'a Value, causes: &mut Vec<Cause>) -> BTreeSet<&'a str> {
    let mut volumes = BTreeSet::new();
    for (place, volume) in items(&spec["volumes"]).enumerate() {
        let field = format!("spec.volumes[{place}]");
        let mut wrong = Vec::new();
        check_source(volume, &field, &mut wrong);
        let (name, field) = (text_at(volume, &["name"]), format!("{field}.name"));
        wrong.extend(check_label(&field, name));
        if volumes.contains(name) {
            wrong.push(Cause::duplicate(field, name));
        }
        if wrong.is_empty() {
            volumes.insert(name);
        }
        causes.append(&mut wrong);
    }
    volumes
}

fn check_source(volume: &Value, field: &str, wrong: &mut Vec<Cause>) {
    let mut kinds = SOURCES.iter().filter_map(|(kind, word)| Some((*kind, *word, volume.get(kind)?)));
    let Some((kind, _, source)) = kinds.next() else {
        wrong.push(Cause::required(field, "must specify a volume type"));
        return;
    };
    check_kind(kind, source, &format!("{field}.{kind}"), wrong);
    for (_, word, _) in kinds {
        wrong.push(Cause::forbidden(format!("{field}.{word}"), "may not specify more than 1 volume type"));
    }
}

/// Validates the kinds of volumes that sandboxes use.
fn check_kind(kind: &str, source: &Value, field: &str, wrong: &mut Vec<Cause>) {
    let mut require = |key: &str| {
        if text_at(source, &[key]).is_empty() {
            wrong.push(Cause::required(format!("{field}.{key}"), ""));
        }
    };
    match kind {
        "persistentVolumeClaim" => require("claimName"),
        "secret" => require("secretName"),
        "configMap" => require("name"),
        "hostPath" => check_host_path(source, field, wrong),
        "emptyDir" => {
            let limit = source.get("sizeLimit").and_then(Quantity::from_json);
            if limit.is_some_and(|limit| Quantity::whole(0).exceeds(limit)) {
                let why = "SizeLimit field must be a valid resource quantity";
                wrong.push(Cause::forbidden(format!("{field}.sizeLimit"), why));
            }
        }
        _ => {}
    }
}

fn check_host_path(source: &Value, field: &str, wrong: &mut Vec<Cause>) {
    let path = text_at(source, &["path"]);
    if path.is_empty() {
        wrong.push(Cause::required(format!("{field}.path"), ""));
        return;
    }
    wrong.extend(backsteps(path, &format!("{field}.path")));
    let kind = text_at(source, &["type"]);
    wrong.extend(Cause::unless_supported(format!("{field}.type"), kind, &HOST_PATH_TYPES));
}

/// Checks that a path does not contain `..`.
pub(super) fn backsteps(path: &str, field: &str) -> Option<Cause> {
    let found = path.split('/').any(|part| part == "..");
    found.then(|| Cause::invalid_text(field, path, "must not contain '..'"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::names;

    /// Guards the field, the message and the order of volume errors.
    #[test]
    fn volume_errors_have_kubernetes_messages() {
        let types = "\"\", \"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \
             \"FileOrCreate\", \"Socket\"";
        let unknown =
            format!("spec.volumes[0].hostPath.type: Unsupported value: \"Dir\": supported values: {types}");
        let rule = names::label("A").remove(0);
        let name = format!("spec.volumes[0].name: Invalid value: \"A\": {rule}");
        let cases: [(Value, Vec<&str>); 11] = [
            (json!([{"name": "a", "hostPath": {"path": "relative/p", "type": ""}}]), vec![]),
            (
                json!([{"name": "a", "hostPath": {"path": "/a/../../b", "type": "Dir"}}]),
                vec![
                    "spec.volumes[0].hostPath.path: Invalid value: \"/a/../../b\": must not contain '..'",
                    &unknown,
                ],
            ),
            (json!([{"name": "a", "hostPath": {"path": "/a/..b"}}]), vec![]),
            (
                json!([{"name": "a", "hostPath": {"type": "Dir"}}]),
                vec!["spec.volumes[0].hostPath.path: Required value"],
            ),
            (
                json!([{"name": "A", "secret": {}}]),
                vec!["spec.volumes[0].secret.secretName: Required value", &name],
            ),
            (
                json!([{"name": "a.b", "emptyDir": {}}]),
                vec!["spec.volumes[0].name: Invalid value: \"a.b\": must not contain dots"],
            ),
            (json!([{"emptyDir": {}}]), vec!["spec.volumes[0].name: Required value"]),
            (json!([{"name": "a"}]), vec!["spec.volumes[0]: Required value: must specify a volume type"]),
            (
                json!([{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]),
                vec!["spec.volumes[1].name: Duplicate value: \"a\""],
            ),
            // The name of an invalid volume is not recorded.
            (
                json!([{"name": "a", "configMap": {}}, {"name": "a", "emptyDir": {}}]),
                vec!["spec.volumes[0].configMap.name: Required value"],
            ),
            (
                json!([{"name": "a", "persistentVolumeClaim": {}, "downwardAPI": {}, "cephfs": {}}]),
                vec![
                    "spec.volumes[0].persistentVolumeClaim.claimName: Required value",
                    "spec.volumes[0].cephFS: Forbidden: may not specify more than 1 volume type",
                    "spec.volumes[0].downwarAPI: Forbidden: may not specify more than 1 volume type",
                ],
            ),
        ];
        for (volumes, wanted) in cases {
            let mut wrong = Vec::new();
            check(&json!({"volumes": volumes}), &mut wrong);
            let found: Vec<_> =
                wrong.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
            assert_eq!(found, wanted, "{volumes}");
        }
    }
}
