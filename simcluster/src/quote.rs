//! Quoted text, as the real server prints it.

use std::fmt::Write;

/// Returns text in double quotes as Go's `%q` does.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c => escape(c, &mut out),
        }
    }
    out.push('"');
    out
}

/// Returns text in double quotes as Go's JSON encoder does. The server prints values of a named type of text so.
pub(crate) fn json_quoted(text: &str) -> String {
    let mut out = serde_json::Value::from(text).to_string();
    for (from, to) in [
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u{2028}", "\\u2028"),
        ("\u{2029}", "\\u2029"),
    ] {
        out = out.replace(from, to);
    }
    out
}

fn escape(c: char, out: &mut String) {
    let code = u32::from(c);
    // Writing to a string does not fail.
    let _ = match code {
        0..0x80 => write!(out, "\\x{code:02x}"),
        0x80..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// Whether a character stands for itself. Rust and Go agree on it, except that Rust escapes a combining character at the
/// start of a text.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic() || c == ' ';
    }
    format!("a{c}").escape_debug().nth(1) == Some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards the escapes of either form.
    #[test]
    fn text_is_quoted_as_go_quotes_it() {
        let cases = [
            ("a b", "\"a b\"", "\"a b\""),
            ("it's \"x\"\\", "\"it's \\\"x\\\"\\\\\"", "\"it's \\\"x\\\"\\\\\""),
            ("\0\x07\x1b\x7f", "\"\\x00\\a\\x1b\\x7f\"", "\"\\u0000\\u0007\\u001b\x7f\""),
            ("\n\r\t\x0b", "\"\\n\\r\\t\\v\"", "\"\\n\\r\\t\\u000b\""),
            ("ä\u{301}\u{a0}\u{feff}", "\"ä\u{301}\\u00a0\\ufeff\"", "\"ä\u{301}\u{a0}\u{feff}\""),
            ("😀\u{e0001}", "\"😀\\U000e0001\"", "\"😀\u{e0001}\""),
            ("<&>", "\"<&>\"", "\"\\u003c\\u0026\\u003e\""),
        ];
        for (text, go, json) in cases {
            assert_eq!(quoted(text), go, "{text:?}");
            assert_eq!(json_quoted(text), json, "{text:?}");
        }
    }
}
