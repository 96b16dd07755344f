//! Texts for a terminal.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

/// Returns the text without control characters, which could change the terminal. Line ends become spaces.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\r' | '\t' => shown.push(' '),
            _ if letter.is_control() || is_direction(letter) => {
                // Writing to a String cannot fail.
                let _ = write!(shown, "{}", letter.escape_unicode());
            }
            _ => shown.push(letter),
        }
    }
    shown
}

/// Returns a text that a program has printed for a terminal: with its line ends, tabs and, if they are used, colours, but
/// without other control characters.
#[must_use]
pub fn of_program(text: &str, colours: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|letter: char| letter.is_control() || is_direction(letter)) {
        shown.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = if let Some(length) = colour(rest) {
            if colours {
                shown.push_str(&rest[..length]);
            }
            length
        } else if rest.starts_with("\r\n") {
            shown.push('\n');
            2
        } else {
            let letter = rest.chars().next().unwrap_or_default();
            match letter {
                '\n' | '\t' => shown.push(letter),
                // Writing to a String cannot fail.
                _ => drop(write!(shown, "{}", letter.escape_unicode())),
            }
            letter.len_utf8()
        };
        rest = &rest[length..];
    }
    shown.push_str(rest);
    shown
}

/// Returns the length of the escape sequence that sets a colour, if the text begins with one.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    parameters[end..].starts_with('m').then_some(2 + end + 1)
}

/// Whether a mark reverses the direction of a text, which can hide a part of it.
fn is_direction(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the texts as lines.
#[must_use]
pub fn lines<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    texts.into_iter().fold(String::new(), |mut lines, text| {
        lines.push_str(text.as_ref());
        lines.push('\n');
        lines
    })
}

/// Returns the number of columns that the text takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// Returns the text in exactly this number of columns: cut, with `…` at the end, or filled with spaces.
#[must_use]
pub fn fitted(text: &str, columns: usize) -> String {
    let mut fitted = cut(text, columns);
    fitted.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&fitted))));
    fitted
}

/// Returns the text in at most this number of columns, with `…` at the end if it was cut.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    let mut end = 0;
    for (at, letter) in text.char_indices() {
        let next = at + letter.len_utf8();
        if width(&text[..next]) > room {
            break;
        }
        end = next;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that a text of the cluster cannot send a command to the terminal.
    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{9b}d\u{202e}"), "a\\u{1b}[2Jb c\\u{9b}d\\u{202e}");
    }

    /// Guards that the log of a program can use colours, and nothing else that changes the terminal.
    #[test]
    fn a_program_can_use_colours_alone() {
        for (text, with, without) in [
            ("a\r\n\tb\n", "a\n\tb\n", "a\n\tb\n"),
            ("\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}[2J\u{1b}]0;t\u{7}", "\\u{1b}[2J\\u{1b}]0;t\\u{7}", "\\u{1b}[2J\\u{1b}]0;t\\u{7}"),
            ("10%\r20%\u{9b}m\u{202e}", "10%\\u{d}20%\\u{9b}m\\u{202e}", "10%\\u{d}20%\\u{9b}m\\u{202e}"),
            ("\u{1b}[", "\\u{1b}[", "\\u{1b}["),
        ] {
            assert_eq!(
                (of_program(text, true), of_program(text, false)),
                (with.into(), without.into()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn texts_are_cut_by_columns() {
        for (text, columns, wanted) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("ab", 4, "ab  "),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日… "),
            ("abc", 0, ""),
        ] {
            assert_eq!(fitted(text, columns), wanted, "{text} in {columns}");
        }
    }
}
