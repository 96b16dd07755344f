//! The end of a container that a reason is about, and the last lines of its log.

use jiff::Timestamp;

use crate::{phase::Reason, text::shortened};

/// The end of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The name of the container.
    pub container: Box<str>,
    /// When it ended. Together with the name this tells its ends apart.
    pub at: Timestamp,
    /// Whether the container waits to be started again: its log is then that of its previous run.
    pub is_previous: bool,
}

/// The last lines of an ended container's log, as one line without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitLog {
    exit: Exit,
    lines: Box<str>,
}

// === impl Exit ===

impl Exit {
    /// Returns whether both are the same end of the same container.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.container == other.container && self.at == other.at
    }
}

// === impl ExitLog ===

impl ExitLog {
    /// The longest text that is kept, in bytes.
    pub const LINES_MAX: usize = 512;

    /// The kubelet's answer instead of a log that it has deleted.
    const DELETED: &str = "unable to retrieve container logs for ";

    /// Creates the log of a container that has ended from its last lines: the last `count` that are not blank, of which a
    /// long text keeps its end. Returns `None` if there is none.
    #[must_use]
    pub fn new(exit: Exit, text: &str, count: usize) -> Option<Self> {
        let mut last: Vec<_> = text
            .lines()
            .rev()
            .map(str::trim_end)
            .filter(|line| !line.is_empty() && !line.starts_with(Self::DELETED))
            .take(count)
            .map(|line| escaped(&shortened(line, Self::LINES_MAX)))
            .collect();
        last.reverse();
        let lines = last.join(" | ");
        (!lines.is_empty()).then(|| Self { exit, lines: end_of(&lines, Self::LINES_MAX).into() })
    }

    /// Returns the reason with these lines, if it is about the same end.
    #[must_use]
    pub fn added_to(&self, reason: &Reason) -> Option<Reason> {
        let is_same = reason.exit.as_ref().is_some_and(|exit| exit.is_same(&self.exit));
        let message = reason.message.as_deref().unwrap_or_default();
        let message = Some(format!("{message}; log: {}", self.lines).into());
        is_same.then(|| Reason { message, ..reason.clone() })
    }
}

/// Escapes what a terminal or a log would act on: control characters, and those that reorder or break lines.
fn escaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for char in line.chars() {
        if char.is_control()
            || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
        {
            text.extend(char.escape_default());
        } else {
            text.push(char);
        }
    }
    text
}

/// Returns a text with at most `max` bytes. A longer one begins with "…".
fn end_of(text: &str, max: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= max {
        return text.to_owned();
    }
    let start = text.ceil_char_boundary(text.len() - (max - MARK.len()));
    format!("{MARK}{}", &text[start..])
}

#[cfg(test)]
mod tests;
