//! Token requests for service accounts (`kubectl create token`).

use crate::fields::items;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::jwt::{Bound, Claims, Reference};
use super::review_kind::ReviewKind;
use super::state::{AUDIENCE, Access};
use super::user::SERVICE_ACCOUNT_PREFIX;
use crate::clock::stamp;
use crate::reply::Reply;
use crate::resource::{PODS, SECRETS, SERVICE_ACCOUNTS};
use crate::shared::{Shared, State};
use crate::status::{ApiError, ApiResult};
use crate::store::{Object, text_at};

/// The default lifetime of a token, in seconds.
pub(super) const DEFAULT_SECONDS: i64 = 3600;
/// The minimum lifetime, in seconds.
const SHORTEST: i64 = 600;
/// The maximum lifetime, in seconds.
const LONGEST: i64 = 1 << 32;

/// The spec of a token.
#[derive(Debug, Default)]
pub(super) struct TokenSpec {
    pub audiences: Vec<String>,
    pub seconds: i64,
    /// The Pod or Secret to which the token is bound: its kind and its reference.
    pub bound: Option<(BoundKind, Reference)>,
}

/// The kinds that a token can be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BoundKind {
    Pod,
    Secret,
}

/// Handles a `TokenRequest`.
pub(super) fn answer(
    shared: &Shared,
    review_kind: &ReviewKind,
    namespace: &str,
    name: &str,
    mut review: Value,
) -> ApiResult<Reply> {
    let mut state = shared.state();
    let account = state.store.get(SERVICE_ACCOUNTS, namespace, name);
    let account = account.ok_or_else(|| ApiError::not_found(SERVICE_ACCOUNTS, name))?;
    let spec = TokenSpec::read(&state, review_kind, namespace, name, &review["spec"])?;
    let now = shared.clock.now();
    let Some((token, until)) = issue(&shared.access, &mut state, &account, &spec, now) else {
        return Err(ApiError::internal("the token could not be signed"));
    };
    drop(state);
    if !review["spec"].is_object() {
        review["spec"] = json!({});
    }
    review["metadata"] = json!({"name": name, "namespace": namespace, "creationTimestamp": stamp(now)});
    review["spec"]["audiences"] = json!(spec.audiences);
    review["spec"]["expirationSeconds"] = spec.seconds.into();
    if review["spec"].get("boundObjectRef").is_none() {
        review["spec"]["boundObjectRef"] = Value::Null;
    }
    review["status"] = json!({"token": token, "expirationTimestamp": stamp(until)});
    Ok(Reply::json(StatusCode::CREATED, review.to_string()))
}

/// Creates a token for an account. Returns the token and its expiry.
pub(super) fn issue(
    access: &Access,
    state: &mut State,
    account: &Object,
    spec: &TokenSpec,
    now: Timestamp,
) -> Option<(String, Timestamp)> {
    let (iat, exp) = (now.as_second(), now.as_second().saturating_add(spec.seconds));
    let bound_to =
        |kind| spec.bound.as_ref().filter(|(own, _)| *own == kind).map(|(_, reference)| reference.clone());
    let claims = Claims {
        aud: spec.audiences.clone(),
        exp,
        iat,
        iss: AUDIENCE.to_owned(),
        jti: state.random.uid(),
        kubernetes: Bound {
            namespace: account.namespace().to_owned(),
            pod: bound_to(BoundKind::Pod),
            secret: bound_to(BoundKind::Secret),
            serviceaccount: Reference { name: account.name().to_owned(), uid: account.uid().to_owned() },
        },
        nbf: iat,
        sub: format!("{SERVICE_ACCOUNT_PREFIX}{}:{}", account.namespace(), account.name()),
    };
    Some((access.signer.sign(&claims)?, Timestamp::from_second(exp).ok()?))
}

// === impl TokenSpec ===

impl TokenSpec {
    fn read(
        state: &State,
        review_kind: &ReviewKind,
        namespace: &str,
        account: &str,
        spec: &Value,
    ) -> ApiResult<Self> {
        let seconds = spec["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
        let why = match seconds {
            ..SHORTEST => "may not specify a duration less than 10 minutes",
            LONGEST.. if seconds > LONGEST => "may not specify a duration larger than 2^32 seconds",
            _ => "",
        };
        if !why.is_empty() {
            let why = format!("Invalid value: {seconds}: {why}");
            return Err(review_kind.invalid("spec.expirationSeconds", "FieldValueInvalid", &why));
        }
        let wanted = items(&spec["audiences"]);
        let mut audiences: Vec<_> = wanted.filter_map(Value::as_str).map(str::to_owned).collect();
        if audiences.is_empty() {
            audiences.push(AUDIENCE.to_owned());
        }
        let bound = bound(state, namespace, account, &spec["boundObjectRef"])?;
        Ok(Self { audiences, seconds, bound })
    }
}

/// Returns the object to which the token is to be bound. It must exist; a Pod must run as the account.
fn bound(
    state: &State,
    namespace: &str,
    account: &str,
    wanted: &Value,
) -> ApiResult<Option<(BoundKind, Reference)>> {
    if wanted.is_null() {
        return Ok(None);
    }
    let (kind, resource) = match text_at(wanted, &["kind"]) {
        "Pod" => (BoundKind::Pod, PODS),
        "Secret" => (BoundKind::Secret, SECRETS),
        other => {
            return Err(ApiError::bad_request(format!(
                "cannot bind token to object of type v1, Kind={other}: unsupported"
            )));
        }
    };
    let (name, uid) = (text_at(wanted, &["name"]), text_at(wanted, &["uid"]));
    let object = state.store.get(resource, namespace, name);
    let object = object.ok_or_else(|| ApiError::not_found(resource, name))?;
    if !uid.is_empty() && uid != object.uid() {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: the UID in the bound object reference ({uid}) does not \
             match the UID in record. The object might have been deleted and then recreated",
            resource.plural
        );
        return Err(ApiError::new(StatusCode::CONFLICT, "Conflict", message)
            .with_details(json!({"name": name, "kind": resource.plural})));
    }
    if kind == BoundKind::Pod && text_at(object.value(), &["spec", "serviceAccountName"]) != account {
        return Err(ApiError::bad_request(format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
        )));
    }
    Ok(Some((kind, Reference { name: name.to_owned(), uid: object.uid().to_owned() })))
}
