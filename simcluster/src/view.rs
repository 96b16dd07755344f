//! Events in two forms, which are two views of one store: those of the core group, and those of `events.k8s.io`.

use serde_json::{Map, Value, json};

use crate::resource::{NEW_EVENTS, Resource};
use crate::store::Object;

/// Members whose names differ: in the core form, and in the newer one.
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// A stored object as another kind shows it; `None` if it is shown as it is.
pub(crate) fn of(resource: &'static Resource, object: &Object) -> Option<Object> {
    if object.resource == resource {
        return None;
    }
    let mut fields = renamed(object.value(), |(stored, shown)| (stored, shown));
    let optional = ["note", "reportingController", "reportingInstance"];
    fields.retain(|key, value| value != "" || !optional.contains(&key.as_str()));
    Some(Object::new(resource, object.version, Value::Object(fields)))
}

/// Returns an object from a client as it is stored.
pub(crate) fn stored(resource: &Resource, value: Value) -> Value {
    if resource != NEW_EVENTS {
        return value;
    }
    let mut fields = renamed(&value, |(stored, shown)| (shown, stored));
    fields.entry("involvedObject").or_insert_with(|| json!({}));
    Value::Object(fields)
}

/// The path of a field selector as it is stored.
pub(crate) fn stored_path(resource: &Resource, path: &str) -> String {
    if resource != NEW_EVENTS {
        return path.to_owned();
    }
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let first = RENAMED.iter().find(|(_, shown)| *shown == first).map_or(first, |(stored, _)| stored);
    rest.map_or_else(|| first.to_owned(), |rest| format!("{first}.{rest}"))
}

fn renamed(
    value: &Value,
    direction: fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> Map<String, Value> {
    let members = value.as_object().into_iter().flatten();
    members
        .map(|(key, value)| {
            let name = RENAMED.into_iter().map(direction).find(|(from, _)| from == key);
            (name.map_or_else(|| key.clone(), |(_, to)| to.to_owned()), value.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::EVENTS;

    #[test]
    fn the_two_forms_say_the_same() {
        let core = json!({"metadata": {"name": "e"}, "involvedObject": {"name": "a"}, "message": "m", "reason": "r",
            "reportingComponent": "", "firstTimestamp": null});
        let shown = of(NEW_EVENTS, &Object::new(EVENTS, 1, core)).unwrap();
        let newer = json!({"metadata": {"name": "e"}, "regarding": {"name": "a"}, "note": "m", "reason": "r",
            "deprecatedFirstTimestamp": null});
        assert_eq!(*shown.value(), newer);
        let back = json!({"metadata": {"name": "e"}, "involvedObject": {"name": "a"}, "message": "m", "reason": "r",
            "firstTimestamp": null});
        assert_eq!(stored(NEW_EVENTS, newer), back);
        assert_eq!(stored_path(NEW_EVENTS, "regarding.name"), "involvedObject.name");
    }
}
