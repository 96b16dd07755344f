//! The admission of Pods by the classes that they name: their `PriorityClass` and their `RuntimeClass`.

use serde_json::{Value, json};

use crate::fields::items;
use crate::resource::{PODS, PRIORITY_CLASSES, RUNTIME_CLASSES, Resource};
use crate::status::{ApiError, ApiResult};
use crate::store::{Object, Store, text_at};

/// The classes that every cluster has, with their priorities.
const SYSTEM_CLASSES: [(&str, i64); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

/// Sets the fields of a new Pod that come from its classes. Rejects a Pod that names a class that does not exist.
pub(super) fn admit(store: &Store, resource: &Resource, pod: &mut Value) -> ApiResult<()> {
    if resource != PODS {
        return Ok(());
    }
    let name = text_at(pod, &["metadata", "name"]).to_owned();
    let spec = &mut pod["spec"];
    set_priority(store, spec)
        .and_then(|()| set_runtime(store, spec))
        .map_err(|why| ApiError::forbidden(PODS, &name, &why))
}

fn set_priority(store: &Store, spec: &mut Value) -> Result<(), String> {
    let named = text_at(spec, &["priorityClassName"]).to_owned();
    let given = spec["priority"].as_i64();
    let system = SYSTEM_CLASSES.iter().find(|(name, _)| *name == named).map(|(_, priority)| *priority);
    let class = if named.is_empty() {
        default_priority_class(store)
    } else {
        store.get(PRIORITY_CLASSES, "", &named)
    };
    let class = class.as_ref().map(Object::value);
    let priority = match (system, class) {
        (Some(priority), _) => priority,
        (None, Some(class)) => class["value"].as_i64().unwrap_or(0),
        (None, None) if named.is_empty() => 0,
        (None, None) => return Err(format!("no PriorityClass with name {named} was found")),
    };
    if let Some(given) = given.filter(|given| *given != priority && *given != 0) {
        return Err(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {priority} from the given PriorityClass name"
        ));
    }
    spec["priority"] = priority.into();
    if let Some(class) = class {
        spec["priorityClassName"] = class["metadata"]["name"].clone();
        if let Some(policy) = class.get("preemptionPolicy") {
            spec["preemptionPolicy"] = policy.clone();
        }
    }
    Ok(())
}

/// Returns the class of Pods that name none. Of several the lowest counts.
fn default_priority_class(store: &Store) -> Option<Object> {
    let marked =
        store.list(PRIORITY_CLASSES, None).filter(|class| class.value()["globalDefault"] == json!(true));
    marked.min_by_key(|class| class.value()["value"].as_i64())
}

fn set_runtime(store: &Store, spec: &mut Value) -> Result<(), String> {
    let Some(named) = spec["runtimeClassName"].as_str().map(str::to_owned) else {
        let overhead = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
        return if spec["overhead"].is_null() { Ok(()) } else { Err(overhead.to_owned()) };
    };
    let Some(class) = store.get(RUNTIME_CLASSES, "", &named) else {
        return Err(format!("pod rejected: RuntimeClass \"{named}\" not found"));
    };
    let class = class.value();
    let overhead = &class["overhead"]["podFixed"];
    if !spec["overhead"].is_null() && spec["overhead"] != *overhead {
        return Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead".to_owned());
    }
    if overhead.is_object() {
        spec["overhead"] = overhead.clone();
    }
    for (key, value) in class["scheduling"]["nodeSelector"].as_object().into_iter().flatten() {
        match spec["nodeSelector"].get(key) {
            Some(own) if own != value => {
                let (own, value) = (own.as_str().unwrap_or(""), value.as_str().unwrap_or(""));
                return Err(format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}"
                ));
            }
            _ => spec["nodeSelector"][key.as_str()] = value.clone(),
        }
    }
    for toleration in items(&class["scheduling"]["tolerations"]) {
        if !spec["tolerations"].is_array() {
            spec["tolerations"] = json!([]);
        }
        if let Some(own) = spec["tolerations"].as_array_mut().filter(|own| !own.contains(toleration)) {
            own.push(toleration.clone());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        let mut store = Store::with_window(10);
        store.put(
            PRIORITY_CLASSES,
            json!({
                "metadata": {"name": "low"}, "value": -10, "preemptionPolicy": "Never",
            }),
        );
        store.put(RUNTIME_CLASSES, json!({
            "metadata": {"name": "gvisor"}, "handler": "runsc", "overhead": {"podFixed": {"memory": "120Mi"}},
            "scheduling": {"nodeSelector": {"pool": "gvisor"}, "tolerations": [{"key": "gvisor", "operator": "Exists"}]},
        }));
        store.put(RUNTIME_CLASSES, json!({"metadata": {"name": "plain"}, "handler": "runc"}));
        store
    }

    fn admitted(store: &Store, spec: &Value) -> Result<Value, String> {
        let mut pod = json!({"metadata": {"namespace": "n", "name": "p"}, "spec": spec});
        admit(store, PODS, &mut pod).map_err(|error| error.message)?;
        Ok(pod["spec"].take())
    }

    /// Guards the priority that a class gives, and the refusals.
    #[test]
    fn a_pod_gets_the_priority_of_its_class() {
        let mut store = store();
        for (spec, wanted) in [
            (json!({}), Ok((json!(0), Value::Null))),
            (json!({"priority": 0}), Ok((json!(0), Value::Null))),
            (json!({"priority": 0, "priorityClassName": "low"}), Ok((json!(-10), json!("Never")))),
            (json!({"priorityClassName": "system-node-critical"}), Ok((json!(2_000_001_000), Value::Null))),
            (json!({"priorityClassName": "high"}), Err("no PriorityClass with name high was found")),
            (
                json!({"priority": 5, "priorityClassName": "low"}),
                Err(
                    "the integer value of priority (5) must not be provided in pod spec; priority admission controller \
                     computed -10 from the given PriorityClass name",
                ),
            ),
        ] {
            let found = admitted(&store, &spec);
            let found = found.map(|spec| (spec["priority"].clone(), spec["preemptionPolicy"].clone()));
            assert_eq!(found, wanted.map_err(|why| format!("pods \"p\" is forbidden: {why}")), "{spec}");
        }
        store
            .put(PRIORITY_CLASSES, json!({"metadata": {"name": "usual"}, "value": 7, "globalDefault": true}));
        let spec = admitted(&store, &json!({"priority": 0})).unwrap();
        assert_eq!((&spec["priority"], &spec["priorityClassName"]), (&json!(7), &json!("usual")));
    }

    /// Guards what a runtime class adds to a Pod, and the refusals.
    #[test]
    fn a_pod_gets_the_overhead_and_the_nodes_of_its_runtime() {
        let store = store();
        let spec = admitted(&store, &json!({"runtimeClassName": "gvisor", "nodeSelector": {"disk": "ssd"}}))
            .unwrap();
        assert_eq!(spec["overhead"], json!({"memory": "120Mi"}));
        assert_eq!(spec["nodeSelector"], json!({"disk": "ssd", "pool": "gvisor"}));
        assert_eq!(spec["tolerations"], json!([{"key": "gvisor", "operator": "Exists"}]));
        assert_eq!(admitted(&store, &json!({"runtimeClassName": "plain"})).unwrap()["overhead"], Value::Null);
        for (spec, why) in [
            (json!({"runtimeClassName": "kata"}), "pod rejected: RuntimeClass \"kata\" not found"),
            (
                json!({"runtimeClassName": "gvisor", "overhead": {"memory": "1Gi"}}),
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
            ),
            (
                json!({"overhead": {"memory": "1Gi"}}),
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            ),
            (
                json!({"runtimeClassName": "gvisor", "nodeSelector": {"pool": "other"}}),
                "conflict: runtimeClass.scheduling.nodeSelector[pool] = gvisor; pod.spec.nodeSelector[pool] = other",
            ),
        ] {
            assert_eq!(admitted(&store, &spec).unwrap_err(), format!("pods \"p\" is forbidden: {why}"));
        }
    }
}
