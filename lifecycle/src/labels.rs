//! The labels of objects: their rules, and those of a sandbox that callers are shown.

use serde::{Serialize, Serializer};

use crate::ids::is_dns_subdomain;

/// The longest label value and the longest name in a label key.
const LABEL_MAX: usize = 63;

/// Labels in the order of their keys. They take little memory, because each sandbox has them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

/// Returns whether a text can be the key of a label.
#[must_use]
pub fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_label(name),
        None => is_label(text),
    }
}

/// Returns whether a text can be the value of a label.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label(text)
}

/// Returns whether a text is a label value that is not empty, or the name in a label key.
fn is_label(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().last()];
    text.len() <= LABEL_MAX
        && ends.into_iter().all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

// === impl Labels ===

impl Labels {
    /// The largest number of bytes of all keys and values together. Every client of the cluster can add labels.
    pub const BYTES_MAX: usize = 4096;

    /// Keeps these labels, in the order of their keys, as far as they fit into [`Labels::BYTES_MAX`].
    #[must_use]
    pub fn new<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut labels: Vec<_> = labels.into_iter().collect();
        labels.sort_unstable();
        labels.dedup_by_key(|(key, _)| *key);
        let mut bytes = 0;
        let fits = |(key, value): &(&str, &str)| {
            bytes += key.len() + value.len();
            bytes <= Self::BYTES_MAX
        };
        Self(labels.into_iter().take_while(fits).map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// Returns the value of the label with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| &**value)
    }

    /// Returns whether there are no labels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that labels are found by their keys and written in the order of their keys.
    #[test]
    fn labels_are_found_and_written() {
        let labels = Labels::new([("b", "2"), ("a", "1"), ("example.com/c", ""), ("a", "1")]);
        assert_eq!(
            ["a", "b", "example.com/c", "c"].map(|key| labels.get(key)),
            [Some("1"), Some("2"), Some(""), None]
        );
        assert_eq!(serde_json::to_string(&labels).unwrap(), r#"{"a":"1","b":"2","example.com/c":""}"#);
        assert!(Labels::new([]).is_empty() && !labels.is_empty());
    }

    /// Guards that endless labels do not take endless memory.
    #[test]
    fn the_bytes_are_bounded() {
        let keys: Vec<_> = (0..2000).map(|n| format!("k{n:04}")).collect();
        let labels = Labels::new(keys.iter().map(|key| (key.as_str(), "12345")));
        let kept = Labels::BYTES_MAX / 10;
        assert_eq!(labels.get(&format!("k{:04}", kept - 1)), Some("12345"));
        assert_eq!(labels.get(&format!("k{kept:04}")), None);
    }

    /// Guards the rules of keys and values.
    #[test]
    fn keys_and_values_follow_the_rules() {
        let (long, too_long) = ("a".repeat(63), "a".repeat(64));
        for (text, key, value) in [
            ("tier", true, true),
            ("Tier_1.x-y", true, true),
            ("example.com/tier", true, false),
            (long.as_str(), true, true),
            (too_long.as_str(), false, false),
            ("", false, true),
            ("-a", false, false),
            ("a-", false, false),
            ("a b", false, false),
            ("/a", false, false),
            ("a/", false, false),
            ("Example.com/a", false, false),
            ("a/b/c", false, false),
            ("é", false, false),
        ] {
            assert_eq!((is_label_key(text), is_label_value(text)), (key, value), "{text}");
        }
    }
}
