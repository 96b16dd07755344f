//! Kubernetes' own merge: like RFC 7386, but some lists are merged item by item, by a key that the type of the list
//! names. `$patch: replace` and `$patch: delete`, `$deleteFromPrimitiveList`, `$setElementOrder` and `$retainKeys` are
//! understood.

use serde_json::{Map, Value};

use crate::schema::{Field, Shape, Sharing, Struct};

const ORDER: &str = "$setElementOrder/";
const GONE: &str = "$deleteFromPrimitiveList/";

/// Applies a patch to a value of a type, if the type is known. Fails for a list item without its merge key.
pub(super) fn apply(target: &mut Value, patch: &Value, kind: Option<&Struct>) -> Result<(), String> {
    let Some(members) = patch.as_object() else {
        *target = patch.clone();
        return Ok(());
    };
    if members.get("$patch").is_some_and(|p| p == "replace") || !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return Ok(()) };
    if members.get("$patch").is_some_and(|p| p == "delete") {
        fields.clear();
        return Ok(());
    }
    if let Some(kept) = members.get("$retainKeys").and_then(Value::as_array) {
        fields.retain(|key, _| kept.iter().any(|k| k == key));
    }
    for (key, value) in members {
        if let Some(list) = key.strip_prefix(GONE) {
            delete_from(fields.get_mut(list), value);
        } else if key.starts_with('$') {
        } else if value.is_null() {
            fields.remove(key);
        } else {
            let field = kind.and_then(|kind| kind.fields.get(key.as_str()));
            member(fields.entry(key.clone()).or_insert(Value::Null), value, field)?;
        }
    }
    for (key, order) in members {
        let Some(list) = key.strip_prefix(ORDER) else { continue };
        let by = kind.and_then(|kind| kind.fields.get(list)).and_then(|field| field.merge_key);
        if let (Some(items), Some(order)) =
            (fields.get_mut(list).and_then(Value::as_array_mut), order.as_array())
        {
            reorder(items, order, by);
        }
    }
    Ok(())
}

fn member(target: &mut Value, patch: &Value, field: Option<&Field>) -> Result<(), String> {
    let Some(field) = field else { return apply(target, patch, None) };
    match (&field.shape, patch.as_array(), field.merge_key) {
        (Shape::List(item), Some(items), Some(by)) => merge_list(target, items, by, item.below()),
        (Shape::List(_), Some(items), None) if field.sharing == Sharing::Set => {
            add_missing(target, items);
            Ok(())
        }
        (Shape::Map(item), _, _) => apply_map(target, patch, item),
        (shape, _, _) => apply(target, patch, shape.below()),
    }
}

fn apply_map(target: &mut Value, patch: &Value, item: &Shape) -> Result<(), String> {
    let Some(members) = patch.as_object() else { return apply(target, patch, None) };
    if members.get("$patch").is_some_and(|p| p == "replace") || !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return Ok(()) };
    for (key, value) in members.iter().filter(|(key, _)| *key != "$patch") {
        if value.is_null() {
            fields.remove(key);
        } else {
            apply(fields.entry(key.clone()).or_insert(Value::Null), value, item.below())?;
        }
    }
    Ok(())
}

fn merge_list(target: &mut Value, patch: &[Value], by: &str, kind: Option<&Struct>) -> Result<(), String> {
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Some(items) = target.as_array_mut() else { return Ok(()) };
    if patch.iter().any(|item| item["$patch"] == "replace") {
        items.clear();
    }
    // New items come before existing ones, as on a real server.
    let mut added = Vec::new();
    for change in patch {
        let how = change["$patch"].as_str();
        if how == Some("replace") {
            continue;
        }
        let Some(key) = change.get(by) else {
            return Err(format!("map: {change} does not contain declared merge key: {by}"));
        };
        let place = items.iter().position(|item| item.get(by) == Some(key));
        match (how, place) {
            (Some("delete"), Some(place)) => drop(items.remove(place)),
            (Some("delete"), None) => {}
            (_, Some(place)) => apply(&mut items[place], change, kind)?,
            (_, None) => {
                let mut item = Value::Null;
                apply(&mut item, change, kind)?;
                added.push(item);
            }
        }
    }
    added.append(items);
    *items = added;
    Ok(())
}

/// Sorts items into an order that is given for some of them. Each other item stays after the item that it followed.
fn reorder(items: &mut Vec<Value>, order: &[Value], by: Option<&str>) {
    let place = |item: &Value| {
        order.iter().position(|wanted| match by {
            Some(by) => wanted.get(by) == item.get(by),
            None => wanted == item,
        })
    };
    let mut last = 0;
    let mut keyed: Vec<_> = std::mem::take(items)
        .into_iter()
        .map(|item| {
            last = place(&item).unwrap_or(last);
            (last, item)
        })
        .collect();
    keyed.sort_by_key(|(place, _)| *place);
    items.extend(keyed.into_iter().map(|(_, item)| item));
}

fn add_missing(target: &mut Value, more: &[Value]) {
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Some(items) = target.as_array_mut() else { return };
    for item in more {
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
    use crate::schema;

    fn patched(mut target: Value, patch: &Value) -> Value {
        apply(&mut target, patch, schema::named("Pod")).unwrap();
        target
    }

    #[test]
    fn containers_are_merged_by_name() {
        let target =
            json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}});
        let patch = json!({"spec": {"containers": [
            {"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}, {"name": "c", "image": "3"},
        ]}});
        let wanted =
            json!({"spec": {"containers": [{"name": "c", "image": "3"}, {"name": "a", "image": "2"}]}});
        assert_eq!(patched(target, &patch), wanted);
    }

    #[test]
    fn finalizers_are_added_and_taken_away_one_by_one() {
        let target = json!({"metadata": {"finalizers": ["a", "b"]}});
        let target = patched(target, &json!({"metadata": {"finalizers": ["c"]}}));
        let target = patched(target, &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}));
        assert_eq!(target, json!({"metadata": {"finalizers": ["b", "c"]}}));
    }

    #[test]
    fn other_lists_are_replaced_and_null_removes() {
        let target = json!({"spec": {"containers": [{"name": "c", "args": ["a", "b"]}]},
            "metadata": {"labels": {"x": "1", "y": "2"}}});
        let patch = json!({"spec": {"containers": [{"name": "c", "args": ["c"]}]}, "metadata": {"labels": {"x": null}}});
        let wanted = json!({"spec": {"containers": [{"name": "c", "args": ["c"]}]}, "metadata": {"labels": {"y": "2"}}});
        assert_eq!(patched(target, &patch), wanted);
    }

    #[test]
    fn the_order_of_a_list_can_be_given() {
        let target = json!({"spec": {"containers": [{"name": "a"}]}});
        let patch = json!({"spec": {"containers": [{"name": "b"}],
            "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}]}});
        assert_eq!(patched(target, &patch), json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}));
    }

    #[test]
    fn an_item_without_its_key_is_refused() {
        let patch = json!({"spec": {"containers": [{"image": "x"}]}});
        assert!(apply(&mut json!({}), &patch, schema::named("Pod")).is_err());
    }
}
