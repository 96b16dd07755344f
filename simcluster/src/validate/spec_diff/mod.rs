//! The diff of the spec of a Pod or a claim, as the server prints it: both specs with all fields in the order of Go's types, and then
//! the lines that differ.

mod unified;

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::schema::{self, Shape};

/// The fields of each type, with their flags; see the file.
static FIELDS: LazyLock<HashMap<&'static str, Vec<&'static str>>> = LazyLock::new(|| {
    let lines = include_str!("go.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(kind, rest)| (kind, rest.split(' ').collect()))
        .collect()
});

/// Fields that the server has in the security context and the API in the spec itself.
const IN_SECURITY_CONTEXT: [&str; 5] =
    ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"];

/// A value whose fields are in the order of output.
enum Tree {
    Leaf(String),
    List(Vec<Tree>),
    Members(Vec<(String, Tree)>),
}

/// Returns the lines that differ, with three lines of context.
pub(super) fn spec_diff(old: &Value, new: &Value) -> String {
    let printed = |spec: &Value| printed("PodSpec", &with_security_context(spec));
    unified::diff(&printed(old), &printed(new))
}

/// As [`spec_diff`], for the specs of a claim.
pub(super) fn claim_diff(old: &Value, new: &Value) -> String {
    let printed = |spec: &Value| printed("PersistentVolumeClaimSpec", spec);
    unified::diff(&printed(old), &printed(new))
}

/// Moves the fields of a Pod's spec that the server has in the security context there.
fn with_security_context(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for key in IN_SECURITY_CONTEXT {
        if let Some(value) = spec.as_object_mut().and_then(|fields| fields.remove(key)) {
            spec["securityContext"][key] = value;
        }
    }
    spec
}

fn printed(kind: &str, spec: &Value) -> Vec<String> {
    let mut text = String::new();
    members(kind, spec).write(&mut text, 0);
    text.lines().map(|line| format!("{line}\n")).collect()
}

/// Converts a value of a type. An absent value becomes Go's zero value.
fn tree(shape: Option<&Shape>, value: &Value) -> Tree {
    match (shape, value) {
        (Some(Shape::One(kind)), _) => members(kind, value),
        (Some(Shape::List(item)), Value::Array(items)) => {
            Tree::List(items.iter().map(|value| tree(Some(item), value)).collect())
        }
        (Some(Shape::Map(item)), Value::Object(map)) => {
            Tree::Members(map.iter().map(|(key, value)| (key.clone(), tree(Some(item), value))).collect())
        }
        (Some(Shape::Text), Value::Null) => Tree::Leaf("\"\"".to_owned()),
        (Some(Shape::Quantity), Value::Null) => Tree::Leaf("\"0\"".to_owned()),
        (Some(Shape::Bool), Value::Null) => Tree::Leaf("false".to_owned()),
        (Some(Shape::Int32 | Shape::Int64 | Shape::IntOrText), Value::Null) => Tree::Leaf("0".to_owned()),
        _ => Tree::Leaf(escaped(value)),
    }
}

fn members(kind: &str, value: &Value) -> Tree {
    let shape = |key: &str| {
        // Fields that are not in the types below were moved there from the spec.
        let fields = [kind, "PodSpec"].into_iter().filter_map(schema::named).map(|kind| &kind.fields);
        fields
            .flatten()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(name, field)| (*name, &field.shape))
    };
    let Some(fields) = FIELDS.get(kind) else {
        let given = value.as_object().into_iter().flatten();
        return Tree::Members(
            given
                .map(|(key, value)| (capital(key), tree(shape(key).map(|(_, shape)| shape), value)))
                .collect(),
        );
    };
    let member = |field: &&str| {
        let name = field.trim_start_matches(['*', '-']);
        let (key, shape) = shape(name)?;
        match value.get(key).unwrap_or(&Value::Null) {
            Value::Null if field.starts_with('-') => None,
            Value::Null if field.starts_with('*') => Some((name.to_owned(), Tree::Leaf("null".to_owned()))),
            value => Some((name.to_owned(), tree(Some(shape), value))),
        }
    };
    Tree::Members(fields.iter().filter_map(member).collect())
}

/// Returns a scalar as Go writes it, with HTML escapes.
fn escaped(value: &Value) -> String {
    let text = value.to_string();
    if !value.is_string() {
        return text;
    }
    [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")]
        .iter()
        .fold(text, |text, (plain, escape)| text.replace(*plain, escape))
}

fn capital(key: &str) -> String {
    let mut letters = key.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

// === impl Tree ===

impl Tree {
    fn write(&self, out: &mut String, depth: usize) {
        match self {
            Self::Leaf(text) => out.push_str(text),
            Self::List(items) => write_all(out, depth, ['[', ']'], items.iter().map(|item| (None, item))),
            Self::Members(all) => {
                write_all(out, depth, ['{', '}'], all.iter().map(|(name, item)| (Some(name), item)));
            }
        }
    }
}

fn write_all<'a>(
    out: &mut String,
    depth: usize,
    [open, close]: [char; 2],
    items: impl Iterator<Item = (Option<&'a String>, &'a Tree)>,
) {
    out.push(open);
    let mut empty = true;
    for (name, item) in items {
        out.push_str(if empty { "\n" } else { ",\n" });
        empty = false;
        out.push_str(&" ".repeat(depth + 1));
        if let Some(name) = name {
            out.push_str(&escaped(&name.as_str().into()));
            out.push_str(": ");
        }
        item.write(out, depth + 1);
    }
    if !empty {
        out.push('\n');
        out.push_str(&" ".repeat(depth));
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Guards that both tables have the same fields: a field that is in one only would be omitted silently.
    #[test]
    fn both_tables_have_the_same_fields() {
        for (kind, fields) in FIELDS.iter() {
            let known = schema::named(kind).unwrap_or_else(|| panic!("{kind}"));
            let has = |name: &str| {
                fields.iter().any(|f| f.trim_start_matches(['*', '-']).eq_ignore_ascii_case(name))
            };
            for field in fields {
                let name = field.trim_start_matches(['*', '-']);
                let moved = *kind == "PodSecurityContext"
                    && IN_SECURITY_CONTEXT.iter().any(|key| key.eq_ignore_ascii_case(name));
                assert!(
                    moved || known.fields.keys().any(|key| key.eq_ignore_ascii_case(name)),
                    "{kind}.{name}"
                );
            }
            let gone = |name: &str| {
                *kind == "PodSpec" && (name == "serviceAccount" || IN_SECURITY_CONTEXT.contains(&name))
            };
            let missing: Vec<_> = known.fields.keys().filter(|name| !has(name) && !gone(name)).collect();
            assert!(missing.is_empty(), "{kind}: {missing:?}");
        }
    }

    #[test]
    fn changes_are_shown_with_context() {
        let spec = |image: &str, value: &str| json!({"containers": [{"name": "c", "image": image, "env": [{"name": "A", "value": value}]}], "hostNetwork": true});
        let text = spec_diff(&spec("i", "<1>"), &spec("i", "2"));
        let wanted = "@@ -13,7 +13,7 @@\n    \"Env\": [\n     {\n      \"Name\": \"A\",\n-     \"Value\": \"\\u003c1\\u003e\",\n\
                      +     \"Value\": \"2\",\n      \"ValueFrom\": null\n     }\n    ],\n";
        assert_eq!(text, wanted);
        assert_eq!(spec_diff(&spec("i", "1"), &spec("i", "1")), "");
        let other = json!({"containers": [{"name": "c", "image": "i"}], "hostNetwork": false});
        let text =
            spec_diff(&other, &json!({"containers": [{"name": "c", "image": "i"}], "hostNetwork": true}));
        assert!(text.contains("-  \"HostNetwork\": false,\n+  \"HostNetwork\": true,\n"), "{text}");
    }
}
