//! Questions about users and their rights, answered and forgotten.

use http::StatusCode;
use serde_json::{Value, json};

use super::attributes::{Action, Attributes};
use super::authenticate::{self, Found};
use super::policy::{Grants, Verdict};
use super::rules::PolicyRule;
use super::user::User;
use super::{AUDIENCE, decide, token_request};
use crate::api::{Reply, Request};
use crate::calls::Verb;
use crate::shared::Shared;
use crate::status::{ApiError, ApiResult};
use crate::store::text_at;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Whose a token is.
    TokenReview,
    /// Who I am.
    SelfSubjectReview,
    /// Whether I may.
    SelfSubjectAccessReview,
    /// Whether somebody may.
    SubjectAccessReview,
    /// Whether somebody may, in one namespace.
    LocalSubjectAccessReview { namespace: String },
    /// What I may, all of it.
    SelfSubjectRulesReview,
    /// A token for a service account.
    TokenRequest { namespace: String, name: String },
}

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

// === impl Asked ===

impl Asked {
    /// What a path asks; `None` if it is no question.
    pub fn of(path: &[&str]) -> Option<Self> {
        Some(match path {
            ["apis", "authentication.k8s.io", "v1", "tokenreviews"] => Self::TokenReview,
            ["apis", "authentication.k8s.io", "v1", "selfsubjectreviews"] => Self::SelfSubjectReview,
            ["apis", "authorization.k8s.io", "v1", rest @ ..] => match rest {
                ["selfsubjectaccessreviews"] => Self::SelfSubjectAccessReview,
                ["subjectaccessreviews"] => Self::SubjectAccessReview,
                ["selfsubjectrulesreviews"] => Self::SelfSubjectRulesReview,
                ["namespaces", namespace, "localsubjectaccessreviews"] => {
                    Self::LocalSubjectAccessReview { namespace: (*namespace).to_owned() }
                }
                _ => return None,
            },
            ["api", "v1", "namespaces", namespace, "serviceaccounts", name, "token"] => {
                Self::TokenRequest { namespace: (*namespace).to_owned(), name: (*name).to_owned() }
            }
            _ => return None,
        })
    }

    /// What discovery says of the questions in a group.
    pub fn described(group: &str) -> Vec<Value> {
        let described = |kind: &str, namespaced: bool| {
            let singular = kind.to_lowercase();
            json!({"name": format!("{singular}s"), "singularName": singular, "namespaced": namespaced, "kind": kind,
                "verbs": ["create"]})
        };
        match group {
            AUTHENTICATION => vec![described("SelfSubjectReview", false), described("TokenReview", false)],
            AUTHORIZATION => vec![
                described("LocalSubjectAccessReview", true),
                described("SelfSubjectAccessReview", false),
                described("SelfSubjectRulesReview", false),
                described("SubjectAccessReview", false),
            ],
            "" => vec![json!({
                "name": "serviceaccounts/token", "singularName": "", "namespaced": true, "group": AUTHENTICATION,
                "version": "v1", "kind": "TokenRequest", "verbs": ["create"],
            })],
            _ => Vec::new(),
        }
    }

    pub(super) fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::TokenReview => (AUTHENTICATION, "TokenReview"),
            Self::SelfSubjectReview => (AUTHENTICATION, "SelfSubjectReview"),
            Self::TokenRequest { .. } => (AUTHENTICATION, "TokenRequest"),
            Self::SelfSubjectAccessReview => (AUTHORIZATION, "SelfSubjectAccessReview"),
            Self::SubjectAccessReview => (AUTHORIZATION, "SubjectAccessReview"),
            Self::LocalSubjectAccessReview { .. } => (AUTHORIZATION, "LocalSubjectAccessReview"),
            Self::SelfSubjectRulesReview => (AUTHORIZATION, "SelfSubjectRulesReview"),
        }
    }

    /// The refusal of a question that has a broken part.
    pub(super) fn invalid(&self, field: &str, reason: &'static str, why: &str) -> ApiError {
        let (group, kind) = self.kind();
        let message = format!("{kind}.{group} \"\" is invalid: {field}: {why}");
        let cause = json!({"reason": reason, "message": why, "field": field});
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
            .with_details(json!({"group": group, "kind": kind, "causes": [cause]}))
    }
}

/// Answers a question.
pub(crate) fn answer(shared: &Shared, asked: &Asked, request: &Request) -> ApiResult<Reply> {
    if request.verb != Verb::Create {
        return Err(ApiError::method_not_allowed());
    }
    let (group, kind) = asked.kind();
    let mut review: Value = if request.body.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(&request.body)
            .map_err(|error| ApiError::bad_request(format!("the {kind} is no JSON: {error}")))?
    };
    if !review.is_object() {
        return Err(ApiError::bad_request(format!("the {kind} is no JSON object")));
    }
    review["kind"] = kind.into();
    review["apiVersion"] = format!("{group}/v1").into();
    review["metadata"] = json!({});
    review["status"] = match asked {
        Asked::TokenReview => token_review(shared, asked, &review["spec"])?,
        Asked::SelfSubjectReview => json!({"userInfo": request.user.info()}),
        Asked::SelfSubjectAccessReview => access(shared, asked, &review["spec"], &request.user)?,
        Asked::SubjectAccessReview => access(shared, asked, &review["spec"], &subject(asked, &review)?)?,
        Asked::LocalSubjectAccessReview { namespace } => {
            if text_at(&review, &["spec", "resourceAttributes", "namespace"]) != namespace {
                let why = "Invalid value: must match metadata.namespace";
                return Err(asked.invalid("spec.resourceAttributes.namespace", "FieldValueInvalid", why));
            }
            review["metadata"] = json!({"namespace": namespace});
            access(shared, asked, &review["spec"], &subject(asked, &review)?)?
        }
        Asked::SelfSubjectRulesReview => rules(shared, &review["spec"], &request.user)?,
        Asked::TokenRequest { namespace, name } => {
            return token_request::answer(shared, asked, namespace, name, review);
        }
    };
    if let Asked::SelfSubjectReview = asked {
        review["metadata"] = json!({"creationTimestamp": shared.clock.stamp()});
    }
    Ok(Reply::json(StatusCode::CREATED, review.to_string()))
}

/// The user that a review of another's rights is about.
fn subject(asked: &Asked, review: &Value) -> ApiResult<User> {
    let spec = &review["spec"];
    let list = |list: &Value| {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut user = User::new(text_at(spec, &["user"]));
    user.groups = list(&spec["groups"]);
    text_at(spec, &["uid"]).clone_into(&mut user.uid);
    if user.name.is_empty() && user.groups.is_empty() {
        let why = "Invalid value: \"\": at least one of user or group must be specified";
        return Err(asked.invalid("spec.user", "FieldValueInvalid", why));
    }
    Ok(user)
}

fn access(shared: &Shared, asked: &Asked, spec: &Value, user: &User) -> ApiResult<Value> {
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
            return Err(asked.invalid(field, "FieldValueInvalid", &format!("Invalid value: null: {why}")));
        }
    };
    let Verdict { allowed, reason } = decide(shared, user, &attributes);
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

fn token_review(shared: &Shared, asked: &Asked, spec: &Value) -> ApiResult<Value> {
    let token = text_at(spec, &["token"]);
    if token.is_empty() {
        return Err(asked.invalid("spec.token", "FieldValueRequired", "Required value: must be specified"));
    }
    let wanted = spec["audiences"].as_array().into_iter().flatten();
    let mut audiences: Vec<_> = wanted.filter_map(Value::as_str).map(str::to_owned).collect();
    Ok(match authenticate::token(shared, token, &audiences) {
        Found::User(user) => {
            if audiences.is_empty() {
                audiences.push(AUDIENCE.to_owned());
            }
            json!({"authenticated": true, "user": user.info(), "audiences": audiences})
        }
        Found::Nobody(why) => {
            let error = why.map_or_else(
                || "invalid bearer token".to_owned(),
                |why| format!("[invalid bearer token, {why}]"),
            );
            json!({"user": {}, "error": error})
        }
    })
}
