//! Values in Kubernetes' own shapes, checked as its API server checks them, so that the start refuses what would otherwise
//! make each create fail.

use k8s_openapi::api::core::v1::{Affinity, Toleration, TopologySpreadConstraint};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::fields::{FieldError, Parsed};

/// The subject of an `operator`.
#[derive(Debug, Clone, Copy)]
enum Subject {
    /// A taint of a node, in a toleration.
    Taint,
    /// A label of a node.
    Node,
    /// A label of another object.
    Label,
}

pub(super) fn tolerations(value: &Value) -> Parsed<Vec<Toleration>> {
    shape(value, Subject::Taint)
}

pub(super) fn affinity(value: &Value) -> Parsed<Affinity> {
    // The parts that select other objects say so.
    shape(value, Subject::Node)
}

pub(super) fn topology_spread_constraints(value: &Value) -> Parsed<Vec<TopologySpreadConstraint>> {
    shape(value, Subject::Label)
}

/// Parses a value. A field that Kubernetes does not have is an error: it would have no effect.
fn shape<T: DeserializeOwned + Serialize>(value: &Value, subject: Subject) -> Parsed<T> {
    let parsed: T = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
        FieldError::new(format!("{dot}{path}"), error.inner().to_string())
    })?;
    let kept = serde_json::to_value(&parsed).unwrap_or_default();
    if let Some(path) = lost(value, &kept) {
        return Err(FieldError::new(path, "Kubernetes has no such field".to_owned()));
    }
    invalid(&kept, subject).map_or(Ok(parsed), Err)
}

/// Returns the first part that the API server refuses.
fn invalid(value: &Value, subject: Subject) -> Option<FieldError> {
    match value {
        Value::Object(fields) => invalid_field(fields, subject).or_else(|| invalid_object(fields, subject)),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            invalid(item, subject).map(|error| error.within(&format!("[{index}]")))
        }),
        _ => None,
    }
}

fn invalid_field(fields: &Map<String, Value>, subject: Subject) -> Option<FieldError> {
    fields.iter().find_map(|(key, value)| {
        let subject = match &**key {
            "labelSelector" | "namespaceSelector" => Subject::Label,
            _ => subject,
        };
        let error = match allowed(key, value, subject) {
            Some(allowed) => FieldError::not_allowed(value, &allowed),
            None => invalid(value, subject)?,
        };
        Some(error.within(&format!(".{key}")))
    })
}

/// Returns what is allowed in place of this value of a field.
fn allowed(key: &str, value: &Value, subject: Subject) -> Option<String> {
    let one_of =
        |names: &[&str]| value.as_str().filter(|text| !names.contains(text)).map(|_| names.join(", "));
    match key {
        "effect" => one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"]),
        "operator" => one_of(match subject {
            Subject::Taint => &["Exists", "Equal", "Lt", "Gt"],
            Subject::Node => &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"],
            Subject::Label => &["In", "NotIn", "Exists", "DoesNotExist"],
        }),
        "whenUnsatisfiable" => one_of(&["DoNotSchedule", "ScheduleAnyway"]),
        "nodeAffinityPolicy" | "nodeTaintsPolicy" => one_of(&["Honor", "Ignore"]),
        "topologyKey" => (value == "").then(|| "a label key".to_owned()),
        "maxSkew" => value.as_i64().filter(|skew| *skew < 1).map(|_| "a number above 0".to_owned()),
        "weight" => {
            let weight = value.as_i64().filter(|weight| !(1..=100).contains(weight));
            weight.map(|_| "a number between 1 and 100".to_owned())
        }
        "nodeSelectorTerms" => {
            let is_empty = value.as_array().is_some_and(Vec::is_empty);
            is_empty.then(|| "a list with at least one term".to_owned())
        }
        _ => None,
    }
}

/// Returns the error of an object whose fields do not fit each other.
fn invalid_object(fields: &Map<String, Value>, subject: Subject) -> Option<FieldError> {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
    let error = |path: &str, message: &str| Some(FieldError::new(path.to_owned(), message.to_owned()));
    let operator = text("operator");
    if matches!(subject, Subject::Taint) {
        return if text("key").is_empty() && operator != "Exists" {
            error("", "a toleration without key needs operator = \"Exists\"")
        } else if operator == "Exists" && !text("value").is_empty() {
            error(".value", "it is not allowed with operator = \"Exists\"")
        } else if fields.contains_key("tolerationSeconds") && text("effect") != "NoExecute" {
            error(".tolerationSeconds", "it needs effect = \"NoExecute\"")
        } else {
            None
        };
    }
    let count = fields.get("values").and_then(Value::as_array).map_or(0, Vec::len);
    match operator {
        "In" | "NotIn" if count == 0 => {
            error(".values", "the operators In and NotIn need at least one value")
        }
        "Exists" | "DoesNotExist" if count > 0 => {
            error(".values", "the operators Exists and DoesNotExist have no values")
        }
        "Gt" | "Lt" if count != 1 => error(".values", "the operators Gt and Lt need exactly one value"),
        _ => None,
    }
}

/// Returns the path of the first field that was not kept.
fn lost(written: &Value, kept: &Value) -> Option<String> {
    match (written, kept) {
        (Value::Object(written), Value::Object(kept)) => written.iter().find_map(|(key, value)| {
            let within = kept.get(key).map_or(Some(String::new()), |kept| lost(value, kept))?;
            Some(format!(".{key}{within}"))
        }),
        (Value::Array(written), Value::Array(kept)) => {
            let mut pairs = written.iter().zip(kept).enumerate();
            pairs.find_map(|(index, (written, kept))| Some(format!("[{index}]{}", lost(written, kept)?)))
        }
        _ => None,
    }
}
