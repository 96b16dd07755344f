//! The position and the message of a JSON syntax error, as Python's `json` reports them.
//!
//! Clients know these from DeerFlow's provisioner. `serde_json` parses the body, but it reports lines and columns and
//! other messages. A text that it rejects is therefore scanned again here, without building a value. The rules are
//! those of the scanner of `CPython` 3.12.

/// A syntax error and its position.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JsonFault {
    /// The index of the character (not the byte) at which the error occurs.
    pub(super) at: usize,
    /// The message: what was expected there.
    pub(super) expected: String,
}

/// Returns the error of a text that `serde_json` has rejected.
pub(super) fn explain(body: &[u8], error: &serde_json::Error) -> JsonFault {
    let valid = match std::str::from_utf8(body) {
        Ok(text) => match walk(text.as_bytes()) {
            Err(Stop { at, expected }) => {
                return JsonFault { at: characters(text, at), expected: expected.to_owned() };
            }
            Ok(()) => text,
        },
        Err(not_utf8) => {
            let valid = &body[..not_utf8.valid_up_to()];
            let at = std::str::from_utf8(valid).map_or(0, |text| text.chars().count());
            return JsonFault { at, expected: "Invalid UTF-8".to_owned() };
        }
    };
    // Python accepts the text, but `serde_json` does not: too deep, a number out of range, or an unpaired surrogate.
    let line_start: usize =
        valid.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = characters(valid, line_start + error.column().saturating_sub(1));
    let said = error.to_string();
    let expected = said.split(" at line ").next().unwrap_or_default();
    let mut letters = expected.chars();
    let expected = letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str());
    JsonFault { at, expected: expected.unwrap_or_default() }
}

fn characters(text: &str, bytes: usize) -> usize {
    text.char_indices().take_while(|(start, _)| *start < bytes).count()
}

/// The byte at which Python's scanner stops, and its message.
struct Stop {
    at: usize,
    expected: &'static str,
}

/// An open container around the current value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Object,
    Array,
}

fn stop<T>(at: usize, expected: &'static str) -> Result<T, Stop> {
    Err(Stop { at, expected })
}

fn walk(text: &[u8]) -> Result<(), Stop> {
    let mut open = Vec::new();
    let mut at = space(text, 0);
    loop {
        // The start of a value.
        match text.get(at) {
            Some(b'{') => {
                at = space(text, at + 1);
                if text.get(at) == Some(&b'}') {
                    at += 1;
                } else {
                    open.push(Open::Object);
                    at = key(text, at)?;
                    continue;
                }
            }
            Some(b'[') => {
                at = space(text, at + 1);
                if text.get(at) == Some(&b']') {
                    at += 1;
                } else {
                    open.push(Open::Array);
                    continue;
                }
            }
            _ => at = scalar(text, at)?,
        }
        // The end of a value: close the containers that end here, up to the next comma.
        loop {
            at = space(text, at);
            let Some(container) = open.last() else {
                return if at == text.len() { Ok(()) } else { stop(at, "Extra data") };
            };
            match (container, text.get(at)) {
                (Open::Object, Some(b'}')) | (Open::Array, Some(b']')) => {
                    open.pop();
                    at += 1;
                }
                (container, Some(b',')) => {
                    at = space(text, at + 1);
                    if *container == Open::Object {
                        at = key(text, at)?;
                    }
                    break;
                }
                _ => return stop(at, "Expecting ',' delimiter"),
            }
        }
    }
}

fn space(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Skips a key and its colon. Returns the start of its value.
fn key(text: &[u8], at: usize) -> Result<usize, Stop> {
    if text.get(at) != Some(&b'"') {
        return stop(at, "Expecting property name enclosed in double quotes");
    }
    let colon = space(text, string(text, at)?);
    if text.get(colon) != Some(&b':') {
        return stop(colon, "Expecting ':' delimiter");
    }
    Ok(space(text, colon + 1))
}

/// The literals. Python also accepts NaN and the infinities, so they are not a syntax error here.
const WORDS: [&[u8]; 6] = [b"null", b"true", b"false", b"NaN", b"Infinity", b"-Infinity"];

/// Skips a string, a number or a literal.
fn scalar(text: &[u8], at: usize) -> Result<usize, Stop> {
    let rest = text.get(at..).unwrap_or_default();
    if rest.first() == Some(&b'"') {
        return string(text, at);
    }
    if let Some(word) = WORDS.into_iter().find(|word| rest.starts_with(word)) {
        return Ok(at + word.len());
    }
    match number(rest) {
        0 => stop(at, "Expecting value"),
        length => Ok(at + length),
    }
}

/// Returns the length of the number at the start of a text; 0 if there is none.
fn number(text: &[u8]) -> usize {
    let digits =
        |from: usize| text.get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = usize::from(text.first() == Some(&b'-'));
    end += match text.get(end) {
        Some(b'0') => 1,
        Some(b'1'..=b'9') => digits(end),
        _ => return 0,
    };
    if text.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    end
}

/// Skips the string that starts at `start`.
fn string(text: &[u8], start: usize) -> Result<usize, Stop> {
    const UNTERMINATED: &str = "Unterminated string starting at";
    let mut at = start + 1;
    loop {
        match text.get(at) {
            None => return stop(start, UNTERMINATED),
            Some(b'"') => return Ok(at + 1),
            Some(0..=0x1f) => return stop(at, "Invalid control character at"),
            Some(b'\\') => match text.get(at + 1) {
                None => return stop(start, UNTERMINATED),
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                Some(b'u') => {
                    let hex = text.get(at + 2..at + 6).is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit));
                    // Python needs a character after the digits, at least the closing quote.
                    if !hex || text.len() == at + 6 {
                        return stop(at + 1, r"Invalid \uXXXX escape");
                    }
                    at += 6;
                }
                Some(_) => return stop(at, r"Invalid \escape"),
            },
            Some(_) => at += 1,
        }
    }
}
