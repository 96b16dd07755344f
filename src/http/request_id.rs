//! The id of a request, in the log and in the response.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header in which the caller may send an id. Every response contains it.
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is accepted from a caller, in bytes.
pub const REQUEST_ID_MAX: usize = 128;

/// A request's id: 1 to [`REQUEST_ID_MAX`] letters, digits, `.`, `_` or `-`, so that it is safe in any log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

/// Generates ids for requests without one: eight random digits of this process, and a counter.
#[derive(Debug)]
pub struct RequestIds {
    prefix: u32,
    next: AtomicU64,
}

// === impl RequestId ===

impl RequestId {
    /// The caller's id, if it is valid.
    fn sent(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(&X_REQUEST_ID)?;
        let usable = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let bytes = value.as_bytes();
        ((1..=REQUEST_ID_MAX).contains(&bytes.len()) && bytes.iter().all(usable)).then(|| Self(value.clone()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as a header value.
    #[must_use]
    pub fn into_header(self) -> HeaderValue {
        self.0
    }
}

// === impl RequestIds ===

impl RequestIds {
    /// A new generator. Two of them have the same prefix with a probability of 1 in 2^32.
    #[must_use]
    pub fn new() -> Self {
        Self { prefix: fastrand::u32(..), next: AtomicU64::new(0) }
    }

    /// The id of a request with these headers: the caller's own if it is valid, else a new one.
    #[must_use]
    pub fn of(&self, headers: &HeaderMap) -> RequestId {
        RequestId::sent(headers).unwrap_or_else(|| self.make())
    }

    fn make(&self) -> RequestId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let id = HeaderValue::try_from(format!("{:08x}-{count:06x}", self.prefix));
        // Hexadecimal digits are always a valid value.
        RequestId(id.unwrap_or(HeaderValue::from_static("0")))
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

    /// A caller's id is used only if it is safe in a header and in a log line.
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

    /// Generated ids differ, and are valid ids.
    #[test]
    fn made_ids_differ() {
        let ids = RequestIds { prefix: 0xab, next: AtomicU64::new(0) };
        assert_eq!(ids.of(&HeaderMap::new()).as_str(), "000000ab-000000");
        assert_eq!(ids.of(&HeaderMap::new()).as_str(), "000000ab-000001");
        let last = RequestIds { prefix: u32::MAX, next: AtomicU64::new(u64::MAX) };
        assert_eq!(last.of(&HeaderMap::new()).as_str(), "ffffffff-ffffffffffffffff");
    }
}
