//! Patterns of texts, in which `*` stands for any characters.

use std::fmt;

/// A pattern such as `FEATURE_*`. It matches whole texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// The character that stands for any number of any characters.
const ANY: char = '*';

/// The longest pattern, in bytes.
const MAX: usize = 1024;

// === impl Pattern ===

impl Pattern {
    /// Parses a pattern of texts with these characters. Returns `None` for one that could match no such text.
    pub(super) fn parse(text: &str, is_allowed: impl Fn(char) -> bool) -> Option<Self> {
        let valid = (1..=MAX).contains(&text.len()) && text.chars().all(|c| c == ANY || is_allowed(c));
        valid.then(|| Self(text.to_owned()))
    }

    /// Returns the pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text with which all matching texts begin.
    pub(super) fn prefix(&self) -> &str {
        self.0.split(ANY).next().unwrap_or_default()
    }

    /// Returns the only text that matches, if the pattern has no wildcard.
    pub(super) fn exact(&self) -> Option<&str> {
        (!self.0.contains(ANY)).then_some(&self.0)
    }

    /// Returns whether a text matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_once(ANY) else { return text == self.0 };
        let (middle, last) = rest.rsplit_once(ANY).unwrap_or(("", rest));
        let Some(text) = text.strip_prefix(first).and_then(|text| text.strip_suffix(last)) else {
            return false;
        };
        // The first match of each part leaves the most for the parts after it.
        let after =
            middle.split(ANY).try_fold(text, |text, part| text.split_once(part).map(|(_, after)| after));
        after.is_some()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern, |_| true).unwrap().matches(text)
    }

    /// Guards what a pattern matches: the whole text, with any characters for each `*`.
    #[test]
    fn a_pattern_matches_whole_texts() {
        for (pattern, texts, others) in [
            ("LANG", &["LANG"][..], &["", "LAN", "LANGS", "XLANG"][..]),
            ("FEATURE_*", &["FEATURE_", "FEATURE_A"], &["FEATURE", "XFEATURE_A"]),
            ("*", &["", "x"], &[]),
            ("**", &["", "x"], &[]),
            ("a*a", &["aa", "aba"], &["a", "aab"]),
            ("a*b*c", &["abc", "axbxc", "abbc"], &["ac", "acb", "ab"]),
            ("*b*", &["b", "abc"], &["ac"]),
            ("r/o/s:*", &["r/o/s:1", "r/o/s:1@sha256:0"], &["r/o/s", "r/o/s2:1", "x/r/o/s:1"]),
        ] {
            for text in texts {
                assert!(matches(pattern, text), "{pattern} {text:?}");
            }
            for text in others {
                assert!(!matches(pattern, text), "{pattern} {text:?}");
            }
        }
    }

    /// Returns whether a pattern matches, by its definition.
    fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|skipped| by_definition(rest, &text[skipped..])),
            [first, rest @ ..] => text.first() == Some(first) && by_definition(rest, &text[1..]),
        }
    }

    proptest! {
        /// Guards that the search finds the same as the definition.
        #[test]
        fn a_pattern_matches_by_its_definition(pattern in "[ab*]{1,6}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(&pattern, &text), by_definition(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
