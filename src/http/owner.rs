//! The header `X-Owner`: the name of a client, which protects its sandbox from the DELETE of another client.

use http::{HeaderMap, HeaderName, HeaderValue};
use lifecycle::{
    lifetime::{OWNER_MAX, Owner},
    request::{FieldError, Loc, Problem, echo},
};
use serde_json::Value;

use super::errors::ApiError;

static X_OWNER: HeaderName = HeaderName::from_static("x-owner");

/// The rule for an owner as a pattern, for error messages: visible ASCII.
const OWNER_PATTERN: &str = "^[!-~]{1,128}$";

/// Reads `X-Owner`; `None` if it is not sent.
///
/// An invalid name is refused, not ignored, because its sender relies on the protection. Two names are refused too:
/// it is unclear which one is meant.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<Owner>, FieldError> {
    let mut sent = headers.get_all(&X_OWNER).iter();
    let Some(first) = sent.next() else { return Ok(None) };
    let text = String::from_utf8_lossy(first.as_bytes());
    match Owner::parse(&text) {
        Some(owner) if sent.next().is_none() => Ok(Some(owner)),
        _ => {
            let all: Vec<_> = headers.get_all(&X_OWNER).iter().map(HeaderValue::as_bytes).collect();
            let text = String::from_utf8_lossy(&all.join(&b", "[..])).into_owned();
            let rule =
                format!("an owner's name is sent once, and has 1 to {OWNER_MAX} visible ASCII characters");
            Err(FieldError {
                problem: Problem::StringPatternMismatch { pattern: OWNER_PATTERN, rule: Some(rule) },
                loc: vec![Loc::Field("header"), Loc::Field("x-owner")],
                input: echo(&Value::String(text)),
            })
        }
    }
}

/// As [`read`], for a request without a body.
pub(super) fn alone(headers: &HeaderMap) -> Result<Option<Owner>, ApiError> {
    read(headers).map_err(|error| ApiError::invalid_fields(&[error]))
}

/// The parsed body and the owner, or every error in both. Errors in headers come first, as with FastAPI.
pub(super) fn with_body<T>(
    headers: &HeaderMap,
    body: Result<T, Vec<FieldError>>,
) -> Result<(T, Option<Owner>), ApiError> {
    match (read(headers), body) {
        (Ok(owner), Ok(body)) => Ok((body, owner)),
        (owner, body) => {
            let errors: Vec<_> = owner.err().into_iter().chain(body.err().unwrap_or_default()).collect();
            Err(ApiError::invalid_fields(&errors))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(values: &[&[u8]]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_bytes(value).unwrap());
        values.map(|value| (X_OWNER.clone(), value)).fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
    }

    /// One valid name is an owner, no header is no owner, and everything else is refused.
    #[test]
    fn owners_are_read_or_refused() {
        let longest = [b'a'; OWNER_MAX];
        assert_eq!(read(&sent(&[])), Ok(None));
        for good in [&b"gateway-1"[..], b"~!", &longest] {
            let owner = read(&sent(&[good])).unwrap().unwrap();
            assert_eq!(owner.as_str().as_bytes(), good);
        }
        for bad in [&[&b""[..]][..], &[b"a b"], &[b"a\xff"], &[&[b'a'; OWNER_MAX + 1]], &[b"a", b"a"]] {
            let error = serde_json::to_value(read(&sent(bad)).unwrap_err()).unwrap();
            assert_eq!(error["loc"], serde_json::json!(["header", "x-owner"]), "{bad:?}");
            assert_eq!(error["type"], "string_pattern_mismatch", "{bad:?}");
        }
    }

    /// The pattern matches exactly what the rule accepts.
    #[test]
    fn the_pattern_has_the_bound() {
        assert!(OWNER_PATTERN.ends_with(&format!("{{1,{OWNER_MAX}}}$")));
    }
}
