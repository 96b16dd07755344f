//! JSON pointers with an additional step `*` for every item or field. All functions are pure.

use std::fmt;

use serde_json::Value;

/// A JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Selects every item of an array or every field of an object.
    Every,
    /// Selects the field with this name or the item with this index.
    Named(String),
}

// === impl Pointer ===

impl Pointer {
    /// Parses a pointer of RFC 6901, with `*` for every item or field. Returns `None` if it is invalid or contains a
    /// control character, which is always a mistake.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(char::is_control) {
            return None;
        }
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        text.strip_prefix('/')?.split('/').map(Step::parse).collect::<Option<_>>().map(Self)
    }

    /// Returns the values that the pointer selects.
    pub fn values<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        self.0
            .iter()
            .fold(vec![root], |values, step| values.into_iter().flat_map(|value| step.from(value)).collect())
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            Step::Every => f.write_str("/*"),
            Step::Named(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
        })
    }
}

// === impl Step ===

impl Step {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Every);
        }
        let escapes_are_whole = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        escapes_are_whole.then(|| Self::Named(text.replace("~1", "/").replace("~0", "~")))
    }

    fn from<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match (self, value) {
            (Self::Every, Value::Array(items)) => items.iter().collect(),
            (Self::Every, Value::Object(fields)) => fields.values().collect(),
            (Self::Named(name), Value::Array(items)) => {
                // An index with a sign or a leading zero is invalid and selects no item.
                let index = name.parse::<usize>().ok().filter(|index| index.to_string() == *name);
                index.and_then(|index| items.get(index)).into_iter().collect()
            }
            (Self::Named(name), Value::Object(fields)) => fields.get(name).into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Guards which values each form of a pointer selects.
    #[test]
    fn pointers_lead_where_they_say() {
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
        fn as_the_standard_has_it(names in proptest::collection::vec("[a-c~/0-1]{0,3}", 0..4)) {
            let answer = json!({"a": {"b": [1, {"c": 2}], "~": 3, "/": {"a": 4}}, "0": [5], "": {"": 6}});
            let steps = names.iter().flat_map(|n| ["/".to_owned(), n.replace('~', "~0").replace('/', "~1")]);
            let text: String = steps.collect();
            let pointer = Pointer::parse(&text).unwrap();
            prop_assert_eq!(pointer.values(&answer).first().copied(), answer.pointer(&text));
            prop_assert_eq!(pointer.to_string(), text);
        }
    }
}
