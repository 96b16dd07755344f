//! Validation of a Pod's `resize`.

use serde_json::Value;

use super::pod;
use crate::fields::items;
use crate::quote::json_quoted;
use crate::requests::qos_class;
use crate::status::Cause;
use crate::store::text_at;

/// The only resources of a container that can change.
const RESIZABLE: [&str; 2] = ["cpu", "memory"];
const LISTS: [&str; 2] = ["initContainers", "containers"];

/// Checks a resize. Only the CPU and the memory of containers and of sidecars may change.
pub(super) fn check(old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = pod::check(new);
    let class = text_at(old, &["status", "qosClass"]);
    if qos_class(&new["spec"]) != class {
        let why = "Pod QOS Class may not change as a result of resizing";
        causes.push(Cause::invalid("spec", &json_quoted(class), why));
    }
    if !is_supported(old) {
        causes.push(Cause::forbidden("spec", "Pod running on node without support for resize"));
    }
    let order = check_order(&old["spec"], &new["spec"]);
    if !order.is_empty() {
        causes.extend(order);
        return causes;
    }
    let mut rest = new["spec"].clone();
    for list in LISTS {
        let containers = rest.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for (place, (after, before)) in containers.zip(items(&old["spec"][list])).enumerate() {
            let field = format!("spec.{list}[{place}].resources");
            causes.extend(check_removed(&before["resources"], &after["resources"], &field));
            let sidecar = list == "containers" || before["restartPolicy"] == "Always";
            if !sidecar && before["resources"] != after["resources"] {
                let why = "resources for non-sidecar init containers are immutable";
                causes.push(Cause::forbidden(field, why));
            }
            restore(before, after);
        }
    }
    if rest != old["spec"] {
        causes.push(Cause::forbidden("spec", "only cpu and memory resources are mutable"));
    }
    causes
}

/// Whether the kubelet of a running Pod can resize: it reports the resources of containers.
fn is_supported(pod: &Value) -> bool {
    let running = items(&pod["status"]["containerStatuses"]).find(|s| s["state"].get("running").is_some());
    running.is_none_or(|status| status.get("resources").is_some())
}

fn check_order(old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for list in ["containers", "initContainers"] {
        if items(&old[list]).count() != items(&new[list]).count() {
            let why = format!("{list} may not be added or removed on resize");
            causes.push(Cause::forbidden(format!("spec.{list}"), &why));
            continue;
        }
        for (place, (before, after)) in items(&old[list]).zip(items(&new[list])).enumerate() {
            if before["name"] != after["name"] {
                let why = format!("{list} may not be renamed or reordered on resize");
                causes.push(Cause::forbidden(format!("spec.{list}[{place}].name"), &why));
            }
        }
    }
    causes
}

fn check_removed(old: &Value, new: &Value, field: &str) -> Vec<Cause> {
    let removed = |kind: &&str| {
        RESIZABLE.iter().any(|key| old[*kind].get(key).is_some() && new[*kind].get(key).is_none())
    };
    let kinds = ["requests", "limits"].into_iter().filter(removed);
    let cause = |kind: &str| {
        Cause::forbidden(format!("{field}.{kind}"), &format!("resource {kind} cannot be removed"))
    };
    kinds.map(cause).collect()
}

/// Restores the CPU and the memory of a container, so that what is left can be compared.
fn restore(old: &Value, new: &mut Value) {
    if old["resources"] == new["resources"] {
        return;
    }
    for kind in ["requests", "limits"] {
        for key in RESIZABLE {
            if let Some(amount) = old["resources"][kind].get(key) {
                new["resources"][kind][key] = amount.clone();
            } else {
                let amounts = new["resources"].get_mut(kind).and_then(Value::as_object_mut);
                drop(amounts.and_then(|amounts| amounts.remove(key)));
            }
        }
        let empty = new["resources"][kind].as_object().is_none_or(serde_json::Map::is_empty);
        if empty && old["resources"].get(kind).is_none() {
            drop(new["resources"].as_object_mut().and_then(|fields| fields.remove(kind)));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn amounts(cpu: &str, memory: &str) -> Value {
        json!({"cpu": cpu, "memory": memory})
    }

    fn pod() -> Value {
        let resources = json!({"requests": amounts("1", "1Gi"), "limits": amounts("2", "1Gi")});
        let container = json!({"name": "c", "image": "i", "resources": resources});
        let init = json!({"name": "i", "image": "i", "resources": {"requests": {"cpu": "1"}}});
        let sidecar = json!({"name": "s", "image": "i", "restartPolicy": "Always", "resources": resources});
        json!({
            "spec": {
                "containers": [container], "initContainers": [init, sidecar], "restartPolicy": "Always",
            },
            "status": {"qosClass": "Burstable"},
        })
    }

    fn messages(old: &Value, new: &Value) -> Vec<String> {
        check(old, new).iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    /// Guards each rule of a resize with its message.
    #[test]
    fn only_cpu_and_memory_may_change_within_the_class() {
        let place = "/spec/containers/0/resources";
        let mutable = "spec: Forbidden: only cpu and memory resources are mutable";
        let class =
            "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing";
        let cases: Vec<(&str, Value, Vec<&str>)> = vec![
            ("/spec/containers/0/resources/limits/cpu", json!("4"), vec![]),
            ("/spec/containers/0/resources/requests/memory", json!("512Mi"), vec![]),
            ("/spec/initContainers/1/resources/limits/cpu", json!("4"), vec![]),
            (
                "/spec/containers/0/resources/limits/cpu",
                json!("500m"),
                vec![
                    "spec.containers[0].resources.requests: Invalid value: \"1\": must be less than or equal to cpu \
                      limit of 500m",
                ],
            ),
            (
                place,
                json!({"requests": amounts("1", "1Gi")}),
                vec!["spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed"],
            ),
            (
                place,
                json!({"requests": {"cpu": "1"}, "limits": amounts("2", "1Gi")}),
                vec!["spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"],
            ),
            (
                "/spec/initContainers/0/resources/requests/cpu",
                json!("2"),
                vec![
                    "spec.initContainers[0].resources: Forbidden: resources for non-sidecar init containers are \
                      immutable",
                ],
            ),
            ("/spec/containers/0/resources/requests/ephemeral-storage", json!("1Gi"), vec![mutable]),
            ("/spec/containers/0/resizePolicy", json!([]), vec![mutable]),
            (
                "/spec/containers/0/name",
                json!("d"),
                vec![
                    "spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize",
                ],
            ),
            (
                "/spec/containers/1",
                json!({"name": "d", "image": "i"}),
                vec!["spec.containers: Forbidden: containers may not be added or removed on resize"],
            ),
        ];
        for (path, value, expected) in cases {
            let mut new = pod();
            let (parent, key) = path.rsplit_once('/').unwrap();
            match new.pointer_mut(parent).unwrap() {
                Value::Array(items) if key == "1" && parent == "/spec/containers" => items.push(value),
                Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
                parent => parent[key] = value,
            }
            assert_eq!(messages(&pod(), &new), expected, "{path}");
        }
        let mut guaranteed = pod();
        guaranteed["spec"]["initContainers"] = json!([]);
        let mut old = guaranteed.clone();
        guaranteed["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "2".into();
        assert_eq!(messages(&old, &guaranteed), [class]);
        old["status"]["containerStatuses"] = json!([{"state": {"running": {}}}]);
        assert_eq!(check(&old, &old)[0].message, "Forbidden: Pod running on node without support for resize");
    }
}
