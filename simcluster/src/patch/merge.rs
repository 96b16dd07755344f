//! RFC 7386: members replace, `null` removes, lists are replaced whole.

use serde_json::{Map, Value};

pub(super) fn apply(target: &mut Value, patch: &Value) {
    let Some(members) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_replace_and_null_removes() {
        let mut target = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
        apply(&mut target, &json!({"a": {"b": null, "d": {"e": null, "f": 3}}, "l": [9]}));
        assert_eq!(target, json!({"a": {"c": 2, "d": {"f": 3}}, "l": [9]}));
    }
}
