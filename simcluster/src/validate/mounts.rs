//! Validation of volume mounts.

use std::collections::BTreeSet;

use serde_json::Value;

use super::volumes::backsteps;
use crate::fields::items;
use crate::status::Cause;
use crate::store::text_at;

const PROPAGATIONS: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];
const RECURSIVE_READ_ONLY: [&str; 3] = ["Disabled", "Enabled", "IfPossible"];

/// Validates the mounts of a container. `volumes` are the names of the Pod's volumes, `field` is the container's path.
pub(super) fn check(container: &Value, field: &str, volumes: &BTreeSet<&str>, causes: &mut Vec<Cause>) {
    let field = format!("{field}.volumeMounts");
    let privileged = container["securityContext"]["privileged"] == true;
    let mut paths = BTreeSet::new();
    for (place, mount) in items(&container["volumeMounts"]).enumerate() {
        let one = |key: &str| format!("{field}[{place}].{key}");
        // The real server prints the list index for these fields only.
        let all = |key: &str| format!("{field}.{key}");
        let (name, path) = (text_at(mount, &["name"]), text_at(mount, &["mountPath"]));
        if name.is_empty() {
            causes.push(Cause::required(one("name"), ""));
        }
        if !volumes.contains(name) {
            causes.push(Cause::not_found(one("name"), name));
        }
        if path.is_empty() {
            causes.push(Cause::required(one("mountPath"), ""));
        }
        if !paths.insert(path) {
            causes.push(Cause::invalid_text(one("mountPath"), path, "must be unique"));
        }
        let (sub_path, expression) = (text_at(mount, &["subPath"]), text_at(mount, &["subPathExpr"]));
        check_descending(sub_path, &all("subPath"), causes);
        if !sub_path.is_empty() && !expression.is_empty() {
            let why = "subPathExpr and subPath are mutually exclusive";
            causes.push(Cause::invalid_text(one("subPathExpr"), expression, why));
        }
        check_descending(expression, &all("subPathExpr"), causes);
        let propagation = mount["mountPropagation"].as_str();
        if let Some(propagation) = propagation {
            causes.extend(Cause::unless_supported(all("mountPropagation"), propagation, &PROPAGATIONS));
        }
        if propagation == Some("Bidirectional") && !privileged {
            let why = "Bidirectional mount propagation is available only to privileged containers";
            causes.push(Cause::forbidden(all("mountPropagation"), why));
        }
        if let Some(mode) = mount["recursiveReadOnly"].as_str() {
            let mount = (mount["readOnly"] == true, propagation);
            check_recursive(mode, mount, &all("recursiveReadOnly"), causes);
        }
    }
}

/// Checks that a relative path does not leave the volume.
fn check_descending(path: &str, field: &str, causes: &mut Vec<Cause>) {
    if path.starts_with('/') {
        causes.push(Cause::invalid_text(field, path, "must be a relative path"));
    }
    causes.extend(backsteps(path, field));
}

fn check_recursive(
    mode: &str,
    (read_only, propagation): (bool, Option<&str>),
    field: &str,
    causes: &mut Vec<Cause>,
) {
    causes.extend(Cause::unless_supported(field, mode, &RECURSIVE_READ_ONLY));
    if !["Enabled", "IfPossible"].contains(&mode) {
        return;
    }
    if !read_only {
        causes.push(Cause::forbidden(field, "may only be specified when readOnly is true"));
    }
    if propagation.is_some_and(|propagation| propagation != "None") {
        let why = "may only be specified when mountPropagation is None or not specified";
        causes.push(Cause::forbidden(field, why));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Guards the field, the message and the order of mount errors.
    #[test]
    fn mount_errors_have_kubernetes_messages() {
        let cases: [(Value, &[&str]); 14] = [
            (json!({"name": "v", "mountPath": "a:b", "subPath": "a/..b/c"}), &[]),
            (json!({"name": "x", "mountPath": "/a"}), &["[1].name: Not found: \"x\""]),
            (json!({"mountPath": "/a"}), &["[1].name: Required value", "[1].name: Not found: \"\""]),
            (json!({"name": "v"}), &["[1].mountPath: Required value"]),
            (
                json!({"name": "v", "mountPath": "/m"}),
                &["[1].mountPath: Invalid value: \"/m\": must be unique"],
            ),
            (
                json!({"name": "v", "mountPath": "/a", "subPath": "../x"}),
                &[".subPath: Invalid value: \"../x\": must not contain '..'"],
            ),
            (
                json!({"name": "v", "mountPath": "/a", "subPath": "/x"}),
                &[".subPath: Invalid value: \"/x\": must be a relative path"],
            ),
            (
                json!({"name": "v", "mountPath": "/a", "subPath": "/x/../y"}),
                &[
                    ".subPath: Invalid value: \"/x/../y\": must be a relative path",
                    ".subPath: Invalid value: \"/x/../y\": must not contain '..'",
                ],
            ),
            (
                json!({"name": "v", "mountPath": "/a", "subPathExpr": "$(A)/.."}),
                &[".subPathExpr: Invalid value: \"$(A)/..\": must not contain '..'"],
            ),
            (
                json!({"name": "v", "mountPath": "/a", "subPath": "a", "subPathExpr": "/b"}),
                &[
                    "[1].subPathExpr: Invalid value: \"/b\": subPathExpr and subPath are mutually exclusive",
                    ".subPathExpr: Invalid value: \"/b\": must be a relative path",
                ],
            ),
            (
                json!({"name": "v", "mountPath": "/a", "mountPropagation": "Both"}),
                &[".mountPropagation: Unsupported value: \"Both\": supported values: \"Bidirectional\", \
                 \"HostToContainer\", \"None\""],
            ),
            (
                json!({"name": "v", "mountPath": "/a", "mountPropagation": "Bidirectional"}),
                &[
                    ".mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged \
                 containers",
                ],
            ),
            (
                json!({"name": "v", "mountPath": "/a", "mountPropagation": "HostToContainer",
                    "recursiveReadOnly": "Enabled"}),
                &[
                    ".recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
                    ".recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not \
                     specified",
                ],
            ),
            (
                json!({"name": "v", "mountPath": "/a", "readOnly": true, "recursiveReadOnly": "Yes"}),
                &[
                    ".recursiveReadOnly: Unsupported value: \"Yes\": supported values: \"Disabled\", \"Enabled\", \
                 \"IfPossible\"",
                ],
            ),
        ];
        for (mount, wanted) in cases {
            let container = json!({"volumeMounts": [{"name": "v", "mountPath": "/m"}, mount]});
            let mut wrong = Vec::new();
            check(&container, "spec.containers[0]", &BTreeSet::from(["v"]), &mut wrong);
            let found: Vec<_> =
                wrong.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
            let wanted: Vec<_> =
                wanted.iter().map(|end| format!("spec.containers[0].volumeMounts{end}")).collect();
            assert_eq!(found, wanted, "{mount}");
        }
    }
}
