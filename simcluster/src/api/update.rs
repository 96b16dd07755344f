//! `PUT` and `PATCH` of objects and of their subresources.

use http::StatusCode;
use serde_json::{Map, Value};

#[cfg(feature = "kubectl")]
use super::{apply, managed_fields};
use super::{create, decode, options, quota, resize, service_ports, storage_class};
#[cfg(feature = "rbac")]
use crate::access;
use crate::defaults;
use crate::fields::items;
use crate::patch::PatchKind;
use crate::reply::Reply;
use crate::request::Request;
use crate::resource::{
    CLAIMS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ENDPOINTS, EVENTS, LEASES, NAMESPACES, ROLE_BINDINGS,
    ROLES, Resource, SERVICE_ACCOUNTS, SERVICES, Sub,
};
use crate::route::Target;
use crate::shared::{Shared, State};
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::{Object, copy_field, text_at};
use crate::{validate, view};

/// Kinds that a `PUT` creates if the object does not exist (`AllowCreateOnUpdate`).
const CREATED_BY_PUT: [&Resource; 7] =
    [EVENTS, ENDPOINTS, LEASES, ROLES, ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS];
/// Kinds for which a `PUT` needs a `resourceVersion` (no `AllowUnconditionalUpdate`).
const NEEDS_VERSION: [&Resource; 2] = [LEASES, SERVICE_ACCOUNTS];

/// The kind of update.
pub(super) enum Origin {
    Replace,
    Patch,
    /// A server-side apply of this configuration.
    #[cfg(feature = "kubectl")]
    Apply(Value),
}

pub(super) fn replace(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let decoded = decode::decode(target.resource, request)?;
    check_name_and_namespace(&decoded.value, target)?;
    let value = view::stored(target.resource, decoded.value);
    let mut state = shared.state();
    let resource = target.resource.stored();
    let (status, object) = match find(&state, target) {
        Ok(old) => {
            let object = change(&mut state, shared, target, request, &old, value, &Origin::Replace)?;
            (StatusCode::OK, object)
        }
        Err(_) if target.sub.is_none() && CREATED_BY_PUT.contains(&resource) => {
            (StatusCode::CREATED, create::create_object(&mut state, shared, target, request, value)?)
        }
        Err(missing) => return Err(missing),
    };
    drop(state);
    Ok(Reply::object(status, target.resource, &object, request, shared).with_warnings(decoded.warnings))
}

pub(super) fn patch(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let kind = PatchKind::of(&request.content_type)?;
    #[cfg(feature = "kubectl")]
    if kind == PatchKind::Apply {
        return apply::apply(shared, target, request);
    }
    let patch: Value = serde_json::from_slice(&request.body)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    let mut state = shared.state();
    let old = find(&state, target)?;
    let shown = view::of(target.resource, &old);
    let patched = kind.apply(target.resource, &shown.as_ref().unwrap_or(&old).full_value(), &patch)?;
    let decoded = decode::check(target.resource, patched, request.query.get("fieldValidation"))?;
    let value = view::stored(target.resource, decoded.value);
    let object = change(&mut state, shared, target, request, &old, value, &Origin::Patch)?;
    drop(state);
    let reply = Reply::object(StatusCode::OK, target.resource, &object, request, shared);
    Ok(reply.with_warnings(decoded.warnings))
}

pub(super) fn find(state: &State, target: &Target) -> ApiResult<Object> {
    let resource = target.resource.stored();
    let found = state.store.get(resource, target.space(), target.named());
    found.ok_or_else(|| ApiError::not_found(resource, target.named()))
}

/// Checks that the object's name and namespace are those of the path.
pub(super) fn check_name_and_namespace(value: &Value, target: &Target) -> ApiResult<()> {
    let (name, namespace) =
        (text_at(value, &["metadata", "name"]), text_at(value, &["metadata", "namespace"]));
    if name.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            target.named()
        )));
    }
    if name != target.named() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.named()
        )));
    }
    if target.resource.namespaced && !namespace.is_empty() && namespace != target.space() {
        return Err(ApiError::bad_request(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the request ({})",
            target.space()
        )));
    }
    Ok(())
}

/// Validates the new state of an object against the old state and stores it.
pub(super) fn change(
    state: &mut State,
    shared: &Shared,
    target: &Target,
    request: &Request,
    old: &Object,
    mut new: Value,
    origin: &Origin,
) -> ApiResult<Object> {
    let resource = old.resource;
    check_version(&new, origin, old)?;
    keep_system_fields(old.value(), &mut new);
    create::drop_empty(&mut new);
    if target.sub == Some(Sub::Resize) {
        defaults::changed_object(resource, &mut new);
    }
    restore_unaffected_parts(target, old.value(), &mut new);
    if target.sub.is_none() {
        defaults::changed_object(resource, &mut new);
        if resource == SERVICES {
            service_ports::reallocate(state, old.value(), &mut new)?;
        }
    }
    #[cfg(feature = "rbac")]
    access::guard_rights(shared, state, &request.user, resource, Some(old.value()), &new)?;
    match target.sub {
        Some(Sub::Resize) => {
            validate::resized_pod(old.value(), &new)?;
            resize::admit(&state.store, shared.options.resize, old, &new)?;
            quota::admit(&state.store, resource, &new, Some(old.value()))?;
        }
        Some(_) => validate::changed_meta(resource, old.value(), &new)?,
        None => validate::changed_object(resource, old.value(), &new)?,
    }
    if resource == CLAIMS && target.sub.is_none() {
        storage_class::admit_growth(&state.store, old, &new)?;
        quota::admit(&state.store, resource, &new, Some(old.value()))?;
    }
    #[cfg(feature = "kubectl")]
    {
        let writer = managed_fields::writer(shared, target, request);
        let config = if let Origin::Apply(config) = origin { Some(config) } else { None };
        managed_fields::changed(old.value(), &mut new, config, &writer, target);
    }
    if options::is_dry_run(&request.query) {
        return Ok(Object::new(resource, old.version, new));
    }
    if target.sub == Some(Sub::Finalize) && old.terminating() && is_final(&new) {
        state.remove(resource, old.namespace(), old.name());
        return Ok(Object::new(resource, old.version, new));
    }
    Ok(commit(state, old, new))
}

/// Checks that a version or a uid in the new state is the object's.
fn check_version(new: &Value, origin: &Origin, old: &Object) -> ApiResult<()> {
    let (resource, name) = (old.resource, old.name());
    let version = text_at(new, &["metadata", "resourceVersion"]);
    let unversioned = matches!(version, "" | "0");
    if !unversioned && version != old.version.to_string() {
        return Err(ApiError::modified(resource, name));
    }
    if let Origin::Replace = origin {
        if unversioned && NEEDS_VERSION.contains(&resource) {
            let cause = Cause::invalid("metadata.resourceVersion", "0", "must be specified for an update");
            return Err(ApiError::invalid_kind(resource.group, resource.plural, name, &[cause]));
        }
        let uid = text_at(new, &["metadata", "uid"]);
        if !uid.is_empty() && uid != old.uid() {
            return Err(ApiError::other_uid(resource, old.namespace(), name, uid, old.uid()));
        }
    }
    Ok(())
}

/// Restores the parts that the request cannot change: the status, or for a subresource everything else.
fn restore_unaffected_parts(target: &Target, old: &Value, new: &mut Value) {
    match target.sub {
        Some(Sub::Status) => {
            copy_field(old, new, "spec");
            if let Some(owners) = old["metadata"].get("ownerReferences") {
                new["metadata"]["ownerReferences"] = owners.clone();
            }
        }
        Some(Sub::EphemeralContainers) => {
            let wanted = std::mem::replace(new, old.clone());
            if let Some(containers) = wanted["spec"].get("ephemeralContainers") {
                new["spec"]["ephemeralContainers"] = containers.clone();
            }
        }
        Some(Sub::Resize) => resize::restore(old, new),
        Some(Sub::Finalize) => {
            let wanted = std::mem::replace(new, old.clone());
            new["spec"] = Value::Object(Map::new());
            copy_field(&wanted["spec"], &mut new["spec"], "finalizers");
        }
        _ => {
            copy_field(old, new, "status");
            if target.resource == NAMESPACES {
                copy_field(old, new, "spec");
            }
        }
    }
}

/// Returns whether a namespace has no finalizers left.
fn is_final(namespace: &Value) -> bool {
    ["spec", "metadata"].into_iter().all(|part| items(&namespace[part]["finalizers"]).next().is_none())
}

/// Restores the fields that only the server writes.
fn keep_system_fields(old: &Value, new: &mut Value) {
    if !new["metadata"].is_object() {
        new["metadata"] = Value::Object(Map::new());
    }
    let (before, meta) = (&old["metadata"], &mut new["metadata"]);
    for key in [
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
        "generateName",
        "managedFields",
        "selfLink",
    ] {
        copy_field(before, meta, key);
    }
    for key in ["uid", "namespace"] {
        if meta.get(key).is_none() {
            copy_field(before, meta, key);
        }
    }
}

/// Stores a change. Skips the write if nothing changed; removes a terminating object without finalizers.
pub(crate) fn commit(state: &mut State, old: &Object, mut new: Value) -> Object {
    if new == *old.value() {
        return old.clone();
    }
    if old.resource.generation && new["spec"] != old.value()["spec"] {
        let generation = old.value()["metadata"]["generation"].as_i64().unwrap_or(1) + 1;
        new["metadata"]["generation"] = generation.into();
    }
    let meta = &new["metadata"];
    let held = items(&meta["finalizers"]).next().is_some();
    let grace = meta["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    let was_held = old.value()["metadata"]["finalizers"].is_array();
    if old.terminating() && was_held && !held && grace == 0 {
        state.remove(old.resource, old.namespace(), old.name());
        // The response shows the object with its last change, under the version it had.
        return Object::new(old.resource, old.version, new);
    }
    state.store.put(old.resource, new)
}
