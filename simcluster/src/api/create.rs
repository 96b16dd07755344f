//! `POST`: creates an object. The order of the checks is the real server's, because the first error is reported.

use http::StatusCode;
use serde_json::{Value, json};

#[cfg(feature = "kubectl")]
use super::managed_fields;
use super::{
    decode, options, pod_classes, pod_security, quota, service_account, service_ports, storage_class,
};
#[cfg(feature = "rbac")]
use crate::access;
use crate::defaults;
use crate::reply::Reply;
use crate::request::Request;
use crate::resource::{CLAIMS, NAMESPACES, NEW_EVENTS, PODS, Resource, SERVICES};
use crate::route::Target;
use crate::shared::{Shared, State};
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::{Object, text_at};
use crate::{validate, view};

/// The maximum length of the prefix of a generated name, in bytes: a DNS label without the five random characters.
const MAX_PREFIX: usize = 63 - 5;

pub(super) fn create(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let decoded = decode::decode(target.resource, request)?;
    let value = view::stored(target.resource, decoded.value);
    if target.resource == NEW_EVENTS {
        validate::new_event(&value)?;
    }
    let mut state = shared.state();
    let object = create_object(&mut state, shared, target, request, value)?;
    let namespace = state.store.get(NAMESPACES, "", target.space());
    drop(state);
    let namespace = namespace.as_ref().map(Object::value);
    let insecure = pod_security::warning(namespace, object.resource, object.value());
    let warnings = decoded.warnings.into_iter().chain(warnings(&object)).chain(insecure).collect();
    let reply = Reply::object(StatusCode::CREATED, target.resource, &object, request, shared);
    Ok(reply.with_warnings(warnings))
}

/// Creates an object.
pub(super) fn create_object(
    state: &mut State,
    shared: &Shared,
    target: &Target,
    request: &Request,
    mut value: Value,
) -> ApiResult<Object> {
    let (resource, namespace) = (target.resource.stored(), target.space());
    let asked_for = text_at(&value, &["metadata", "name"]).to_owned();
    admit_namespace(state, resource, namespace, &asked_for)?;
    let versioned = !matches!(text_at(&value, &["metadata", "resourceVersion"]), "" | "0");
    #[cfg(feature = "kubectl")]
    let config = value.clone();
    fill_metadata(state, resource, namespace, &mut value, shared.clock.stamp())?;
    defaults::new_object(resource, &mut value, &mut state.random);
    pod_classes::admit(&state.store, resource, &mut value)?;
    if resource == CLAIMS {
        storage_class::set_class(&state.store, &mut value);
    }
    #[cfg(feature = "kubectl")]
    managed_fields::created(&config, &mut value, &managed_fields::writer(shared, target, request), target);
    let name = text_at(&value, &["metadata", "name"]).to_owned();
    #[cfg(feature = "rbac")]
    access::guard_rights(shared, state, &request.user, resource, None, &value)?;
    if resource == SERVICES {
        service_ports::allocate(state, &mut value)?;
    }
    // After an error, the allocated ports and addresses must be released.
    let admitted = validate::new_object(resource, &value)
        .and_then(|()| service_account::admit(&state.store, resource, &value))
        .and_then(|()| {
            let namespace = state.store.get(NAMESPACES, "", namespace);
            pod_security::admit(namespace.as_ref().map(Object::value), resource, &value)
        })
        .and_then(|()| quota::admit(&state.store, resource, &value, None))
        .and_then(|()| {
            if versioned {
                let why = "resourceVersion should not be set on objects to be created";
                return Err(ApiError::unexpected(why));
            }
            match state.store.get(resource, namespace, &name) {
                Some(there) => Err(ApiError::already_exists(resource, &name, there.terminating())),
                None => Ok(()),
            }
        });
    let dry_run = options::is_dry_run(&request.query);
    if resource == SERVICES && (admitted.is_err() || dry_run) {
        state.release(&value);
    }
    admitted?;
    if dry_run {
        return Ok(Object::new(resource, 0, value));
    }
    Ok(state.store.put(resource, value))
}

fn admit_namespace(state: &State, resource: &Resource, namespace: &str, name: &str) -> ApiResult<()> {
    if !resource.namespaced {
        return Ok(());
    }
    let Some(found) = state.store.get(NAMESPACES, "", namespace) else {
        return Err(ApiError::not_found(NAMESPACES, namespace));
    };
    if !found.terminating() {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut error = ApiError::forbidden(resource, name, &why);
    if let Some(details) = &mut error.details {
        details["causes"] = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
    }
    Err(error)
}

fn fill_metadata(
    state: &mut State,
    resource: &Resource,
    namespace: &str,
    value: &mut Value,
    stamp: String,
) -> ApiResult<()> {
    if !value["metadata"].is_object() {
        value["metadata"] = json!({});
    }
    let given = text_at(value, &["metadata", "namespace"]);
    if resource.namespaced && !given.is_empty() && given != namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let prefix = text_at(value, &["metadata", "generateName"]).to_owned();
    let Some(meta) = value["metadata"].as_object_mut() else {
        return Err(ApiError::invalid(resource, "", &[Cause::required("metadata", "")]));
    };
    for key in
        ["deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink", "resourceVersion"]
    {
        meta.remove(key);
    }
    if meta.get("name").and_then(Value::as_str).unwrap_or("").is_empty() && !prefix.is_empty() {
        meta.insert("name".to_owned(), generated(&prefix, &state.random.suffix()).into());
    }
    if resource.namespaced {
        meta.insert("namespace".to_owned(), namespace.into());
    }
    meta.insert("uid".to_owned(), state.random.uid().into());
    meta.insert("creationTimestamp".to_owned(), stamp.into());
    if resource.generation {
        meta.insert("generation".to_owned(), 1.into());
    } else {
        meta.remove("generation");
    }
    drop_empty(value);
    Ok(())
}

/// Generates a name. Truncates long prefixes so that the name is a DNS label.
fn generated(prefix: &str, suffix: &str) -> String {
    let end = prefix.floor_char_boundary(MAX_PREFIX);
    format!("{}{suffix}", &prefix[..end])
}

/// Removes empty maps and lists from metadata. The real server never writes them.
pub(super) fn drop_empty(value: &mut Value) {
    if let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.retain(|_, member| match member {
            Value::Object(fields) => !fields.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Null => false,
            _ => true,
        });
    }
}

/// Returns the warnings about a new object.
fn warnings(object: &Object) -> Option<String> {
    let wrong = validate::names::label(object.name());
    (object.resource == PODS && !wrong.is_empty()).then(|| {
        format!(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label \
             is recommended: [{}]",
            wrong.join(" ")
        )
    })
}
