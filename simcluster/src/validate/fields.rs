//! Validation of fields against the types of the API. Unknown fields are dropped: depending on `fieldValidation` they
//! are ignored, reported as warnings or rejected. A wrong type is rejected with the message of Go's decoder.

use serde_json::Value;

use super::quantity::Quantity;
use crate::resource::Resource;
use crate::schema::{self, Shape, Struct, bare};

const QUANTITY_RULE: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// The current position in an object.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The innermost type, by its Go name.
    owner: &'a str,
    /// The path as Go's decoder prints it: without list indexes.
    go: &'a str,
    /// The path as warnings print it.
    full: &'a str,
}

/// Removes unknown fields and returns their paths. The error is that of a wrong type.
pub(crate) fn check_fields(resource: &Resource, value: &mut Value) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    if let Some(kind) = schema::of(resource) {
        prune(value, kind, Place { owner: resource.kind, go: "", full: "" }, &mut unknown)?;
    }
    Ok(unknown)
}

fn prune(
    value: &mut Value,
    kind: &Struct,
    place: Place<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let Some(fields) = value.as_object_mut() else { return Ok(()) };
    let owner = bare(kind.name);
    let mut wrong = None;
    fields.retain(|key, below| {
        let Some(field) = kind.fields.get(key.as_str()) else {
            unknown.push(join(place.full, key));
            return false;
        };
        // Go treats `null` as absent; unset times are written so.
        if below.is_null() {
            return matches!(field.shape, Shape::Time | Shape::MicroTime);
        }
        let (go, full) = (join(place.go, key), join(place.full, key));
        let result = check(below, &field.shape, Place { owner, go: &go, full: &full }, unknown);
        if let Err(why) = result {
            wrong.get_or_insert(why);
        }
        true
    });
    wrong.map_or(Ok(()), Err)
}

fn check(
    value: &mut Value,
    shape: &Shape,
    place: Place<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let mismatch = |found: &str| {
        Err(format!(
            "json: cannot unmarshal {found} into Go struct field {}.{} of type {}",
            place.owner,
            place.go,
            shape.go()
        ))
    };
    match (shape, &mut *value) {
        (Shape::One(name), Value::Object(_)) => match schema::named(name) {
            Some(kind) => prune(value, kind, place, unknown),
            None => Ok(()),
        },
        (Shape::List(item), Value::Array(items)) => {
            items.iter_mut().enumerate().try_for_each(|(number, below)| {
                let full = format!("{}[{number}]", place.full);
                check(below, item, Place { full: &full, ..place }, unknown)
            })
        }
        (Shape::Map(item), Value::Object(members)) => members.iter_mut().try_for_each(|(key, below)| {
            let full = join(place.full, key);
            check(below, item, Place { full: &full, ..place }, unknown)
        }),
        (Shape::Quantity, amount) if !amount.is_null() => {
            if Quantity::from_json(amount).is_some() {
                Ok(())
            } else {
                Err(QUANTITY_RULE.to_owned())
            }
        }
        (Shape::Anything, _)
        | (_, Value::Null)
        | (Shape::Text, Value::String(_))
        | (Shape::Bool, Value::Bool(_))
        | (Shape::Double, Value::Number(_))
        | (Shape::IntOrText, Value::Number(_) | Value::String(_)) => Ok(()),
        (Shape::Bytes, Value::String(text)) => match is_base64(text) {
            None => Ok(()),
            Some(at) => Err(format!("illegal base64 data at input byte {at}")),
        },
        (Shape::Time | Shape::MicroTime, Value::String(text)) => match text.parse::<jiff::Timestamp>() {
            Ok(_) => Ok(()),
            Err(_) => Err(format!(
                "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
            )),
        },
        (Shape::Int32, Value::Number(number)) => match number.as_i64() {
            Some(whole) if i32::try_from(whole).is_ok() => Ok(()),
            _ => mismatch(&format!("number {number}")),
        },
        (Shape::Int64, Value::Number(number)) => {
            if number.is_i64() {
                Ok(())
            } else {
                mismatch(&format!("number {number}"))
            }
        }
        (_, other) => mismatch(go_word(other)),
    }
}

/// Returns the name of a value's type in Go's decoder.
fn go_word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Returns the position of the first byte that is not padded standard base64.
fn is_base64(text: &str) -> Option<usize> {
    let body = text.trim_end_matches('=');
    let known = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/' || b == b'\n' || b == b'\r';
    body.bytes().position(|byte| !known(byte)).or_else(|| {
        (!text.bytes().filter(|b| !b"\r\n".contains(b)).count().is_multiple_of(4)).then_some(body.len())
    })
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::{PODS, SERVICES};

    #[test]
    fn unknown_fields_are_dropped_and_their_paths_returned() {
        let mut pod = json!({"bogus": 1, "metadata": {"name": "a", "lables": {}},
            "spec": {"containers": [{"name": "c", "imagee": "x", "livenessProbe": {"tcp": 1}}]}});
        let mut unknown = check_fields(PODS, &mut pod).unwrap();
        unknown.sort();
        assert_eq!(
            unknown,
            ["bogus", "metadata.lables", "spec.containers[0].imagee", "spec.containers[0].livenessProbe.tcp"]
        );
        let left =
            json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "livenessProbe": {}}]}});
        assert_eq!(pod, left);
    }

    #[test]
    fn wrong_types_have_the_messages_of_gos_decoder() {
        let env = json!({"spec": {"containers": [{"env": [{"name": "a", "value": 1}]}]}});
        let port = json!({"spec": {"ports": [{"port": "http"}]}});
        let list = json!({"spec": {"ports": {}}});
        let labels = json!({"metadata": {"labels": {"a": true}}});
        for (resource, mut value, message) in [
            (PODS, env, "number into Go struct field EnvVar.spec.containers.env.value of type string"),
            (SERVICES, port, "string into Go struct field ServicePort.spec.ports.port of type int32"),
            (SERVICES, list, "object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort"),
            (PODS, labels, "bool into Go struct field ObjectMeta.metadata.labels of type string"),
        ] {
            let found = check_fields(resource, &mut value).unwrap_err();
            assert_eq!(found, format!("json: cannot unmarshal {message}"));
        }
    }

    #[test]
    fn nulls_are_dropped_except_for_times() {
        let mut pod =
            json!({"spec": {"nodeName": null}, "status": {"conditions": [{"lastProbeTime": null}]}});
        check_fields(PODS, &mut pod).unwrap();
        assert_eq!(pod, json!({"spec": {}, "status": {"conditions": [{"lastProbeTime": null}]}}));
    }
}
