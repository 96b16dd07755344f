//! Fields that objects of several kinds have: lists, conditions, finalizers.

use serde_json::{Value, json};

use crate::store::text_at;

/// Returns the items of a list; none if the value is not a list.
pub(crate) fn items(list: &Value) -> std::slice::Iter<'_, Value> {
    list.as_array().map_or(&[][..], Vec::as_slice).iter()
}

/// Returns whether a condition of an object is true.
pub(crate) fn is_true(object: &Value, condition: &str) -> bool {
    items(&object["status"]["conditions"]).any(|c| c["type"] == condition && c["status"] == "True")
}

/// Returns when a condition came to its status: now, unless the object has it with that status.
pub(crate) fn transition_time(object: &Value, condition: &str, status: &str, now: &str) -> Value {
    let mut conditions = items(&object["status"]["conditions"]);
    let same = conditions.find(|c| c["type"] == condition && c["status"] == status);
    same.map_or_else(|| now.into(), |same| same["lastTransitionTime"].clone())
}

/// Returns a condition of a Pod, maybe with a reason and a message, for the generation of the Pod.
pub(crate) fn pod_condition(
    pod: &Value,
    kind: &str,
    status: bool,
    why: (Option<&str>, Option<&str>),
    since: impl Into<Value>,
) -> Value {
    let mut condition = json!({
        "type": kind, "observedGeneration": pod["metadata"]["generation"],
        "status": if status { "True" } else { "False" }, "lastProbeTime": null, "lastTransitionTime": since.into(),
    });
    for (key, value) in [("reason", why.0), ("message", why.1)] {
        if let Some(value) = value {
            condition[key] = value.into();
        }
    }
    condition
}

/// Returns whether a Pod has ended.
pub(crate) fn has_ended(pod: &Value) -> bool {
    matches!(text_at(pod, &["status", "phase"]), "Succeeded" | "Failed")
}

/// Returns whether an object has a finalizer.
pub(crate) fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    items(&object["metadata"]["finalizers"]).any(|known| known == finalizer)
}

/// Returns an object without a finalizer.
pub(crate) fn without_finalizer(object: &Value, finalizer: &str) -> Value {
    let mut value = object.clone();
    retain_in(&mut value["metadata"], "finalizers", |known| known != finalizer);
    value
}

/// Removes the other items of a list, and the list if it is empty then.
pub(crate) fn retain_in(fields: &mut Value, key: &str, keep: impl Fn(&Value) -> bool) {
    let Some(fields) = fields.as_object_mut() else { return };
    let Some(list) = fields.get_mut(key).and_then(Value::as_array_mut) else { return };
    list.retain(keep);
    if list.is_empty() {
        fields.remove(key);
    }
}
