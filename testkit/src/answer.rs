//! A response, read to its end.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, response};
use serde_json::Value;

/// A response of the HTTP API.
///
/// Its `Display` is what a caller acts on: status, `Retry-After`, and the texts of the body, as in
/// `503 after 5 s | NamespaceMissing | …`.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The bytes of the body.
    pub bytes: Bytes,
    /// The body as JSON; a string if it is not JSON.
    pub body: Value,
    /// The time from the request to the end of the response.
    pub took: Duration,
}

// === impl Answer ===

impl Answer {
    /// Puts an answer together from its parts.
    #[must_use]
    pub fn new(head: response::Parts, bytes: Bytes, took: Duration) -> Self {
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Self { status: head.status.as_u16(), headers: head.headers, bytes, body, took }
    }

    /// Returns the body, which must be JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("invalid JSON ({error}): {self:?}"))
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Returns the value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Returns the seconds of `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after").map(|seconds| seconds.parse().unwrap())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(seconds) = self.retry_after() {
            write!(f, " after {seconds} s")?;
        }
        for field in ["status", "reason", "message", "detail", "hint"] {
            if let Some(text) = self.body[field].as_str() {
                write!(f, " | {text}")?;
            }
        }
        Ok(())
    }
}
