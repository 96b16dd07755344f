//! Authentication with bearer tokens.

use http::{HeaderMap, header};

use super::jwt::{Bound, Claims, Reference};
use super::state::AUDIENCE;
use super::user::User;
use crate::resource::{PODS, Resource, SECRETS, SERVICE_ACCOUNTS};
use crate::shared::Shared;
use crate::store::Store;

/// The result of a token lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Authentication {
    /// A valid token.
    User(User),
    /// An invalid token. Only a review shows the reason; other requests get a plain 401.
    Invalid(Option<&'static str>),
}

/// Returns the bearer token of a request, if any.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Looks a token up, first among the static tokens, then as a service account token.
pub(super) fn token(shared: &Shared, token: &str, audiences: &[String]) -> Authentication {
    if let Some(user) = shared.access.tokens().get(token) {
        return Authentication::User(user.clone().authenticated());
    }
    let Some(claims) = shared.access.signer.verify(token) else { return Authentication::Invalid(None) };
    let now = shared.clock.now().as_second();
    match check(&shared.state().store, &claims, audiences, now) {
        Ok(user) => Authentication::User(user.authenticated()),
        Err(why) => Authentication::Invalid(Some(why)),
    }
}

/// Checks that a token of this cluster is still valid. Pure.
fn check(store: &Store, claims: &Claims, audiences: &[String], now: i64) -> Result<User, &'static str> {
    let meant =
        |audience: &String| audiences.contains(audience) || (audiences.is_empty() && audience == AUDIENCE);
    if !claims.aud.iter().any(meant) {
        return Err("token audiences is invalid for the target audiences");
    }
    if now >= claims.exp {
        return Err("service account token has expired");
    }
    if now < claims.nbf {
        return Err("service account token is not valid yet");
    }
    let Bound { namespace, pod, secret, serviceaccount } = &claims.kubernetes;
    let lives = |resource: &Resource, reference: &Reference| {
        let object = store.get(resource, namespace, &reference.name);
        object.is_some_and(|object| object.uid() == reference.uid)
    };
    if !lives(SERVICE_ACCOUNTS, serviceaccount)
        || !pod.as_ref().is_none_or(|pod| lives(PODS, pod))
        || !secret.as_ref().is_none_or(|secret| lives(SECRETS, secret))
    {
        return Err("service account token has been invalidated");
    }
    let mut user = User::service_account(namespace, &serviceaccount.name, &serviceaccount.uid);
    let mut tell = |key: &str, value: String| {
        user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
    };
    tell("credential-id", format!("JTI={}", claims.jti));
    if let Some(pod) = pod {
        tell("pod-name", pod.name.clone());
        tell("pod-uid", pod.uid.clone());
    }
    Ok(user)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims() -> Claims {
        let reference = |name: &str| Reference { name: name.into(), uid: format!("{name}-uid") };
        Claims {
            aud: vec![AUDIENCE.into()],
            exp: 200,
            iat: 100,
            iss: AUDIENCE.into(),
            jti: "j".into(),
            kubernetes: Bound {
                namespace: "n".into(),
                pod: Some(reference("pod")),
                secret: None,
                serviceaccount: reference("robot"),
            },
            nbf: 100,
            sub: "system:serviceaccount:n:robot".into(),
        }
    }

    fn store() -> Store {
        let mut store = Store::with_window(10);
        let object =
            |name: &str| json!({"metadata": {"namespace": "n", "name": name, "uid": format!("{name}-uid")}});
        store.put(SERVICE_ACCOUNTS, object("robot"));
        store.put(PODS, object("pod"));
        store
    }

    /// Guards that a token is valid until its expiry, for its audience, and while its account and its Pod exist.
    #[test]
    fn service_account_tokens_expire() {
        let mut store = store();
        let user = check(&store, &claims(), &[], 150).unwrap();
        assert_eq!(user.name, "system:serviceaccount:n:robot");
        assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:n"]);
        assert_eq!(check(&store, &claims(), &[], 200), Err("service account token has expired"));
        assert_eq!(check(&store, &claims(), &[], 99), Err("service account token is not valid yet"));
        let others = ["vault".to_owned()];
        assert!(check(&store, &claims(), &others, 150).is_err());
        assert!(check(&store, &Claims { aud: others.to_vec(), ..claims() }, &others, 150).is_ok());
        let reborn = json!({"metadata": {"namespace": "n", "name": "pod", "uid": "another"}});
        store.put(PODS, reborn);
        let invalid = Err("service account token has been invalidated");
        assert_eq!(check(&store, &claims(), &[], 150), invalid);
        let mut unbound = claims();
        unbound.kubernetes.pod = None;
        assert!(check(&store, &unbound, &[], 150).is_ok());
        store.remove(SERVICE_ACCOUNTS, "n", "robot");
        assert_eq!(check(&store, &unbound, &[], 150), invalid);
    }

    #[test]
    fn bearer_tokens_are_parsed_as_by_the_real_server() {
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, http::HeaderValue::from_static(value));
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("bearer  abc ").as_deref(), Some("abc"));
        for none in ["Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
