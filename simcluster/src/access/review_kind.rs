//! The kinds of reviews: requests about users and permissions that are not stored.

use http::StatusCode;
use serde_json::{Value, json};

use crate::status::ApiError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReviewKind {
    /// The user of a token.
    TokenReview,
    /// The user of the request.
    SelfSubjectReview,
    /// Whether the user of the request may do an action.
    SelfSubjectAccessReview,
    /// Whether a given user may do an action.
    SubjectAccessReview,
    /// Whether a given user may do an action in one namespace.
    LocalSubjectAccessReview { namespace: String },
    /// All permissions of the user of the request.
    SelfSubjectRulesReview,
    /// A token request for a service account.
    TokenRequest { namespace: String, name: String },
}

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

// === impl ReviewKind ===

impl ReviewKind {
    /// Returns the review that a path names, if any.
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

    /// Returns the discovery entries of the reviews in a group.
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

    /// Returns the error for a review with an invalid field.
    pub(super) fn invalid(&self, field: &str, reason: &'static str, why: &str) -> ApiError {
        let (group, kind) = self.kind();
        let message = format!("{kind}.{group} \"\" is invalid: {field}: {why}");
        let cause = json!({"reason": reason, "message": why, "field": field});
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
            .with_details(json!({"group": group, "kind": kind, "causes": [cause]}))
    }
}
