//! The id of a request, in the log and in the response.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header in which the caller may send an id. Every response contains it.
pub(super) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is accepted from a caller, in bytes.
const REQUEST_ID_MAX: usize = 128;

/// A request's id: 1 to [`REQUEST_ID_MAX`] letters, digits, `.`, `_` or `-`, so that it is safe in any log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestId(HeaderValue);

/// Generates ids for requests without one: eight random digits of this process, and a counter.
#[derive(Debug)]
pub(super) struct RequestIds {
    /// The digits, and `-`.
    prefix: String,
    next: AtomicU64,
}

// === impl RequestId ===

impl RequestId {
    /// Returns the caller's id, if it is valid.
    fn sent(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(&X_REQUEST_ID)?;
        let usable = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let bytes = value.as_bytes();
        ((1..=REQUEST_ID_MAX).contains(&bytes.len()) && bytes.iter().all(usable)).then(|| Self(value.clone()))
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(super) fn into_header(self) -> HeaderValue {
        self.0
    }
}

// === impl RequestIds ===

impl RequestIds {
    /// Creates a generator. Two of them have the same prefix with a probability of 1 in 2^32.
    pub(super) fn new() -> Self {
        Self::with(fastrand::u32(..))
    }

    fn with(prefix: u32) -> Self {
        Self { prefix: format!("{prefix:08x}-"), next: AtomicU64::new(0) }
    }

    /// Returns the id of a request with these headers: the caller's own if it is valid, else a new one.
    pub(super) fn of(&self, headers: &HeaderMap) -> RequestId {
        RequestId::sent(headers).unwrap_or_else(|| self.generate())
    }

    fn generate(&self) -> RequestId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        // Every request gets an id, and `format!` would need four times the instructions.
        let id = HeaderValue::try_from([&*self.prefix, itoa::Buffer::new().format(count)].concat());
        // Digits are always a valid value.
        RequestId(id.unwrap_or(HeaderValue::from_static("0")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that a caller's id is used only if it is safe in a header and in a log line.
    #[test]
    fn only_valid_ids_are_accepted() {
        let ids = RequestIds::new();
        let long = "a".repeat(REQUEST_ID_MAX + 1);
        for (sent, is_accepted) in [
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
            assert_eq!(ids.of(&headers).as_str() == sent, is_accepted, "{sent}");
        }
    }

    /// Guards that generated ids differ, and are valid ids.
    #[test]
    fn generated_ids_differ() {
        let ids = RequestIds::with(0xab);
        assert_eq!(ids.of(&HeaderMap::new()).as_str(), "000000ab-0");
        assert_eq!(ids.of(&HeaderMap::new()).as_str(), "000000ab-1");
        let last = RequestIds { next: AtomicU64::new(u64::MAX), ..RequestIds::with(u32::MAX) };
        assert_eq!(last.of(&HeaderMap::new()).as_str(), "ffffffff-18446744073709551615");
    }
}
