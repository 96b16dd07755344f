//! The query of a URI.

use percent_encoding::percent_decode_str;

/// The part of a URI after the `?`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a>(pub(super) &'a str);

// === impl Query ===

impl<'a> Query<'a> {
    /// Returns whether it has one of these parameters.
    pub(super) fn has_any(self, names: &[&str]) -> bool {
        self.pairs().any(|(name, _)| names.contains(&name))
    }

    /// Returns the values of a parameter, in their order.
    pub(super) fn all(self, name: &str) -> impl DoubleEndedIterator<Item = String> {
        self.pairs().filter(move |(key, _)| *key == name).map(|(_, value)| decoded(value))
    }

    /// Returns the value of a parameter. If it is sent twice, the last one counts, as with FastAPI.
    pub(super) fn last(self, name: &str) -> Option<String> {
        self.all(name).next_back()
    }

    fn pairs(self) -> impl DoubleEndedIterator<Item = (&'a str, &'a str)> {
        self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }
}

fn decoded(value: &str) -> String {
    percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned()
}
