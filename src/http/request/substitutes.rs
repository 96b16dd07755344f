//! Text that Python's `json.loads` accepts and `serde_json` does not: half a surrogate pair in an escape sequence, `NaN`,
//! `Infinity`, and numbers beyond the range of a float.

use serde::de::IgnoredAny;

/// Valid JSON in place of what only Python accepts.
pub(super) struct Substitutes {
    /// In a string.
    surrogate: &'static str,
    /// In place of a number.
    number: &'static str,
}

/// Two sets of substitutes. If a request is the same with both, the replaced text has no effect. Each
/// `number` has another effect in each field: for a limit, one is accepted and the other is an error.
pub(super) const SUBSTITUTES: [Substitutes; 2] = [
    Substitutes { surrogate: "\\ufffd", number: "null" },
    Substitutes { surrogate: "\\ufffc", number: "false" },
];

// === impl Substitutes ===

impl Substitutes {
    /// Returns the text with substitutes. A text that Python rejects stays invalid.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut applied = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c == '"' || is_number_part(c)) {
            let (before, token) = rest.split_at(start);
            applied.push_str(before);
            rest = match token.strip_prefix('"') {
                Some(string) => {
                    applied.push('"');
                    self.string(string, &mut applied)
                }
                None => self.number(token, &mut applied),
            };
        }
        applied + rest
    }

    /// Copies a string after its opening quote. Returns the text after the closing one.
    fn string<'a>(&self, mut rest: &'a str, applied: &mut String) -> &'a str {
        while let Some(at) = rest.find(['"', '\\']) {
            let (before, special) = rest.split_at(at);
            applied.push_str(before);
            if let Some(after) = special.strip_prefix('"') {
                applied.push('"');
                return after;
            }
            let (escape, substitute) = match unit(special) {
                Some(0xd800..=0xdbff) => match special.get(6..).and_then(unit) {
                    Some(0xdc00..=0xdfff) => (12, None),
                    _ => (6, Some(self.surrogate)),
                },
                Some(0xdc00..=0xdfff) => (6, Some(self.surrogate)),
                // A backslash, and the character that it escapes.
                _ => (special.chars().take(2).map(char::len_utf8).sum(), None),
            };
            let (escape, after) = special.split_at(escape);
            applied.push_str(substitute.unwrap_or(escape));
            rest = after;
        }
        applied.push_str(rest);
        ""
    }

    /// Copies a number or a literal. Returns the text after it.
    fn number<'a>(&self, text: &'a str, applied: &mut String) -> &'a str {
        let (token, rest) = text.split_at(text.find(|c| !is_number_part(c)).unwrap_or(text.len()));
        let is_replaced = matches!(token, "NaN" | "Infinity" | "-Infinity") || is_too_large(token);
        applied.push_str(if is_replaced { self.number } else { token });
        rest
    }
}

/// Returns whether a character is part of a number or of a literal.
fn is_number_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

/// Returns whether this is a number that is beyond the range of a float.
fn is_too_large(token: &str) -> bool {
    let is_infinite = || token.parse::<f64>().is_ok_and(f64::is_infinite);
    token.contains(|c: char| c.is_ascii_digit())
        && is_infinite()
        // Checks the syntax and not the range.
        && serde_json::from_str::<IgnoredAny>(token).is_ok()
}

/// Returns the code unit of an escape sequence such as `\ud83d` at the start of the text.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}
