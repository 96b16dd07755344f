//! `POST`: a new object, in the order the real server does it, so that of several faults the same one is reported.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::{decode, options, quota, service_ports, writer};
use crate::access;
use crate::access::user::User;
use crate::defaults;
use crate::ownership::{self, Writer};
use crate::reply::Reply;
use crate::request::Request;
use crate::resource::{NAMESPACES, NEW_EVENTS, PODS, Resource, SERVICES};
use crate::route::Target;
use crate::shared::{Shared, State};
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::{Object, text_at};
use crate::{validate, view};

/// How much of a `generateName` is kept, in bytes: a DNS label less the five characters that follow.
const MAX_PREFIX: usize = 63 - 5;

/// An object that is to be created.
#[derive(Debug)]
pub(super) struct New<'a> {
    pub resource: &'static Resource,
    /// Empty for cluster-wide kinds.
    pub namespace: &'a str,
    pub value: Value,
    pub writer: &'a Writer,
    pub user: &'a User,
    pub dry_run: bool,
}

pub(super) fn create(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let decoded = decode::decode(target.resource, request)?;
    let value = view::stored(target.resource, decoded.value);
    let new = New {
        resource: target.resource.stored(),
        namespace: target.space(),
        value,
        writer: &writer::of(shared, target, request),
        user: &request.user,
        dry_run: options::is_dry_run(&request.query),
    };
    if target.resource == NEW_EVENTS {
        validate::new_event(&new.value)?;
    }
    let object = create_object(&mut shared.state(), shared, new)?;
    let warnings = decoded.warnings.into_iter().chain(warnings(&object)).collect();
    let reply = Reply::object(StatusCode::CREATED, target.resource, &object, request, shared);
    Ok(reply.with_warnings(warnings))
}

/// Creates an object.
pub(super) fn create_object(state: &mut State, shared: &Shared, new: New<'_>) -> ApiResult<Arc<Object>> {
    let New { resource, namespace, mut value, writer, user, dry_run } = new;
    let asked_for = text_at(&value, &["metadata", "name"]).to_owned();
    admit_namespace(state, resource, namespace, &asked_for)?;
    let versioned = !matches!(text_at(&value, &["metadata", "resourceVersion"]), "" | "0");
    let config = value.clone();
    fill_metadata(state, resource, namespace, &mut value, shared.clock.stamp())?;
    defaults::new_object(resource, &mut value, &mut state.random);
    enter(&config, &mut value, resource, writer);
    let name = text_at(&value, &["metadata", "name"]).to_owned();
    if resource == SERVICES {
        service_ports::allocate(state, &mut value)?;
    }
    // Whatever refuses from here on must give back what was allocated.
    let admitted = access::guard_rights(shared, state, user, resource, None, &value)
        .and_then(|()| validate::new_object(resource, &value))
        .and_then(|()| access::admit_account(&state.store, resource, &value))
        .and_then(|()| quota::admit(&state.store, resource, &value))
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
    if resource == SERVICES && (admitted.is_err() || dry_run) {
        state.release(&value);
    }
    admitted?;
    if dry_run {
        return Ok(Arc::new(Object::new(resource, 0, value)));
    }
    Ok(state.store.put(resource, value))
}

/// Enters the creation: an applier owns what it asked for, anybody else all that came of it but the status.
fn enter(config: &Value, value: &mut Value, resource: &Resource, writer: &Writer) {
    let Some(kind) = ownership::kind_of(resource) else { return };
    if writer.apply {
        ownership::enter_apply(&json!({}), value, config, kind, writer);
        return;
    }
    let status = value.as_object_mut().and_then(|fields| fields.remove("status"));
    ownership::update(&json!({}), value, kind, writer);
    if let Some(status) = status {
        value["status"] = status;
    }
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

/// A generated name. Long prefixes are cut so that the name is a DNS label.
fn generated(prefix: &str, suffix: &str) -> String {
    let end = prefix.floor_char_boundary(MAX_PREFIX);
    format!("{}{suffix}", &prefix[..end])
}

/// Removes empty maps and lists from metadata, which the real server never writes.
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

/// What the client is to be told about a new object.
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
