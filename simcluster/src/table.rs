//! The forms an answer can take beside the plain one: a `Table` for people, metadata only for the frugal.

mod age;
mod cells;
mod columns;
mod pod;
mod words;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::resource::{PODS, Resource};
use crate::store::Object;

/// What an `Accept` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Table,
    /// `PartialObjectMetadata`, or a list of them.
    Metadata,
}

// === impl Form ===

impl Form {
    /// The first form of an `Accept` header that is known here.
    pub fn of(accept: &str) -> Self {
        accept.split(',').find_map(Self::of_clause).unwrap_or(Self::Plain)
    }

    /// Whether an `Accept` header asks for anything that can be given.
    pub fn is_known(accept: &str) -> bool {
        accept.trim().is_empty() || accept.split(',').any(|clause| Self::of_clause(clause).is_some())
    }

    fn of_clause(clause: &str) -> Option<Self> {
        let mut parts = clause.split(';').map(str::trim);
        // JSON is YAML too.
        if !["application/json", "application/yaml", "application/*", "*/*"].contains(&parts.next()?) {
            return None;
        }
        let parameters: Vec<_> = parts.collect();
        match parameters.iter().find_map(|part| part.strip_prefix("as=")) {
            None => Some(Self::Plain),
            Some("Table") if parameters.contains(&"v=v1") => Some(Self::Table),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Some(Self::Metadata),
            Some(_) => None,
        }
    }

    /// One object; `now` is what ages count to.
    pub fn one(self, object: &Object, now: Timestamp) -> Value {
        match self {
            Self::Plain => object.full_value(),
            Self::Metadata => metadata(object),
            Self::Table => {
                let version = json!({"resourceVersion": object.version.to_string()});
                table(object.resource, std::iter::once(object), &version, now)
            }
        }
    }

    /// A list of objects under the list's own metadata.
    pub fn many(self, resource: &Resource, objects: &[Arc<Object>], meta: &Value, now: Timestamp) -> Value {
        match self {
            Self::Table => table(resource, objects.iter().map(Arc::as_ref), meta, now),
            Self::Plain | Self::Metadata => json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": meta,
                "items": objects.iter().map(|object| metadata(object)).collect::<Vec<_>>(),
            }),
        }
    }
}

fn metadata(object: &Object) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.value["metadata"],
    })
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

/// Puts the objects themselves into a table, or leaves them out of it, as the query's `includeObject` asks.
pub(crate) fn include(table: &mut Value, objects: &[Arc<Object>], how: Option<&str>) {
    let Some(how @ ("None" | "Object")) = how.filter(|_| table["kind"] == "Table") else { return };
    for (row, object) in table["rows"].as_array_mut().into_iter().flatten().zip(objects) {
        row["object"] = if how == "None" { Value::Null } else { object.full_value() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_form_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,\
             application/json";
        assert_eq!(Form::of(kubectl), Form::Table);
        assert_eq!(Form::of("application/json;as=Table;g=meta.k8s.io;v=v1"), Form::Table);
        assert_eq!(Form::of("application/json"), Form::Plain);
        assert_eq!(Form::of(""), Form::Plain);
        assert!(Form::is_known("text/html,*/*;q=0.8") && !Form::is_known("text/html"));
        let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        assert_eq!(Form::of(partial), Form::Metadata);
    }
}
