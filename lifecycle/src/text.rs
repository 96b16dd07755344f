//! Texts for callers: truncated values, rounded durations, and values that are not shown.

use std::{borrow::Cow, fmt, time::Duration};

/// A text that may be secret, such as the value of an environment variable. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

/// Returns the longest start of a text with at most `max` bytes, without a part of a character.
#[must_use]
pub fn truncated(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// Returns a text with at most `max` bytes. A longer one ends with "…", which shows that a part is missing.
#[must_use]
pub fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    const MARK: &str = "…";
    if text.len() <= max {
        return text.into();
    }
    format!("{}{MARK}", truncated(text, max.saturating_sub(MARK.len()))).into()
}

/// Returns whole seconds for `Retry-After` and for texts: rounded up, and at least 1, because with 0 all clients would
/// retry at once.
#[must_use]
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1)
}

// === impl Hidden ===

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
