//! Reviews of users and permissions, which are not stored.

use crate::fields::items;
use http::StatusCode;
use serde_json::{Value, json};

use super::attributes::{Action, Attributes};
use super::authenticate::{self, Authentication};
use super::policy::{Decision, Grants};
use super::review_kind::ReviewKind;
use super::rules::PolicyRule;
use super::state::AUDIENCE;
use super::user::User;
use super::{decide, token_request};
use crate::calls::Verb;
use crate::reply::Reply;
use crate::request::Request;
use crate::shared::Shared;
use crate::status::{ApiError, ApiResult};
use crate::store::text_at;

/// Answers a review.
pub(crate) fn answer(shared: &Shared, kind: &ReviewKind, request: &Request) -> ApiResult<Reply> {
    if request.verb != Verb::Create {
        return Err(ApiError::method_not_allowed());
    }
    let (group, kind_name) = kind.kind();
    let mut review: Value = if request.body.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(&request.body)
            .map_err(|error| ApiError::bad_request(format!("{kind_name} is not valid JSON: {error}")))?
    };
    if !review.is_object() {
        return Err(ApiError::bad_request(format!("{kind_name} is not a JSON object")));
    }
    review["kind"] = kind_name.into();
    review["apiVersion"] = format!("{group}/v1").into();
    review["metadata"] = json!({});
    review["status"] = match kind {
        ReviewKind::TokenReview => token_review(shared, kind, &review["spec"])?,
        ReviewKind::SelfSubjectReview => json!({"userInfo": request.user.info()}),
        ReviewKind::SelfSubjectAccessReview => access(shared, kind, &review["spec"], &request.user)?,
        ReviewKind::SubjectAccessReview => access(shared, kind, &review["spec"], &subject(kind, &review)?)?,
        ReviewKind::LocalSubjectAccessReview { namespace } => {
            if text_at(&review, &["spec", "resourceAttributes", "namespace"]) != namespace {
                let why = "Invalid value: must match metadata.namespace";
                return Err(kind.invalid("spec.resourceAttributes.namespace", "FieldValueInvalid", why));
            }
            review["metadata"] = json!({"namespace": namespace});
            access(shared, kind, &review["spec"], &subject(kind, &review)?)?
        }
        ReviewKind::SelfSubjectRulesReview => rules(shared, &review["spec"], &request.user)?,
        ReviewKind::TokenRequest { namespace, name } => {
            return token_request::answer(shared, kind, namespace, name, review);
        }
    };
    if let ReviewKind::SelfSubjectReview = kind {
        review["metadata"] = json!({"creationTimestamp": shared.clock.stamp()});
    }
    Ok(Reply::json(StatusCode::CREATED, review.to_string()))
}

/// Returns the user in the spec of an access review.
fn subject(kind: &ReviewKind, review: &Value) -> ApiResult<User> {
    let spec = &review["spec"];
    let list = |list: &Value| items(list).filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let mut user = User::new(text_at(spec, &["user"]));
    user.groups = list(&spec["groups"]);
    text_at(spec, &["uid"]).clone_into(&mut user.uid);
    if user.name.is_empty() && user.groups.is_empty() {
        let why = "Invalid value: \"\": at least one of user or group must be specified";
        return Err(kind.invalid("spec.user", "FieldValueInvalid", why));
    }
    Ok(user)
}

fn access(shared: &Shared, kind: &ReviewKind, spec: &Value, user: &User) -> ApiResult<Value> {
    let text = |path: &[&str]| text_at(spec, path).to_owned();
    let (of_resource, of_path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let attributes = match (of_resource.is_object(), of_path.is_object()) {
        (true, false) => {
            let field = |name| text(&["resourceAttributes", name]);
            Attributes::Resource(Action {
                verb: field("verb"),
                group: field("group"),
                resource: field("resource"),
                subresource: field("subresource"),
                namespace: field("namespace"),
                name: field("name"),
            })
        }
        (false, true) => Attributes::Path {
            verb: text(&["nonResourceAttributes", "verb"]),
            path: text(&["nonResourceAttributes", "path"]),
        },
        (both, _) => {
            let (field, why) = if both {
                ("spec.nonResourceAttributes", "cannot be specified in combination with resourceAttributes")
            } else {
                (
                    "spec.resourceAttributes",
                    "exactly one of nonResourceAttributes or resourceAttributes must be specified",
                )
            };
            return Err(kind.invalid(field, "FieldValueInvalid", &format!("Invalid value: null: {why}")));
        }
    };
    let Decision { allowed, reason } = decide(shared, user, &attributes);
    let mut status = json!({"allowed": allowed});
    if !reason.is_empty() {
        status["reason"] = reason.into();
    }
    Ok(status)
}

fn rules(shared: &Shared, spec: &Value, user: &User) -> ApiResult<Value> {
    let namespace = text_at(spec, &["namespace"]);
    if namespace.is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    let Grants { rules, errors } = if shared.access.rbac {
        Grants::of(&shared.state().store, user, namespace)
    } else {
        Grants::default()
    };
    let mut rules: Vec<_> = rules.into_iter().map(|grant| grant.rule).collect();
    if !shared.access.rbac {
        let all = || vec!["*".to_owned()];
        let everything =
            PolicyRule { verbs: all(), api_groups: all(), resources: all(), ..PolicyRule::default() };
        let every_path = PolicyRule { verbs: all(), non_resource_urls: all(), ..PolicyRule::default() };
        rules.extend([everything, every_path]);
    }
    let (paths, resources): (Vec<_>, Vec<_>) =
        rules.into_iter().partition(|rule| !rule.non_resource_urls.is_empty());
    let mut status =
        json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": !errors.is_empty()});
    if !errors.is_empty() {
        status["evaluationError"] = errors.join(", ").into();
    }
    Ok(status)
}

fn token_review(shared: &Shared, kind: &ReviewKind, spec: &Value) -> ApiResult<Value> {
    let token = text_at(spec, &["token"]);
    if token.is_empty() {
        return Err(kind.invalid("spec.token", "FieldValueRequired", "Required value: must be specified"));
    }
    let wanted = items(&spec["audiences"]);
    let mut audiences: Vec<_> = wanted.filter_map(Value::as_str).map(str::to_owned).collect();
    Ok(match authenticate::token(shared, token, &audiences) {
        Authentication::User(user) => {
            if audiences.is_empty() {
                audiences.push(AUDIENCE.to_owned());
            }
            json!({"authenticated": true, "user": user.info(), "audiences": audiences})
        }
        Authentication::Invalid(why) => {
            let error = why.map_or_else(
                || "invalid bearer token".to_owned(),
                |why| format!("[invalid bearer token, {why}]"),
            );
            json!({"user": {}, "error": error})
        }
    })
}
