//! Entity tags, with which a client learns that its copy is current.

use http::{HeaderMap, HeaderValue, header::IF_NONE_MATCH};

/// Returns the tag of a text. It is the same in every process.
pub(super) fn of(text: &[u8]) -> HeaderValue {
    // FNV-1a. The texts are those of the program, so a collision has no use.
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    HeaderValue::try_from(format!("\"{hash:016x}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Returns whether `If-None-Match` names this tag.
pub(super) fn is_current(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    is_in(headers.get_all(IF_NONE_MATCH).iter(), tag)
}

/// Returns whether one of these values of `If-None-Match` names the tag, by the weak comparison of RFC 9110.
pub(super) fn is_in<'a>(values: impl Iterator<Item = &'a HeaderValue>, tag: &HeaderValue) -> bool {
    fn opaque(tag: &[u8]) -> &[u8] {
        tag.strip_prefix(b"W/").unwrap_or(tag)
    }
    let mut tags =
        values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|sent| sent == "*" || opaque(sent.as_bytes()) == opaque(tag.as_bytes()))
}
