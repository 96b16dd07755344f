//! JSON pointers with an additional step `*` for every item or field. All functions are pure.
//!
//! `JSONPath` (RFC 9535) selects the same values, but writes them differently, and settings hold these pointers.

use std::fmt;

use serde_json::Value;

/// A JSON pointer: the parts between the steps `*`, each a pointer of RFC 6901.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

// === impl Pointer ===

impl Pointer {
    /// Parses a pointer of RFC 6901, with `*` for every item or field. Returns `None` if it is invalid or contains a
    /// control character, which is always a mistake.
    pub fn parse(text: &str) -> Option<Self> {
        let has_whole_escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        let starts_with_step = text.is_empty() || text.starts_with('/');
        if !has_whole_escapes || !starts_with_step || text.contains(char::is_control) {
            return None;
        }
        let (mut parts, mut part) = (Vec::new(), String::new());
        for step in text.split('/').skip(1) {
            if step == "*" {
                parts.push(std::mem::take(&mut part));
            } else {
                part.push('/');
                part.push_str(step);
            }
        }
        parts.push(part);
        Some(Self(parts))
    }

    /// Returns the values that the pointer selects.
    pub fn values<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        let mut values = vec![root];
        for (stars, part) in self.0.iter().enumerate() {
            if stars > 0 {
                values = values.into_iter().flat_map(children).collect();
            }
            values = values.into_iter().filter_map(|value| value.pointer(part)).collect();
        }
        values
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/*"))
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Guards which values each form of a pointer selects.
    #[test]
    fn pointers_select_values() {
        let answer = json!({"data": {"a/b": 1, "m~n": 2, "": 3, "list": [4, {"x": 5}, {"x": 6}]}});
        for (pointer, found) in [
            ("/data/a~1b", vec![json!(1)]),
            ("/data/m~0n", vec![json!(2)]),
            ("/data/", vec![json!(3)]),
            ("/data/list/0", vec![json!(4)]),
            ("/data/list/*/x", vec![json!(5), json!(6)]),
            ("/*/list/0", vec![json!(4)]),
            ("", vec![answer.clone()]),
            ("/data/none", vec![]),
            ("/data/list/9", vec![]),
            ("/data/list/00", vec![]),
            ("/data/list/+0", vec![]),
            ("/data/list/x", vec![]),
            ("/data/a~1b/x", vec![]),
            ("/data/list/0/*", vec![]),
        ] {
            let values = Pointer::parse(pointer).unwrap();
            assert_eq!(values.values(&answer), found.iter().collect::<Vec<_>>(), "{pointer:?}");
        }
        for bad in ["data", "data/x", "/a~", "/a~2", "/~"] {
            assert_eq!(Pointer::parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        /// Guards that a pointer without `*` selects the same value as `serde_json`, and that its `Display` is its
        /// source.
        #[test]
        fn a_pointer_without_a_star_is_that_of_serde_json(names in proptest::collection::vec("[a-c~/0-1]{0,3}", 0..4)) {
            let answer = json!({"a": {"b": [1, {"c": 2}], "~": 3, "/": {"a": 4}}, "0": [5], "": {"": 6}});
            let steps = names.iter().flat_map(|n| ["/".to_owned(), n.replace('~', "~0").replace('/', "~1")]);
            let text: String = steps.collect();
            let pointer = Pointer::parse(&text).unwrap();
            prop_assert_eq!(pointer.values(&answer).first().copied(), answer.pointer(&text));
            prop_assert_eq!(pointer.to_string(), text);
        }
    }
}
