//! Validation of `metadata`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::names::{self, NameRule};
use crate::fields::items;
use crate::quote::quoted;
use crate::status::Cause;
use crate::store::text_at;

/// The maximum size of an object's annotations, keys and values, in bytes (`TotalAnnotationSizeLimitB`).
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Checks names, labels, annotations and finalizers.
pub(super) fn check(rule: NameRule, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let prefix = text_at(value, &["metadata", "generateName"]);
    if !prefix.is_empty() {
        causes.extend(Cause::all_invalid("metadata.generateName", prefix, &rule.check_prefix(prefix)));
    }
    let name = text_at(value, &["metadata", "name"]);
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else {
        causes.extend(Cause::all_invalid("metadata.name", name, &rule.check(name)));
    }
    let meta = &value["metadata"];
    causes.extend(check_labels(meta));
    for finalizer in items(&meta["finalizers"]).filter_map(Value::as_str) {
        let wrong = names::qualified_name(finalizer);
        causes.extend(Cause::all_invalid("metadata.finalizers", finalizer, &wrong));
    }
    causes
}

/// Checks labels and annotations.
fn check_labels(meta: &Value) -> Vec<Cause> {
    let mut causes = check_pairs(meta["labels"].as_object(), "metadata.labels");
    if let Some(annotations) = meta["annotations"].as_object() {
        for key in annotations.keys() {
            let wrong = names::qualified_name(&key.to_lowercase());
            causes.extend(Cause::all_invalid("metadata.annotations", key, &wrong));
        }
        let size: usize = annotations.iter().map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum();
        if size > ANNOTATIONS_LIMIT {
            causes.push(Cause::too_long("metadata.annotations", ANNOTATIONS_LIMIT));
        }
    }
    causes
}

/// Checks keys and values of labels or of a label selector.
pub(super) fn check_pairs(pairs: Option<&Map<String, Value>>, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (key, value) in pairs.into_iter().flatten() {
        let value = value.as_str().unwrap_or("");
        causes.extend(Cause::all_invalid(field, key, &names::qualified_name(key)));
        causes.extend(Cause::all_invalid(field, value, &names::label_value(value)));
    }
    causes
}

/// Checks changed metadata: immutable fields, finalizers added to a terminating object, labels and annotations.
pub(super) fn check_change(old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let [before, after] = [old, new].map(|value| {
        items(&value["metadata"]["finalizers"]).filter_map(Value::as_str).collect::<BTreeSet<_>>()
    });
    let added = &after - &before;
    if old["metadata"].get("deletionTimestamp").is_some() && !added.is_empty() {
        let list: Vec<_> = added.iter().map(|finalizer| quoted(finalizer)).collect();
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            list.join(", ")
        );
        causes.push(Cause::forbidden("metadata.finalizers", &why));
    }
    for key in ["name", "namespace", "uid"] {
        let (was, is) = (text_at(old, &["metadata", key]), text_at(new, &["metadata", key]));
        if was != is {
            causes.push(Cause::invalid_text(format!("metadata.{key}"), is, "field is immutable"));
        }
    }
    causes.extend(check_labels(&new["metadata"]));
    causes
}
