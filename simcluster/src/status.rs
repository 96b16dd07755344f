//! API errors and their `Status` objects.

use http::StatusCode;
use serde_json::{Value, json};

use crate::quote::{json_quoted, quoted};
use crate::resource::Resource;

/// An API error, with all fields of its `Status`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub code: StatusCode,
    /// The machine-readable reason; a few errors have none.
    pub reason: Option<&'static str>,
    pub message: String,
    pub details: Option<Value>,
    /// The `Retry-After` header in seconds.
    pub retry_after: Option<u32>,
    /// The token with which an expired list can continue.
    pub continue_token: Option<String>,
}

/// A violation in an invalid object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    pub reason: &'static str,
    pub message: String,
    pub field: String,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

// === impl Cause ===

impl Cause {
    pub fn new(reason: &'static str, field: impl Into<String>, message: String) -> Self {
        Self { reason, message, field: field.into() }
    }

    /// An invalid value. `shown` is its printed form.
    pub fn invalid(field: impl Into<String>, shown: &str, why: &str) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {shown}: {why}"))
    }

    /// Like [`Cause::invalid`] for text, which is printed in quotes.
    pub fn invalid_text(field: impl Into<String>, value: &str, why: &str) -> Self {
        Self::invalid(field, &quoted(value), why)
    }

    /// All violations of a text.
    pub fn all_invalid(field: &str, value: &str, violations: &[String]) -> Vec<Self> {
        violations.iter().map(|why| Self::invalid_text(field, value, why)).collect()
    }

    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let message =
            if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        Self::new("FieldValueRequired", field, message)
    }

    pub fn not_found(field: impl Into<String>, value: &str) -> Self {
        Self::new("FieldValueNotFound", field, format!("Not found: {}", quoted(value)))
    }

    pub fn duplicate(field: impl Into<String>, value: &str) -> Self {
        Self::new("FieldValueDuplicate", field, format!("Duplicate value: {}", quoted(value)))
    }

    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {why}"))
    }

    /// A value with more than `limit` bytes.
    pub fn too_long(field: impl Into<String>, limit: usize) -> Self {
        let message = format!("Too long: may not be more than {limit} bytes");
        Self::new("FieldValueTooLong", field, message)
    }

    /// A value that is not one of the supported ones.
    pub fn unsupported(field: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let list = supported.iter().map(|s| quoted(s)).collect::<Vec<_>>().join(", ");
        let message = format!("Unsupported value: {}: supported values: {list}", json_quoted(value));
        Self::new("FieldValueNotSupported", field, message)
    }

    /// Checks that a value is one of the supported ones.
    pub fn unless_supported(field: impl Into<String>, value: &str, supported: &[&str]) -> Option<Self> {
        (!supported.contains(&value)).then(|| Self::unsupported(field, value, supported))
    }

    fn to_value(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

// === impl ApiError ===

impl ApiError {
    pub fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: Some(reason),
            message: message.into(),
            details: None,
            retry_after: None,
            continue_token: None,
        }
    }

    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {} not found", resource.qualified(), quoted(name));
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).with_details(named(resource, name))
    }

    pub fn already_exists(resource: &Resource, name: &str, terminating: bool) -> Self {
        let prefix = if terminating { "object is being deleted: " } else { "" };
        let message = format!("{prefix}{} {} already exists", resource.qualified(), quoted(name));
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).with_details(named(resource, name))
    }

    /// A conflict of a request with the state of an object. `kind` is what the message calls the object.
    pub fn conflict(kind: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {kind} {}: {why}", quoted(name));
        Self::new(StatusCode::CONFLICT, "Conflict", message).with_details(json!({"name": name, "kind": kind}))
    }

    /// The object has changed since the caller read it.
    pub fn modified(resource: &Resource, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(&resource.qualified(), name, why).with_details(named(resource, name))
    }

    /// A precondition of a delete failed. `what` is `UID` or `ResourceVersion`.
    pub fn precondition(resource: &Resource, name: &str, what: &str, wanted: &str, found: &str) -> Self {
        let how = if what == "UID" { "deleted and then recreated" } else { "modified" };
        let why = format!(
            "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object \
             might have been {how}"
        );
        Self::conflict(resource.kind, name, &why)
    }

    pub fn invalid(resource: &Resource, name: &str, causes: &[Cause]) -> Self {
        Self::invalid_kind(resource.group, resource.kind, name, causes)
    }

    /// Like [`ApiError::invalid`] for values that are not resources, such as the options of a request.
    pub fn invalid_kind(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        // The real message lists each violation once, even if the causes repeat.
        let mut lines: Vec<String> = Vec::new();
        for line in causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let text = match lines.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let list: Vec<_> = causes.iter().map(Cause::to_value).collect();
        let mut details = json!({"kind": kind, "causes": list});
        if !name.is_empty() {
            details["name"] = name.into();
        }
        let mut qualified = kind.to_owned();
        if !group.is_empty() {
            details["group"] = group.into();
            qualified = format!("{kind}.{group}");
        }
        let message = format!("{qualified} {} is invalid: {text}", quoted(name));
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).with_details(details)
    }

    /// An apply conflicts with fields of other managers.
    #[cfg(feature = "kubectl")]
    pub fn apply_conflict(message: String, causes: &[Cause]) -> Self {
        let list: Vec<_> = causes.iter().map(Cause::to_value).collect();
        Self::new(StatusCode::CONFLICT, "Conflict", message).with_details(json!({"causes": list}))
    }

    /// An update has the uid of a different object.
    pub fn other_uid(resource: &Resource, namespace: &str, name: &str, wanted: &str, found: &str) -> Self {
        let space = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{}/{space}{name}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}",
            resource.plural,
        );
        Self::conflict(&resource.qualified(), name, &why).with_details(named(resource, name))
    }

    /// An internal error without a reason.
    pub fn unexpected(message: impl Into<String>) -> Self {
        Self { reason: None, ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message) }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        // A list and a watch have no name.
        let object = if name.is_empty() { String::new() } else { format!(" {}", quoted(name)) };
        let message = format!("{}{object} is forbidden: {why}", resource.qualified());
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).with_details(named(resource, name))
    }

    pub fn internal(why: &str) -> Self {
        let message = format!("Internal error occurred: {why}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
            .with_details(json!({"causes": [{"message": why}]}))
    }

    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    pub fn version_too_large(wanted: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        let mut error = Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
            .with_details(json!({"causes": [cause], "retryAfterSeconds": 1}));
        error.retry_after = Some(1);
        error
    }

    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).with_details(json!({}))
    }

    pub fn unsupported_media(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// Returns the `Status` object for a body or an ERROR event.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code.as_u16(),
        });
        if let Some(reason) = self.reason {
            status["reason"] = reason.into();
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        if let Some(token) = &self.continue_token {
            status["metadata"]["continue"] = token.as_str().into();
        }
        status
    }
}

/// Returns the details of a `Status` that is about an object.
pub(crate) fn named(resource: &Resource, name: &str) -> Value {
    let mut details = json!({"name": name, "kind": resource.plural});
    if !resource.group.is_empty() {
        details["group"] = resource.group.into();
    }
    details
}
