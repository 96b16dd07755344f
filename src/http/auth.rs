//! The API key of `/api`.

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq};

static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The callers that may use `/api`. Its `Debug` does not show the key.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Callers that send this key, in `X-API-Key` or as `Authorization: Bearer`.
    Key(SecretString),
    /// Everyone who can reach the daemon.
    Open,
}

// === impl Auth ===

impl Auth {
    /// Returns whether a request with these headers is allowed.
    ///
    /// `X-API-Key` decides if it is sent, otherwise `Authorization: Bearer` (a proxy may use that header for
    /// itself). A repeated header is refused. An empty key is refused.
    #[must_use]
    pub fn allows(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Open => true,
            Self::Key(key) => {
                sent_key(headers).is_some_and(|sent| is_same(sent, key.expose_secret().as_bytes()))
            }
        }
    }

    /// Returns whether this path of a URI requires the key: all of `/api`, also paths without a route, so that callers
    /// without a key cannot find out which routes exist.
    #[must_use]
    pub fn guards(path: &str) -> bool {
        path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Returns the key that the caller sends.
fn sent_key(headers: &HeaderMap) -> Option<&[u8]> {
    if headers.contains_key(&X_API_KEY) {
        return only(headers, &X_API_KEY).map(HeaderValue::as_bytes);
    }
    let (scheme, key) = only(headers, &AUTHORIZATION)?.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Compares in a time that depends only on the length of `sent`, which its sender knows. The time does not
/// reveal the position of the first difference or the length of the key.
fn is_same(sent: &[u8], key: &[u8]) -> bool {
    if sent.is_empty() || key.is_empty() {
        return false;
    }
    let same_length = sent.len().ct_eq(&key.len());
    let same_bytes =
        sent.iter().zip(key.iter().cycle()).fold(Choice::from(1), |same, (a, b)| same & a.ct_eq(b));
    (same_length & same_bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = &'static [(&'static str, &'static [u8])];

    fn sent(pairs: Pairs) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    /// Guards that the correct key is accepted in either header, and that nothing else is.
    #[test]
    fn keys_are_compared_completely() {
        let auth = Auth::Key("s3cret".to_owned().into());
        let cases: [(Pairs, bool); 16] = [
            (&[("x-api-key", b"s3cret")], true),
            (&[("authorization", b"Bearer s3cret")], true),
            (&[("authorization", b"bearer  s3cret")], true),
            (&[("x-api-key", b"s3cret"), ("authorization", b"Basic eA==")], true),
            (&[], false),
            (&[("x-api-key", b"")], false),
            (&[("x-api-key", b"s3cre")], false),
            (&[("x-api-key", b"s3crets")], false),
            (&[("x-api-key", b"s3crets3cret")], false),
            (&[("x-api-key", b"S3cret")], false),
            (&[("x-api-key", b"s3cre\xff")], false),
            (&[("x-api-key", b"wrong"), ("authorization", b"Bearer s3cret")], false),
            (&[("x-api-key", b"s3cret"), ("x-api-key", b"s3cret")], false),
            (&[("authorization", b"Basic s3cret")], false),
            (&[("authorization", b"Bearer")], false),
            (&[("authorization", b"s3cret")], false),
        ];
        for (pairs, wanted) in cases {
            assert_eq!(auth.allows(&sent(pairs)), wanted, "{pairs:?}");
        }
    }

    /// Guards that an empty configured key allows no caller.
    #[test]
    fn an_empty_key_allows_no_caller() {
        let auth = Auth::Key(String::new().into());
        assert!(!auth.allows(&sent(&[("x-api-key", b"")])));
        assert!(!auth.allows(&sent(&[("x-api-key", b"x")])));
        assert!(Auth::Open.allows(&sent(&[])));
    }

    /// Guards that no debug output contains the key.
    #[test]
    fn the_key_is_not_printed() {
        assert!(!format!("{:?}", Auth::Key("s3cret".to_owned().into())).contains("s3cret"));
    }

    /// Guards that all of `/api` requires the key, and that similar paths do not.
    #[test]
    fn all_of_api_requires_the_key() {
        for (path, wanted) in [
            ("/api", true),
            ("/api/", true),
            ("/api/zzz", true),
            ("/api/sandboxes/x", true),
            ("/apis", false),
            ("/health", false),
            ("/", false),
            ("", false),
        ] {
            assert_eq!(Auth::guards(path), wanted, "{path}");
        }
    }
}
