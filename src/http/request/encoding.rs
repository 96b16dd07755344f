//! From the bytes of a body to text, in the encodings that Python's `json.loads` detects.

use std::{borrow::Cow, fmt::Write as _};

/// Decodes UTF-8, UTF-16 or UTF-32, with or without a byte order mark, which is removed. `None` if the body is not
/// valid in its encoding.
///
/// Python accepts half a surrogate pair in each encoding. It is written as an escape sequence, which the parser
/// then treats like any other.
pub(super) fn decode(body: &[u8]) -> Option<Cow<'_, str>> {
    match body {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        [0, 0, 0xfe, 0xff, rest @ ..] => utf32(rest, u32::from_be_bytes),
        [0xff, 0xfe, 0, 0, rest @ ..] => utf32(rest, u32::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        // JSON begins with an ASCII character, so the zeros tell the encoding.
        [0, 0, _, _, ..] => utf32(body, u32::from_be_bytes),
        [0, _, _, _, ..] | [0, _] => utf16(body, u16::from_be_bytes),
        [_, 0, 0, 0, ..] => utf32(body, u32::from_le_bytes),
        [_, 0, _, _, ..] | [_, 0] => utf16(body, u16::from_le_bytes),
        _ => utf8(body),
    }
}

fn utf8(mut body: &[u8]) -> Option<Cow<'_, str>> {
    let mut text = String::new();
    loop {
        let error = match str::from_utf8(body) {
            Ok(all) if text.is_empty() => return Some(all.into()),
            Ok(rest) => return Some((text + rest).into()),
            Err(error) => error,
        };
        let (valid, invalid) = body.split_at(error.valid_up_to());
        let [0xed, high @ 0xa0..=0xbf, low @ 0x80..=0xbf, rest @ ..] = invalid else { return None };
        text.push_str(str::from_utf8(valid).ok()?);
        push_surrogate(&mut text, 0xd000 | u16::from(high & 0x3f) << 6 | u16::from(low & 0x3f))?;
        body = rest;
    }
}

fn utf16(body: &[u8], unit: fn([u8; 2]) -> u16) -> Option<Cow<'_, str>> {
    let (units, []) = body.as_chunks() else { return None };
    let mut text = String::with_capacity(body.len());
    for character in char::decode_utf16(units.iter().copied().map(unit)) {
        match character {
            Ok(character) => text.push(character),
            Err(surrogate) => push_surrogate(&mut text, surrogate.unpaired_surrogate())?,
        }
    }
    Some(text.into())
}

fn utf32(body: &[u8], unit: fn([u8; 4]) -> u32) -> Option<Cow<'_, str>> {
    let (units, []) = body.as_chunks() else { return None };
    let mut text = String::with_capacity(body.len() / 2);
    for code in units.iter().copied().map(unit) {
        match char::from_u32(code) {
            Some(character) => text.push(character),
            None => push_surrogate(&mut text, u16::try_from(code).ok()?)?,
        }
    }
    Some(text.into())
}

/// Appends a surrogate as an escape sequence. `None` after a backslash, which would change the meaning of both.
fn push_surrogate(text: &mut String, unit: u16) -> Option<()> {
    if text.ends_with('\\') { None } else { write!(text, "\\u{unit:04x}").ok() }
}
