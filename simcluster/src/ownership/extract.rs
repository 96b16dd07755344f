//! The fields of an object, and the fields that differ between two states of it.

use crate::fields::items;
use serde_json::{Map, Value};

use super::fields::{FieldSet, item, member};
use crate::schema::{self, Field, Shape, Sharing, Struct};

/// Metadata that the server writes itself or that identifies the object. These fields have no owner.
const UNOWNED: [&str; 11] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "clusterName",
];

/// Returns the fields of an object. `grouped` says whether maps and lists are owned beside what is in them, as an update does
/// and an apply does not.
pub(super) fn fields(value: &Value, kind: &Struct, grouped: bool) -> FieldSet {
    let mut set = members(value, kind, grouped);
    strip(&mut set);
    set
}

/// Returns the fields that are new or different in the second state, and the fields that only the first has.
pub(super) fn changes(old: &Value, new: &Value, kind: &Struct) -> (FieldSet, FieldSet) {
    let (mut changed, mut gone) = (FieldSet::default(), FieldSet::default());
    compare_members(old, new, kind, &mut changed, &mut gone);
    strip(&mut changed);
    strip(&mut gone);
    (changed, gone)
}

fn strip(set: &mut FieldSet) {
    if let Some(meta) = set.below.get_mut("f:metadata") {
        meta.here = false;
        meta.below.retain(|step, _| step.strip_prefix("f:").is_none_or(|name| !UNOWNED.contains(&name)));
        if meta.is_empty() {
            set.below.remove("f:metadata");
        }
    }
}

fn members(value: &Value, kind: &Struct, grouped: bool) -> FieldSet {
    let mut set = FieldSet::default();
    for (name, below) in value.as_object().into_iter().flatten() {
        if let Some(field) = kind.fields.get(name.as_str()) {
            set.put(member(name), one(below, &field.shape, &field.sharing, grouped));
        }
    }
    set
}

fn one(value: &Value, shape: &Shape, sharing: &Sharing, grouped: bool) -> FieldSet {
    match (shape, value, sharing) {
        (Shape::One(name), Value::Object(fields), _) => match schema::named(name) {
            Some(kind) if !kind.atomic && !fields.is_empty() => members(value, kind, grouped),
            _ => FieldSet::leaf(),
        },
        (Shape::Map(below), Value::Object(fields), Sharing::Members) if !fields.is_empty() => {
            let mut set = FieldSet { here: grouped, ..FieldSet::default() };
            for (name, value) in fields {
                set.put(member(name), one(value, below, &Sharing::Members, grouped));
            }
            set
        }
        (Shape::List(below), Value::Array(items), Sharing::Set | Sharing::Keyed(_)) if !items.is_empty() => {
            let mut set = FieldSet { here: grouped, ..FieldSet::default() };
            for value in items {
                let Some(step) = item(sharing, value) else { return FieldSet::leaf() };
                let mut inside = match below.below() {
                    Some(kind) => members(value, kind, grouped),
                    None => FieldSet::default(),
                };
                inside.here = true;
                set.put(step, inside);
            }
            set
        }
        _ => FieldSet::leaf(),
    }
}

fn compare_members(old: &Value, new: &Value, kind: &Struct, changed: &mut FieldSet, gone: &mut FieldSet) {
    let empty = Map::new();
    let (was, is) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    for (name, field) in &kind.fields {
        let (before, after) = (was.get(*name), is.get(*name));
        if before == after {
            continue;
        }
        let (mut more, mut less) = (FieldSet::default(), FieldSet::default());
        compare(before, after, field, &mut more, &mut less);
        changed.put(member(name), more);
        gone.put(member(name), less);
    }
}

fn compare(
    old: Option<&Value>,
    new: Option<&Value>,
    field: &Field,
    changed: &mut FieldSet,
    gone: &mut FieldSet,
) {
    let whole = |value: &Value| one(value, &field.shape, &field.sharing, true);
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (None, Some(new)) => return *changed = whole(new),
        (Some(old), None) => return *gone = whole(old),
        (None, None) => return,
    };
    match (&field.shape, &field.sharing) {
        (Shape::One(name), _) => match schema::named(name) {
            Some(kind) if !kind.atomic => compare_members(old, new, kind, changed, gone),
            _ => *changed = FieldSet::leaf(),
        },
        (Shape::Map(below), Sharing::Members) => {
            let below = Field { shape: (**below).clone(), sharing: Sharing::Members, merge_key: None };
            let empty = Map::new();
            let (was, is) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
            for name in was.keys().chain(is.keys().filter(|name| !was.contains_key(*name))) {
                let (before, after) = (was.get(name), is.get(name));
                if before != after {
                    let (mut more, mut less) = (FieldSet::default(), FieldSet::default());
                    compare(before, after, &below, &mut more, &mut less);
                    changed.put(member(name), more);
                    gone.put(member(name), less);
                }
            }
        }
        (Shape::List(below), Sharing::Set | Sharing::Keyed(_)) => {
            let steps = |list: &Value| -> Vec<(Option<String>, Value)> {
                items(list).map(|value| (item(&field.sharing, value), value.clone())).collect()
            };
            let (was, is) = (steps(old), steps(new));
            for (step, value) in &is {
                let Some(step) = step else { return *changed = FieldSet::leaf() };
                let before =
                    was.iter().find(|(known, _)| known.as_ref() == Some(step)).map(|(_, value)| value);
                let (mut more, mut less) = (FieldSet::default(), FieldSet::default());
                match (before, below.below()) {
                    (Some(before), Some(kind)) => compare_members(before, value, kind, &mut more, &mut less),
                    (Some(_), None) => {}
                    (None, Some(kind)) => {
                        more = members(value, kind, true);
                        more.here = true;
                    }
                    (None, None) => more = FieldSet::leaf(),
                }
                changed.put(step.clone(), more);
                gone.put(step.clone(), less);
            }
            for (step, value) in &was {
                let Some(step) = step else { continue };
                if is.iter().all(|(known, _)| known.as_ref() != Some(step)) {
                    let mut less =
                        below.below().map_or_else(FieldSet::leaf, |kind| members(value, kind, true));
                    less.here = true;
                    gone.put(step.clone(), less);
                }
            }
        }
        _ => *changed = FieldSet::leaf(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_has_its_fields_by_key() {
        let pod = json!({"metadata": {"name": "a", "labels": {"x": "1"}},
            "spec": {"containers": [{"name": "c", "args": ["x"], "ports": [{"containerPort": 80}]}]}});
        let found = fields(&pod, schema::named("Pod").unwrap(), false).to_json();
        let wanted = json!({
            "f:metadata": {"f:labels": {"f:x": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:args": {}, "f:name": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}},
        });
        assert_eq!(found, wanted);
    }

    #[test]
    fn changes_are_what_came_and_what_went() {
        let old = json!({"metadata": {"labels": {"x": "1", "y": "1"}}, "spec": {"containers": [{"name": "c", "image": "1"}]}});
        let new = json!({"metadata": {"labels": {"x": "2"}}, "spec": {"containers": [{"name": "c", "image": "2"}]}});
        let (changed, gone) = changes(&old, &new, schema::named("Pod").unwrap());
        assert_eq!(changed.paths(), [".metadata.labels.x", ".spec.containers[name=\"c\"].image"]);
        assert_eq!(gone.paths(), [".metadata.labels.y"]);
    }
}
