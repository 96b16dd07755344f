//! The id under which a request stands in the log and in its answer.

use std::{
    io::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header in which the caller may send an id, and always gets one.
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken from a caller, in bytes.
pub const REQUEST_ID_MAX: usize = 128;

/// A request's id: 1 to [`REQUEST_ID_MAX`] letters, digits, `.`, `_` or `-`, so that it is safe in any log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

/// Where ids come from when the caller sends none: eight random digits of this process, and a count.
#[derive(Debug)]
pub struct RequestIds {
    prefix: u32,
    next: AtomicU64,
}

// === impl RequestId ===

impl RequestId {
    /// The caller's id, if it is one that we may repeat.
    fn sent(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(&X_REQUEST_ID)?;
        let usable = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let bytes = value.as_bytes();
        ((1..=REQUEST_ID_MAX).contains(&bytes.len()) && bytes.iter().all(usable)).then(|| Self(value.clone()))
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as the answer's header.
    #[must_use]
    pub fn into_header(self) -> HeaderValue {
        self.0
    }
}

// === impl RequestIds ===

impl RequestIds {
    /// A new source. Two of them share a prefix once in four thousand million times.
    #[must_use]
    pub fn new() -> Self {
        Self { prefix: Uuid::new_v4().as_fields().0, next: AtomicU64::new(0) }
    }

    /// The id of a request with these headers: the caller's own where it is usable, else a new one.
    #[must_use]
    pub fn of(&self, headers: &HeaderMap) -> RequestId {
        RequestId::sent(headers).unwrap_or_else(|| self.make())
    }

    fn make(&self) -> RequestId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let mut text = [0_u8; 8 + 1 + 16];
        let room = text.len();
        let mut rest = &mut text[..];
        // Neither can fail: the digits of both numbers fit, and are ASCII.
        let _ = write!(rest, "{:08x}-{count:06x}", self.prefix);
        let length = room - rest.len();
        RequestId(HeaderValue::from_bytes(&text[..length]).unwrap_or(HeaderValue::from_static("0")))
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A caller's id is repeated only when it can do no harm in a header or a log line.
    #[test]
    fn only_sane_ids_are_repeated() {
        let ids = RequestIds::new();
        let long = "a".repeat(REQUEST_ID_MAX + 1);
        for (sent, repeated) in [
            ("abc.DEF_1-2", true),
            (&long[1..], true),
            (&long, false),
            ("", false),
            ("a b", false),
            ("a\tb", false),
            ("a=b", false),
            ("{\"x\":1}", false),
        ] {
            let headers =
                HeaderMap::from_iter([(X_REQUEST_ID.clone(), HeaderValue::from_str(sent).unwrap())]);
            assert_eq!(ids.of(&headers).as_str() == sent, repeated, "{sent}");
        }
    }

    /// Made ids differ, and are ones that we would take from a caller ourselves.
    #[test]
    fn made_ids_differ() {
        let ids = RequestIds { prefix: 0xab, next: AtomicU64::new(0) };
        assert_eq!(ids.of(&HeaderMap::new()).as_str(), "000000ab-000000");
        assert_eq!(ids.of(&HeaderMap::new()).as_str(), "000000ab-000001");
        let last = RequestIds { prefix: u32::MAX, next: AtomicU64::new(u64::MAX) };
        assert_eq!(last.of(&HeaderMap::new()).as_str(), "ffffffff-ffffffffffffffff");
    }
}
