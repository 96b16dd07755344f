//! Kubernetes' own merge: like RFC 7386, but some lists are merged item by item, by a key that depends on the
//! list. `$patch: replace` and `$patch: delete` are understood, `$setElementOrder` and `$retainKeys` are ignored.

use serde_json::{Map, Value};

/// The lists that are merged by key, by the name of their member.
const KEYED: [(&str, &str); 14] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("volumes", "name"),
    ("env", "name"),
    ("volumeMounts", "mountPath"),
    ("ownerReferences", "uid"),
    ("conditions", "type"),
    ("imagePullSecrets", "name"),
    ("hostAliases", "ip"),
    ("podIPs", "ip"),
    ("hostIPs", "ip"),
    ("topologySpreadConstraints", "topologyKey"),
    ("resourceClaims", "name"),
];

pub(super) fn apply(target: &mut Value, patch: &Value) {
    let Some(members) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if members.get("$patch").is_some_and(|p| p == "replace") || !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (key, value) in members {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            delete_from(fields.get_mut(list), value);
        } else if key.starts_with('$') {
        } else if value.is_null() {
            fields.remove(key);
        } else if let (Some(by), Some(items)) = (key_of(key, value), value.as_array()) {
            merge_list(fields.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new())), items, by);
        } else if key == "finalizers" && value.is_array() {
            add_missing(fields.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new())), value);
        } else {
            apply(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// The key by which the items of a list are told apart; `None` if the list is replaced whole.
fn key_of(list: &str, items: &Value) -> Option<&'static str> {
    if list == "ports" {
        // A container's ports are told apart by containerPort, a Service's by port.
        let container = items.as_array()?.iter().any(|item| item.get("containerPort").is_some());
        return Some(if container { "containerPort" } else { "port" });
    }
    KEYED.iter().find(|(name, _)| *name == list).map(|(_, key)| *key)
}

fn merge_list(target: &mut Value, patch: &[Value], by: &str) {
    let Some(items) = target.as_array_mut() else { return };
    if patch.iter().any(|item| item["$patch"] == "replace") {
        items.clear();
    }
    // As in the real merge, new items come before those that stay.
    let mut added = Vec::new();
    for change in patch {
        let place = items.iter().position(|item| item.get(by).is_some() && item.get(by) == change.get(by));
        match (change["$patch"].as_str(), place) {
            (Some("delete"), Some(place)) => drop(items.remove(place)),
            (Some("delete" | "replace"), _) => {}
            (_, Some(place)) => apply(&mut items[place], change),
            (_, None) => {
                let mut item = Value::Null;
                apply(&mut item, change);
                added.push(item);
            }
        }
    }
    added.append(items);
    *items = added;
}

fn add_missing(target: &mut Value, more: &Value) {
    let Some(items) = target.as_array_mut() else { return };
    for item in more.as_array().into_iter().flatten() {
        if !items.contains(item) {
            items.push(item.clone());
        }
    }
}

fn delete_from(target: Option<&mut Value>, gone: &Value) {
    if let (Some(items), Some(gone)) = (target.and_then(Value::as_array_mut), gone.as_array()) {
        items.retain(|item| !gone.contains(item));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_are_merged_by_name() {
        let mut target =
            json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}});
        apply(
            &mut target,
            &json!({"spec": {"containers": [
                {"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}, {"name": "c", "image": "3"},
            ]}}),
        );
        assert_eq!(
            target,
            json!({"spec": {"containers": [{"name": "c", "image": "3"}, {"name": "a", "image": "2"}]}})
        );
    }

    #[test]
    fn finalizers_are_added_and_taken_away_one_by_one() {
        let mut target = json!({"metadata": {"finalizers": ["a", "b"]}});
        apply(&mut target, &json!({"metadata": {"finalizers": ["c"]}}));
        apply(&mut target, &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}));
        assert_eq!(target, json!({"metadata": {"finalizers": ["b", "c"]}}));
    }

    #[test]
    fn other_lists_are_replaced() {
        let mut target = json!({"args": ["a", "b"], "labels": {"x": "1", "y": "2"}});
        apply(&mut target, &json!({"args": ["c"], "labels": {"x": null}}));
        assert_eq!(target, json!({"args": ["c"], "labels": {"y": "2"}}));
    }
}
