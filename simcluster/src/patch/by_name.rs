//! The part of a strategic merge that needs no types of the API: lists whose items have names, such as the containers of a
//! Pod, are merged item by item. With the feature `kubectl`, `strategic` does the whole merge instead.

use serde_json::{Map, Value};

/// The key that identifies an item of a list.
const KEY: &str = "name";

/// Applies a patch to a value.
pub(super) fn apply(target: &mut Value, patch: &Value) {
    match patch {
        Value::Object(members) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            let Some(fields) = target.as_object_mut() else { return };
            for (key, value) in members {
                if value.is_null() {
                    fields.remove(key);
                } else {
                    apply(fields.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        Value::Array(items) if target.is_array() && items.iter().all(|item| item[KEY].is_string()) => {
            let Some(list) = target.as_array_mut() else { return };
            for item in items {
                match list.iter_mut().find(|known| known[KEY] == item[KEY]) {
                    Some(known) => apply(known, item),
                    None => list.push(item.clone()),
                }
            }
        }
        other => *target = other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Guards that the items of a list are merged by their names, and that everything else is merged as in a JSON merge.
    #[test]
    fn items_are_merged_by_name() {
        let mut pod = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"containers": [
            {"name": "sidecar", "image": "s"},
            {"name": "sandbox", "image": "i", "args": ["x"], "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}},
        ]}});
        let patch = json!({"metadata": {"labels": {"b": null}}, "spec": {"containers": [
            {"name": "sandbox", "args": ["y", "z"], "resources": {"limits": {"cpu": "2"}}},
        ]}});
        apply(&mut pod, &patch);
        let expected = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [
            {"name": "sidecar", "image": "s"},
            {"name": "sandbox", "image": "i", "args": ["y", "z"], "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}},
        ]}});
        assert_eq!(pod, expected);
    }
}
