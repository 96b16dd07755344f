//! Validation of Pods.

use std::collections::BTreeSet;

use serde_json::Value;

use super::quantity::Quantity;
#[cfg(feature = "kubectl")]
use super::spec_diff::spec_diff;
use super::{check_label, check_minimum, check_port, mounts, volumes};
use crate::fields::items;
use crate::status::Cause;
use crate::store::{copy_field, text_at};

const IMMUTABLE: &str = "pod updates may not change fields other than \
     `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
     additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
     previously negative)";

/// Validates the spec of a new Pod.
pub(super) fn check(pod: &Value) -> Vec<Cause> {
    let spec = &pod["spec"];
    let mut causes = Vec::new();
    let volumes = volumes::check(spec, &mut causes);
    let mut names = BTreeSet::new();
    if items(&spec["containers"]).next().is_none() {
        causes.push(Cause::required("spec.containers", ""));
    }
    for list in ["containers", "initContainers"] {
        for (place, container) in items(&spec[list]).enumerate() {
            let field = format!("spec.{list}[{place}]");
            check_container(container, &field, &volumes, &mut causes);
            let name = text_at(container, &["name"]);
            // The real server records the empty name of a container, but not of an init container.
            if names.contains(name) {
                causes.push(Cause::duplicate(format!("{field}.name"), name));
            } else if list == "containers" || !name.is_empty() {
                names.insert(name);
            }
        }
    }
    let policies = ["Always", "OnFailure", "Never"];
    let policy = text_at(spec, &["restartPolicy"]);
    causes.extend(Cause::unless_supported("spec.restartPolicy", policy, &policies));
    let grace = &spec["terminationGracePeriodSeconds"];
    causes.extend(check_minimum("spec.terminationGracePeriodSeconds", grace, 0));
    causes
}

/// Checks a change of a Pod's spec. Only images and a few other fields may change.
pub(super) fn check_change(old: &Value, new: &Value) -> Vec<Cause> {
    let (old, new) = (&old["spec"], &new["spec"]);
    let lists = ["containers", "initContainers"];
    let why = "pod updates may not add or remove containers";
    let counts: Vec<_> = lists
        .iter()
        .filter(|list| items(&old[**list]).count() != items(&new[**list]).count())
        .map(|list| Cause::forbidden(format!("spec.{list}"), why))
        .collect();
    if !counts.is_empty() {
        return counts;
    }
    let mut new = new.clone();
    for list in lists {
        let containers = new.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for (new, old) in containers.zip(items(&old[list])) {
            copy_field(old, new, "image");
        }
    }
    for key in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        copy_field(old, &mut new, key);
    }
    if *old == new {
        return Vec::new();
    }
    #[cfg(feature = "kubectl")]
    let why = match spec_diff(old, &new) {
        diff if diff.is_empty() => return Vec::new(),
        diff => format!("{IMMUTABLE}\n{diff}"),
    };
    #[cfg(not(feature = "kubectl"))]
    let why = IMMUTABLE.to_owned();
    vec![Cause::forbidden("spec", &why)]
}

fn check_container(container: &Value, field: &str, volumes: &BTreeSet<&str>, causes: &mut Vec<Cause>) {
    causes.extend(check_label(&format!("{field}.name"), text_at(container, &["name"])));
    if text_at(container, &["image"]).is_empty() {
        causes.push(Cause::required(format!("{field}.image"), ""));
    }
    for (place, port) in items(&container["ports"]).enumerate() {
        let (field, port) = (format!("{field}.ports[{place}].containerPort"), &port["containerPort"]);
        let missing = port.as_i64().is_none_or(|number| number == 0);
        causes.extend(if missing { Some(Cause::required(field, "")) } else { check_port(&field, port) });
    }
    for (place, variable) in items(&container["env"]).enumerate() {
        if text_at(variable, &["name"]).is_empty() {
            causes.push(Cause::required(format!("{field}.env[{place}].name"), ""));
        }
    }
    mounts::check(container, field, volumes, causes);
    let (limits, requests) = (&container["resources"]["limits"], &container["resources"]["requests"]);
    for (key, request) in requests.as_object().into_iter().flatten() {
        let limit = limits.get(key).and_then(Quantity::from_json);
        if let (Some(request), Some(limit)) = (Quantity::from_json(request), limit)
            && request.exceeds(limit)
        {
            let why = format!("must be less than or equal to {key} limit of {}", limit.canonical());
            let field = format!("{field}.resources.requests");
            causes.push(Cause::invalid_text(field, &request.canonical(), &why));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Guards which changes of a spec are accepted, and the error for the others.
    #[test]
    fn only_images_and_few_other_fields_may_change() {
        let old = json!({"spec": {
            "containers": [{"name": "c", "image": "i"}], "hostname": "h", "securityContext": {},
        }});
        let cases = [
            ("/spec/containers/0/image", json!("other"), None),
            ("/spec/tolerations", json!([{"key": "k"}]), None),
            ("/spec/activeDeadlineSeconds", json!(5), None),
            // An absent field equals its empty value.
            ("/spec/hostNetwork", json!(false), None),
            ("/spec/nodeName", json!(""), None),
            ("/spec/hostname", json!("other"), Some(("spec", "- \"Hostname\": \"h\""))),
            (
                "/spec/terminationGracePeriodSeconds",
                json!(5),
                Some(("spec", "+ \"TerminationGracePeriodSeconds\": 5")),
            ),
            ("/spec/containers/0/args", json!(["a"]), Some(("spec", "+    \"a\""))),
            ("/spec/containers", json!([]), Some(("spec.containers", "add or remove"))),
            ("/spec/initContainers", json!([{"name": "i"}]), Some(("spec.initContainers", "add or remove"))),
        ];
        for (place, value, wanted) in cases {
            let mut new = old.clone();
            let (parent, key) = place.rsplit_once('/').unwrap();
            new.pointer_mut(parent).unwrap()[key] = value;
            let found = check_change(&old, &new);
            match wanted {
                None => assert!(found.is_empty(), "{place}: {found:?}"),
                Some((field, words)) => {
                    assert_eq!((found.len(), found[0].field.as_str()), (1, field), "{place}");
                    assert!(found[0].message.contains(words), "{place}: {}", found[0].message);
                }
            }
        }
    }
}
