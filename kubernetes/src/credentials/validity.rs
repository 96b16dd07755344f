//! How long credentials are valid, for the metrics.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use jiff::Timestamp;
use serde::Deserialize;

use super::Loaded;
use crate::{
    certificate::{self, Validity},
    kubeconfig::Secret,
};

lifecycle::named! {
    /// The kinds of credentials with an end.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum CredentialKind {
        /// A client certificate.
        Certificate = "certificate",
        /// A bearer token.
        Token = "token",
    }
}

/// The claims of a token (RFC 7519, 4.1) that are read. Its signature is the API server's matter.
#[derive(Deserialize)]
struct Claims {
    exp: f64,
    iat: Option<f64>,
}

// === impl Loaded ===

impl Loaded {
    /// Returns how long the credentials of this kind are valid; `None` without such credentials, or if they do not say.
    ///
    /// A credential plugin names only the end, so the time of its run counts as the start.
    pub(crate) fn validity(&self, kind: CredentialKind, now: Timestamp) -> Option<Validity> {
        match kind {
            CredentialKind::Certificate => {
                let (Secret(certificate), _) = self.credentials.identity.as_ref()?;
                certificate::validity_of_pem(certificate)
            }
            CredentialKind::Token => {
                let token = self.credentials.authorization.as_ref()?;
                let named = self.expires_at.map(|until| Validity { from: now, until });
                named.or_else(|| of_token(token, now))
            }
        }
    }
}

/// Reads the times in a JSON Web Token, such as that of a service account. Other tokens do not say.
fn of_token(authorization: &HeaderValue, now: Timestamp) -> Option<Validity> {
    let token = authorization.to_str().ok()?.strip_prefix("Bearer ")?;
    let payload = token.split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a number too large becomes the largest, which is refused"
    )]
    let time = |seconds: f64| Timestamp::from_second(seconds as i64).ok();
    Some(Validity { from: claims.iat.and_then(time).unwrap_or(now), until: time(claims.exp)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Credentials;

    fn loaded(token: &str, expires_at: Option<Timestamp>) -> Loaded {
        let authorization = Some(HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        Loaded { credentials: Credentials { authority: None, identity: None, authorization }, expires_at }
    }

    /// Guards which tokens have a known end: those of a plugin that names it, and JSON Web Tokens.
    #[test]
    fn tokens_say_when_they_end() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let now = at(1_000);
        let jwt = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        let valid = |from, until| Some(Validity { from: at(from), until: at(until) });
        for (token, named, wanted) in [
            ("opaque".to_owned(), None, None),
            ("opaque".to_owned(), Some(at(1_900)), valid(1_000, 1_900)),
            (jwt(r#"{"exp":4000,"iat":400,"sub":"a"}"#), None, valid(400, 4_000)),
            (jwt(r#"{"exp":4000.5}"#), None, valid(1_000, 4_000)),
            (jwt(r#"{"exp":4000,"iat":400}"#), Some(at(1_900)), valid(1_000, 1_900)),
            (jwt(r#"{"exp":1e300}"#), None, None),
            (jwt(r#"{"exp":"soon"}"#), None, None),
            (jwt("{}"), None, None),
            ("a.%.c".to_owned(), None, None),
            (String::new(), None, None),
        ] {
            assert_eq!(loaded(&token, named).validity(CredentialKind::Token, now), wanted, "{token}");
        }
        assert_eq!(loaded("a", Some(now)).validity(CredentialKind::Certificate, now), None);
    }
}
