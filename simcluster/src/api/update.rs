//! `PUT` and `PATCH`: changes of objects and of their status.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use super::{create, decode, options, service_ports, writer};
use crate::access;
use crate::defaults;
use crate::ownership::{self, Applied};
use crate::patch::PatchKind;
use crate::reply::Reply;
use crate::request::Request;
use crate::resource::{
    CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ENDPOINTS, EVENTS, LEASES, NAMESPACES, ROLE_BINDINGS, ROLES,
    Resource, SERVICE_ACCOUNTS, SERVICES, Sub,
};
use crate::route::Target;
use crate::shared::{Shared, State};
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::{Object, text_at};
use crate::{validate, view};

/// Kinds that a `PUT` creates where there is none (`AllowCreateOnUpdate`).
const CREATED_BY_PUT: [&Resource; 7] =
    [EVENTS, ENDPOINTS, LEASES, ROLES, ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS];
/// Kinds that a `PUT` changes only if it says from which version on (no `AllowUnconditionalUpdate`).
const NEEDS_VERSION: [&Resource; 2] = [LEASES, SERVICE_ACCOUNTS];
const PATCH_TYPES: &str = "application/json-patch+json, application/merge-patch+json, \
     application/strategic-merge-patch+json, application/apply-patch+yaml";

/// What a change came from.
enum Change<'a> {
    /// The whole object, by `PUT`.
    Replace(Value),
    /// The object after a patch.
    Patch(Value),
    /// The object after an apply, with what was applied.
    Apply(Value, &'a Value),
}

/// `PUT`.
pub(super) fn replace(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let decoded = decode::decode(target.resource, request)?;
    check_place(&decoded.value, target)?;
    let value = view::stored(target.resource, decoded.value);
    let mut state = shared.state();
    let resource = target.resource.stored();
    let (status, object) = match find(&state, target) {
        Ok(old) => {
            (StatusCode::OK, change(&mut state, target, &old, Change::Replace(value), request, shared)?)
        }
        Err(_) if target.sub.is_none() && CREATED_BY_PUT.contains(&resource) => {
            let new = create::New {
                resource,
                namespace: target.space(),
                value,
                writer: &writer::of(shared, target, request),
                user: &request.user,
                dry_run: options::is_dry_run(&request.query),
            };
            (StatusCode::CREATED, create::create_object(&mut state, shared, new)?)
        }
        Err(missing) => return Err(missing),
    };
    drop(state);
    Ok(Reply::object(status, target.resource, &object, request, shared).with_warnings(decoded.warnings))
}

/// `PATCH`.
pub(super) fn patch(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let kind =
        PatchKind::of(&request.content_type).ok_or_else(|| ApiError::unsupported_media(PATCH_TYPES))?;
    if kind == PatchKind::Apply {
        return apply(shared, target, request);
    }
    let patch: Value = serde_json::from_slice(&request.body)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    let mut state = shared.state();
    let old = find(&state, target)?;
    let shown = view::of(target.resource, &old);
    let patched = kind.apply(target.resource, &shown.as_ref().unwrap_or(&old).full_value(), &patch)?;
    let decoded = decode::check(target.resource, patched, request.query.get("fieldValidation"))?;
    let value = view::stored(target.resource, decoded.value);
    let object = change(&mut state, target, &old, Change::Patch(value), request, shared)?;
    drop(state);
    let reply = Reply::object(StatusCode::OK, target.resource, &object, request, shared);
    Ok(reply.with_warnings(decoded.warnings))
}

/// Server-side apply.
fn apply(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let config = options::parse(request)?
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error:?}")))?;
    if config["metadata"]["managedFields"].as_array().is_some_and(|list| !list.is_empty()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let decoded = decode::check(target.resource, config, request.query.get("fieldValidation"))?;
    check_place(&decoded.value, target)?;
    let mut config = view::stored(target.resource, decoded.value);
    if !target.status() {
        drop(config.as_object_mut().and_then(|fields| fields.remove("status")));
    }
    let writer = writer::of(shared, target, request);
    let mut state = shared.state();
    let (status, object) = match find(&state, target) {
        Err(missing) if target.sub.is_some() => return Err(missing),
        Err(_) => {
            let new = create::New {
                resource: target.resource.stored(),
                namespace: target.space(),
                value: config,
                writer: &writer,
                user: &request.user,
                dry_run: options::is_dry_run(&request.query),
            };
            (StatusCode::CREATED, create::create_object(&mut state, shared, new)?)
        }
        Ok(old) => {
            let Some(kind) = ownership::kind_of(old.resource) else {
                return Err(ApiError::unsupported_media(PATCH_TYPES));
            };
            let force = request.query.is_on("force");
            let merged = match ownership::apply(&old.value, &config, kind, &writer, force) {
                Applied::Done(merged) => merged,
                Applied::Conflicts(message, causes) => {
                    return Err(ApiError::apply_conflict(message, &causes));
                }
            };
            let how = Change::Apply(merged, &config);
            (StatusCode::OK, change(&mut state, target, &old, how, request, shared)?)
        }
    };
    drop(state);
    Ok(Reply::object(status, target.resource, &object, request, shared).with_warnings(decoded.warnings))
}

fn find(state: &State, target: &Target) -> ApiResult<Arc<Object>> {
    let resource = target.resource.stored();
    let found = state.store.get(resource, target.space(), target.named());
    found.cloned().ok_or_else(|| ApiError::not_found(resource, target.named()))
}

/// The object must be the one that the path names.
fn check_place(value: &Value, target: &Target) -> ApiResult<()> {
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

/// Checks a change against the object it is about and carries it out.
fn change(
    state: &mut State,
    target: &Target,
    old: &Arc<Object>,
    how: Change<'_>,
    request: &Request,
    shared: &Shared,
) -> ApiResult<Arc<Object>> {
    let resource = old.resource;
    check_version(&how, old)?;
    let config = match &how {
        Change::Apply(_, config) => Some(*config),
        Change::Replace(_) | Change::Patch(_) => None,
    };
    let (Change::Replace(mut new) | Change::Patch(mut new) | Change::Apply(mut new, _)) = how;
    keep_system_fields(&old.value, &mut new);
    create::drop_empty(&mut new);
    keep_what_is_not_meant(target, &old.value, &mut new);
    if target.sub.is_none() {
        defaults::changed_object(resource, &mut new);
        if resource == SERVICES {
            service_ports::reallocate(state, &old.value, &mut new)?;
        }
    }
    access::guard_rights(shared, state, &request.user, resource, Some(&old.value), &new)?;
    match target.sub {
        Some(_) => validate::changed_meta(resource, &old.value, &new)?,
        None => validate::changed_object(resource, &old.value, &new)?,
    }
    if let Some(kind) = ownership::kind_of(resource) {
        let writer = writer::of(shared, target, request);
        match config {
            Some(config) => ownership::enter_apply(&old.value, &mut new, config, kind, &writer),
            None if without_entries(&new) == without_entries(&old.value) => new = old.value.clone(),
            None => ownership::update(&old.value, &mut new, kind, &writer),
        }
    }
    if options::is_dry_run(&request.query) {
        return Ok(Arc::new(Object::new(resource, old.version, new)));
    }
    if target.sub == Some(Sub::Finalize) && old.terminating() && is_final(&new) {
        state.remove(resource, old.namespace(), old.name());
        return Ok(Arc::new(Object::new(resource, old.version, new)));
    }
    Ok(commit(state, old, new))
}

/// A version or a uid that the change names must be the object's.
fn check_version(how: &Change<'_>, old: &Object) -> ApiResult<()> {
    let (Change::Replace(new) | Change::Patch(new) | Change::Apply(new, _)) = how;
    let (resource, name) = (old.resource, old.name());
    let version = text_at(new, &["metadata", "resourceVersion"]);
    let unversioned = matches!(version, "" | "0");
    if !unversioned && version != old.version.to_string() {
        return Err(ApiError::modified(resource, name));
    }
    if let Change::Replace(_) = how {
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

/// Of an object below which something is meant, only that changes; of the object itself, not the status.
fn keep_what_is_not_meant(target: &Target, old: &Value, new: &mut Value) {
    let keep = |new: &mut Value, key: &str| match old.get(key) {
        Some(value) => new[key] = value.clone(),
        None => drop(new.as_object_mut().map(|fields| fields.remove(key))),
    };
    match target.sub {
        Some(Sub::Status) => {
            keep(new, "spec");
            if let Some(owners) = old["metadata"].get("ownerReferences") {
                new["metadata"]["ownerReferences"] = owners.clone();
            }
        }
        Some(Sub::EphemeralContainers) => {
            let containers = new["spec"].get("ephemeralContainers").cloned();
            *new = old.clone();
            if let Some(containers) = containers {
                new["spec"]["ephemeralContainers"] = containers;
            }
        }
        Some(Sub::Resize) => resize(old, new),
        Some(Sub::Finalize) => {
            let finalizers = new["spec"].get("finalizers").cloned();
            *new = old.clone();
            new["spec"] = Value::Object(Map::new());
            if let Some(finalizers) = finalizers {
                new["spec"]["finalizers"] = finalizers;
            }
        }
        _ => {
            keep(new, "status");
            if target.resource == NAMESPACES {
                keep(new, "spec");
            }
        }
    }
}

/// The old Pod with the resources of the new one's containers.
fn resize(old: &Value, new: &mut Value) {
    let wanted = std::mem::replace(new, old.clone());
    for container in new["spec"]["containers"].as_array_mut().into_iter().flatten() {
        let same = |other: &&Value| other["name"] == container["name"];
        let list = wanted["spec"]["containers"].as_array().into_iter().flatten();
        if let Some(resources) = list.clone().find(same).and_then(|other| other.get("resources")) {
            container["resources"] = resources.clone();
        }
    }
}

/// Whether nothing holds a namespace any longer.
fn is_final(namespace: &Value) -> bool {
    let held = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    !held(&namespace["spec"]["finalizers"]) && !held(&namespace["metadata"]["finalizers"])
}

fn without_entries(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(meta) = value["metadata"].as_object_mut() {
        meta.remove("managedFields");
    }
    value
}

/// Puts back what only the server writes.
fn keep_system_fields(old: &Value, new: &mut Value) {
    if !new["metadata"].is_object() {
        new["metadata"] = Value::Object(Map::new());
    }
    let (before, Some(meta)) = (&old["metadata"], new["metadata"].as_object_mut()) else { return };
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
        match before.get(key) {
            Some(value) => drop(meta.insert(key.to_owned(), value.clone())),
            None => drop(meta.remove(key)),
        }
    }
    for key in ["uid", "namespace"] {
        if let Some(value) = before.get(key).filter(|_| !meta.contains_key(key)) {
            meta.insert(key.to_owned(), value.clone());
        }
    }
}

/// Stores a change: nothing at all if nothing changed; a removal if it takes the last finalizer off a dying object.
pub(crate) fn commit(state: &mut State, old: &Arc<Object>, mut new: Value) -> Arc<Object> {
    if new == old.value {
        return Arc::clone(old);
    }
    if old.resource.generation && new["spec"] != old.value["spec"] {
        let generation = old.value["metadata"]["generation"].as_i64().unwrap_or(1) + 1;
        new["metadata"]["generation"] = generation.into();
    }
    let meta = &new["metadata"];
    let held = meta["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    let grace = meta["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    let was_held = old.value["metadata"]["finalizers"].is_array();
    if old.terminating() && was_held && !held && grace == 0 {
        state.remove(old.resource, old.namespace(), old.name());
        // The answer shows the object as it would have been, under the version it had.
        return Arc::new(Object::new(old.resource, old.version, new));
    }
    state.store.put(old.resource, new)
}
