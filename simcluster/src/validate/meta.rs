//! Validation of `metadata`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::names::{self, NameRule};
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
        let wrong = rule.check_prefix(prefix);
        causes.extend(wrong.iter().map(|why| Cause::invalid_text("metadata.generateName", prefix, why)));
    }
    let name = text_at(value, &["metadata", "name"]);
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else {
        let wrong = rule.check(name);
        causes.extend(wrong.iter().map(|why| Cause::invalid_text("metadata.name", name, why)));
    }
    let meta = &value["metadata"];
    causes.extend(check_labels(meta));
    for finalizer in meta["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let wrong = names::qualified_name(finalizer);
        causes.extend(wrong.iter().map(|why| Cause::invalid_text("metadata.finalizers", finalizer, why)));
    }
    causes
}

/// Checks labels and annotations.
fn check_labels(meta: &Value) -> Vec<Cause> {
    let mut causes = check_pairs(meta["labels"].as_object(), "metadata.labels");
    if let Some(annotations) = meta["annotations"].as_object() {
        for key in annotations.keys() {
            let wrong = names::qualified_name(&key.to_lowercase());
            causes.extend(wrong.iter().map(|why| Cause::invalid_text("metadata.annotations", key, why)));
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
        let (bad_key, bad_value) = (names::qualified_name(key), names::label_value(value));
        causes.extend(bad_key.iter().map(|why| Cause::invalid_text(field, key, why)));
        causes.extend(bad_value.iter().map(|why| Cause::invalid_text(field, value, why)));
    }
    causes
}

/// Checks changed metadata: immutable fields, finalizers added to a terminating object, labels and annotations.
pub(super) fn check_change(old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let finalizers = |value: &Value| -> Vec<String> {
        let list = value["metadata"]["finalizers"].as_array();
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let before = finalizers(old);
    let added: BTreeSet<_> = finalizers(new).into_iter().filter(|f| !before.contains(f)).collect();
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
