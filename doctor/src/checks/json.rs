//! Reads fields of Kubernetes' objects.

use serde_json::Value;

/// Returns the text at a pointer; empty if there is none.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the items of a list at a pointer.
pub(super) fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Returns the name of an object.
pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// Returns whether the condition of an object has a status.
pub(super) fn has_condition(object: &Value, kind: &str, status: &str) -> bool {
    items(object, "/status/conditions")
        .any(|condition| text(condition, "/type") == kind && text(condition, "/status") == status)
}

/// Joins at most five names.
pub(super) fn list<S: AsRef<str>>(names: &[S]) -> String {
    let shown: Vec<_> = names.iter().take(5).map(AsRef::as_ref).collect();
    let more = names.len().saturating_sub(shown.len());
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{rest}", shown.join(", "))
}
