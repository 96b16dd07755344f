//! The merge of an apply: the fields of the configuration replace those of the object, all others stay.

use serde_json::{Map, Value};

use super::fields::{FieldSet, item, member};
use crate::schema::{self, Field, Shape, Sharing, Struct};
use crate::validate::quantity::Quantity;

/// Returns a configuration with its quantities in the canonical form that the server stores.
pub(super) fn canonical(config: &Value, kind: &Struct) -> Value {
    let mut config = config.clone();
    for (name, below) in config.as_object_mut().into_iter().flatten() {
        if let Some(field) = kind.fields.get(name.as_str()) {
            *below = canonical_one(below, &field.shape);
        }
    }
    config
}

fn canonical_one(value: &Value, shape: &Shape) -> Value {
    match (shape, value) {
        (Shape::Quantity, _) => {
            Quantity::from_json(value).map_or_else(|| value.clone(), |amount| amount.canonical().into())
        }
        (Shape::One(name), _) => {
            schema::named(name).map_or_else(|| value.clone(), |kind| canonical(value, kind))
        }
        (Shape::List(below), Value::Array(items)) => {
            items.iter().map(|value| canonical_one(value, below)).collect()
        }
        (Shape::Map(below), Value::Object(fields)) => {
            fields.iter().map(|(name, value)| (name.clone(), canonical_one(value, below))).collect()
        }
        _ => value.clone(),
    }
}

/// Merges a configuration of a type into an object.
pub(super) fn merge(target: &mut Value, config: &Value, kind: &Struct) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, wanted) in config.as_object().into_iter().flatten() {
        let here = fields.entry(name.clone()).or_insert(Value::Null);
        match kind.fields.get(name.as_str()) {
            Some(field) => merge_one(here, wanted, field),
            None => *here = wanted.clone(),
        }
    }
}

fn merge_one(target: &mut Value, wanted: &Value, field: &Field) {
    match (&field.shape, wanted, &field.sharing) {
        (Shape::One(name), Value::Object(_), _) => match schema::named(name) {
            Some(kind) if !kind.atomic => merge(target, wanted, kind),
            _ => *target = wanted.clone(),
        },
        (Shape::Map(_), Value::Object(members), Sharing::Members) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            if let Some(fields) = target.as_object_mut() {
                fields.extend(members.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        (Shape::List(below), Value::Array(items), Sharing::Set | Sharing::Keyed(_)) => {
            if !target.is_array() {
                *target = Value::Array(Vec::new());
            }
            let Some(here) = target.as_array_mut() else { return };
            for wanted in items {
                let step = item(&field.sharing, wanted);
                match here.iter_mut().find(|known| step.is_some() && item(&field.sharing, known) == step) {
                    Some(known) => {
                        if let Some(kind) = below.below() {
                            merge(known, wanted, kind);
                        }
                    }
                    None => here.push(wanted.clone()),
                }
            }
        }
        _ => *target = wanted.clone(),
    }
}

/// Removes the fields of a set from an object, and the maps and lists that are empty afterwards.
pub(super) fn remove(target: &mut Value, set: &FieldSet) {
    match target {
        Value::Object(fields) => {
            fields.retain(|name, value| match set.below.get(&member(name)) {
                Some(below) if below.here && below.below.is_empty() => false,
                Some(below) => {
                    let before = is_empty(value);
                    remove(value, below);
                    before || !is_empty(value)
                }
                None => true,
            });
        }
        Value::Array(items) => items.retain_mut(|value| match step_of(set, value) {
            Some(below) if below.here => false,
            Some(below) => {
                remove(value, below);
                true
            }
            None => true,
        }),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Returns the part of a set that belongs to an item of a list, found by the keys in its steps.
fn step_of<'a>(set: &'a FieldSet, value: &Value) -> Option<&'a FieldSet> {
    set.below.iter().find_map(|(step, below)| {
        let found = if let Some(text) = step.strip_prefix("v:") {
            serde_json::from_str::<Value>(text).is_ok_and(|known| known == *value)
        } else {
            let keys: Map<String, Value> = serde_json::from_str(step.strip_prefix("k:")?).ok()?;
            keys.iter().all(|(key, wanted)| match value.get(key) {
                Some(found) => found == wanted,
                None => key == "protocol" && wanted == "TCP",
            })
        };
        found.then_some(below)
    })
}
