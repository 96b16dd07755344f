//! Responses in the form of a `Table`, with the columns that `kubectl get` prints.

mod age;
mod cells;
mod columns;
mod pod;
mod storage;
mod words;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::form::metadata;
use crate::resource::{PODS, Resource};
use crate::store::Object;

/// Returns a table with one object. Ages are relative to `now`.
pub(crate) fn one(object: &Object, now: Timestamp) -> Value {
    let meta = json!({"resourceVersion": object.version.to_string()});
    table(object.resource, std::iter::once(object), &meta, now)
}

/// Returns a table with objects and the list's own metadata. `include` is the query's `includeObject`: whether a row
/// contains the object, only its metadata, or neither.
pub(crate) fn many(
    resource: &Resource,
    objects: &[Object],
    meta: &Value,
    now: Timestamp,
    include: Option<&str>,
) -> Value {
    let mut table = table(resource, objects.iter(), meta, now);
    if let Some(include @ ("None" | "Object")) = include {
        for (row, object) in table["rows"].as_array_mut().into_iter().flatten().zip(objects) {
            row["object"] = if include == "None" { Value::Null } else { object.full_value() };
        }
    }
    table
}

fn table<'a>(
    resource: &Resource,
    objects: impl Iterator<Item = &'a Object>,
    meta: &Value,
    now: Timestamp,
) -> Value {
    let columns: Vec<_> = columns::of(resource)
        .iter()
        .map(|column| {
            let format = if column.name == "Name" { "name" } else { "" };
            json!({"name": column.name, "type": column.kind, "format": format,
                "description": column.description, "priority": column.priority})
        })
        .collect();
    let rows: Vec<_> = objects
        .map(|object| {
            let mut row = json!({"cells": cells::of(object, now), "object": metadata(object)});
            if object.resource == PODS
                && let Some(conditions) = pod::conditions(object)
            {
                row["conditions"] = conditions;
            }
            row
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": columns,
        "rows": rows,
    })
}
