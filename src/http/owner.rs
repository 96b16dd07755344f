//! The header `X-Owner`: the name of a client, which protects its sandbox from the DELETE of another client.

use http::{HeaderMap, HeaderName, HeaderValue};
use lifecycle::lifetime::{OWNER_MAX, Owner};

use super::{
    errors::ApiError,
    request::{FieldError, Loc, Problem},
};

static X_OWNER: HeaderName = HeaderName::from_static("x-owner");

/// The rule for an owner as a pattern, for error messages: visible ASCII.
const OWNER_PATTERN: &str = "^[!-~]{1,128}$";

/// Reads `X-Owner`; `None` if it is not sent.
///
/// An invalid name is refused, not ignored, because its sender relies on the protection. Two names are refused too:
/// it is unclear which one is meant.
///
/// # Errors
/// A 422 with the rule.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<Owner>, ApiError> {
    let sent: Vec<_> = headers.get_all(&X_OWNER).iter().map(HeaderValue::as_bytes).collect();
    if sent.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&sent.join(&b", "[..])).into_owned();
    // The separator of two names contains a space, which no name does.
    Owner::parse(&text).map(Some).ok_or_else(|| {
        let rule = format!("an owner's name is sent once, and has 1 to {OWNER_MAX} visible ASCII characters");
        let path = vec![Loc::Field("header"), Loc::Field("x-owner")];
        FieldError::new(Problem::pattern(OWNER_PATTERN, Some(&rule)), path, &text.into()).into()
    })
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

    /// Guards that one valid name is an owner, that without the header there is none, and that everything else is rejected.
    #[test]
    fn owners_are_parsed_or_rejected() {
        let longest = [b'a'; OWNER_MAX];
        assert_eq!(read(&sent(&[])), Ok(None));
        for good in [&b"gateway-1"[..], b"~!", &longest] {
            let owner = read(&sent(&[good])).unwrap().unwrap();
            assert_eq!(owner.as_str().as_bytes(), good);
        }
        for bad in [&[&b""[..]][..], &[b"a b"], &[b"a\xff"], &[&[b'a'; OWNER_MAX + 1]], &[b"a", b"a"]] {
            let error = &read(&sent(bad)).unwrap_err().detail()[0];
            assert_eq!(error["loc"], serde_json::json!(["header", "x-owner"]), "{bad:?}");
            assert_eq!(error["type"], "string_pattern_mismatch", "{bad:?}");
        }
    }

    /// Guards that the pattern and the rule have the same maximum.
    #[test]
    fn the_pattern_has_the_bound() {
        assert!(OWNER_PATTERN.ends_with(&format!("{{1,{OWNER_MAX}}}$")));
    }
}
