//! Validation of objects, with Kubernetes' messages.

mod event;
#[cfg(feature = "kubectl")]
mod fields;
mod meta;
mod mounts;
pub(crate) mod names;
mod other;
mod pod;
pub(crate) mod quantity;
mod resize;
mod service;
#[cfg(any(test, not(feature = "kubectl")))]
mod shape;
#[cfg(feature = "kubectl")]
mod spec_diff;
mod storage;
mod volumes;

use serde_json::Value;

#[cfg(feature = "kubectl")]
pub(crate) use fields::check_fields;
#[cfg(not(feature = "kubectl"))]
pub(crate) use shape::check_fields;

#[cfg(feature = "rbac")]
use crate::access;
use crate::resource::{CLAIMS, CLASSES, EVENTS, NAMESPACES, PODS, Resource, SERVICES};
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::text_at;
use names::NameRule;

/// Validates a complete, defaulted object before it is created.
pub(crate) fn new_object(resource: &Resource, value: &Value) -> ApiResult<()> {
    let mut causes = meta::check(name_rule(resource), value);
    #[cfg(feature = "rbac")]
    causes.extend(access::check_object(resource, value));
    match resource {
        r if r == PODS => causes.extend(pod::check(value)),
        r if r == SERVICES => causes.extend(service::check(value)),
        r if r == EVENTS => causes.extend(event::check(value)),
        _ => causes.extend(other::check(resource, value)),
    }
    refuse(resource, value, &causes)
}

/// Validates a complete object before it replaces another.
pub(crate) fn changed_object(resource: &Resource, old: &Value, new: &Value) -> ApiResult<()> {
    let mut causes = check_changed_meta(old, new);
    if resource == PODS {
        causes.extend(meta::check(name_rule(resource), new));
    }
    #[cfg(feature = "rbac")]
    causes.extend(access::check_change(resource, old, new));
    match resource {
        r if r == PODS => causes.extend(pod::check_change(old, new)),
        r if r == SERVICES => {
            causes.extend(service::check(new));
            causes.extend(service::check_change(old, new));
        }
        r if r == CLAIMS => causes.extend(storage::claim_change(old, new)),
        r if r == CLASSES => causes.extend(storage::class_change(old, new)),
        _ => {}
    }
    refuse(resource, new, &causes)
}

/// Validates a change that affects only metadata or a subresource.
pub(crate) fn changed_meta(resource: &Resource, old: &Value, new: &Value) -> ApiResult<()> {
    refuse(resource, new, &check_changed_meta(old, new))
}

/// Validates a Pod with other resources.
pub(crate) fn resized_pod(old: &Value, new: &Value) -> ApiResult<()> {
    let mut causes = check_changed_meta(old, new);
    causes.extend(resize::check(old, new));
    refuse(PODS, new, &causes)
}

/// Validates an event of the newer API group, whose rules are stricter.
pub(crate) fn new_event(value: &Value) -> ApiResult<()> {
    refuse(EVENTS, value, &event::check_new(value))
}

/// The real server validates changed metadata twice, with the common rules and with those of the kind. So its errors
/// have duplicate causes.
fn check_changed_meta(old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = meta::check(NameRule::PathSegment, new);
    let changes = meta::check_change(old, new);
    causes.extend(changes.iter().cloned());
    causes.extend(changes);
    causes
}

fn refuse(resource: &Resource, value: &Value, causes: &[Cause]) -> ApiResult<()> {
    if causes.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(resource, text_at(value, &["metadata", "name"]), causes))
}

/// Checks a required name that is a DNS label.
fn check_label(field: &str, name: &str) -> Vec<Cause> {
    if name.is_empty() {
        return vec![Cause::required(field, "")];
    }
    Cause::all_invalid(field, name, &names::label(name))
}

/// Checks that a number has at least this value, if it is set.
fn check_minimum(field: &str, number: &Value, least: i64) -> Option<Cause> {
    let number = number.as_i64().filter(|number| *number < least)?;
    let bound = if least == 1 { "greater than 0" } else { "greater than or equal to 0" };
    Some(Cause::invalid(field, &number.to_string(), &format!("must be {bound}")))
}

/// Checks the number of a port.
fn check_port(field: &str, port: &Value) -> Option<Cause> {
    let number = port.as_i64().unwrap_or(0);
    let why = "must be between 1 and 65535, inclusive";
    (!(1..=65535).contains(&number)).then(|| Cause::invalid(field, &number.to_string(), why))
}

fn name_rule(resource: &Resource) -> NameRule {
    match resource {
        // Since 1.36 a Service's name may start with a digit (`RelaxedServiceNameValidation`).
        r if r == NAMESPACES || r == SERVICES => NameRule::Label,
        r if r.group == "rbac.authorization.k8s.io" => NameRule::PathSegment,
        _ => NameRule::Subdomain,
    }
}
