//! Compact labels: thousands of objects have some, and a tree for each takes more memory than a small object's JSON.

use std::sync::Arc;

use serde_json::{Map, Value};

/// The labels of an object or the pairs of a Service's selector, in one allocation.
///
/// Each pair is a key, a line feed, a value, a line feed. Keys and values cannot contain one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels(Arc<str>);

// === impl Labels ===

impl Labels {
    pub fn new(pairs: Option<&Map<String, Value>>) -> Self {
        let mut text = String::new();
        for (key, value) in pairs.into_iter().flatten() {
            for part in [key, value.as_str().unwrap_or("")] {
                text.push_str(part);
                text.push('\n');
            }
        }
        // The default is shared and takes no memory.
        if text.is_empty() { Self::default() } else { Self(text.into()) }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut parts = self.0.split_terminator('\n');
        std::iter::from_fn(move || parts.next().zip(parts.next()))
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(present, _)| *present == key).map(|(_, value)| value)
    }

    /// Whether these labels contain every pair of a Service's `spec.selector`.
    pub fn contains_all(&self, selector: &Self) -> bool {
        selector.iter().all(|(key, value)| self.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_found_by_key_and_compared_as_a_whole() {
        let labels = |value: Value| Labels::new(value.as_object());
        let some = labels(json!({"app": "x", "empty": "", "x": "app"}));
        assert_eq!(some.iter().collect::<Vec<_>>(), [("app", "x"), ("empty", ""), ("x", "app")]);
        assert_eq!((some.get("empty"), some.get("ap")), (Some(""), None));
        assert!(some.contains_all(&labels(json!({"app": "x", "empty": ""}))));
        assert!(!some.contains_all(&labels(json!({"app": "x", "gone": ""}))));
        assert!(labels(json!({})).is_empty() && Labels::default() == Labels::new(None));
    }
}
