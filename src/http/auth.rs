//! The key that guards `/api`.

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq};

static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who may use `/api`. Its `Debug` does not show the key.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Whoever sends this key, in `X-API-Key` or as `Authorization: Bearer`.
    Key(SecretString),
    /// Everybody who can reach the daemon.
    Open,
}

// === impl Auth ===

impl Auth {
    /// Whether a request with these headers may go on.
    ///
    /// `X-API-Key` decides where it is sent, else `Authorization: Bearer` (a proxy may have its own use for
    /// that header). A header that comes twice proves nothing. An empty key opens nothing.
    #[must_use]
    pub fn allows(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Open => true,
            Self::Key(key) => given(headers).is_some_and(|given| same(given, key.expose_secret().as_bytes())),
        }
    }

    /// Whether the key is asked for on this path, as it stands in the URI: on all of `/api`, whether there is
    /// such a route or not, so that nobody without a key learns which there are.
    #[must_use]
    pub fn guards(path: &str) -> bool {
        path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// The one key that the caller sends.
fn given(headers: &HeaderMap) -> Option<&[u8]> {
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

/// Compares in a time that depends on the length of `given` alone, which its sender knows anyway: neither
/// the place of the first difference nor the key's length shows.
fn same(given: &[u8], key: &[u8]) -> bool {
    if given.is_empty() || key.is_empty() {
        return false;
    }
    let same_length = given.len().ct_eq(&key.len());
    let same_bytes =
        given.iter().zip(key.iter().cycle()).fold(Choice::from(1), |same, (a, b)| same & a.ct_eq(b));
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

    /// One right key in either header opens; anything else, however near, does not.
    #[test]
    fn keys_are_checked_whole() {
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

    /// A key that was set to nothing opens nothing, and does not make every caller a friend.
    #[test]
    fn an_empty_key_opens_nothing() {
        let auth = Auth::Key(String::new().into());
        assert!(!auth.allows(&sent(&[("x-api-key", b"")])));
        assert!(!auth.allows(&sent(&[("x-api-key", b"x")])));
        assert!(Auth::Open.allows(&sent(&[])));
    }

    /// The key is in no debug output.
    #[test]
    fn the_key_is_not_printed() {
        assert!(!format!("{:?}", Auth::Key("s3cret".to_owned().into())).contains("s3cret"));
    }

    /// All of `/api` is guarded, and nothing that only looks like it.
    #[test]
    fn all_of_api_is_guarded() {
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
