//! `PUT` and `PATCH`: changes of objects and of their status.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use super::{Reply, Request, create, decode, service_ports};
use crate::defaults;
use crate::patch::PatchKind;
use crate::resource::SERVICES;
use crate::route::Target;
use crate::shared::{Shared, State};
use crate::status::{ApiError, ApiResult};
use crate::store::{Object, text_at};
use crate::validate;

const PATCH_TYPES: &str = "application/json-patch+json, application/merge-patch+json, \
     application/strategic-merge-patch+json, application/apply-patch+yaml";

/// `PUT`.
pub(super) fn replace(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let decoded = decode::decode(target.resource, request)?;
    let name = text_at(&decoded.value, &["metadata", "name"]);
    if name != target.named() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.named()
        )));
    }
    let mut state = shared.state();
    let old = find(&state, target)?;
    let object = change(&mut state, target, &old, decoded.value, request)?;
    drop(state);
    Ok(Reply::object(StatusCode::OK, target.resource, &object, request, shared)
        .with_warnings(decoded.warnings))
}

/// `PATCH`.
pub(super) fn patch(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let kind = PatchKind::of(&request.content_type)
        .ok_or_else(|| ApiError::unsupported_media(&request.content_type, PATCH_TYPES))?;
    let patch: Value = serde_json::from_slice(&request.body)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    let mut state = shared.state();
    if kind == PatchKind::Apply && state.store.get(target.resource, target.space(), target.named()).is_none()
    {
        drop(state);
        let decoded = decode::check(target.resource, patch, request.query.get("fieldValidation"))?;
        let dry_run = request.query.get("dryRun").is_some();
        let object = create::create_object(shared, target.resource, target.space(), decoded.value, dry_run)?;
        return Ok(Reply::object(StatusCode::CREATED, target.resource, &object, request, shared));
    }
    let old = find(&state, target)?;
    let patched = kind.apply(target.resource, &old.full_value(), &patch)?;
    let decoded = decode::check(target.resource, patched, request.query.get("fieldValidation"))?;
    let object = change(&mut state, target, &old, decoded.value, request)?;
    drop(state);
    Ok(Reply::object(StatusCode::OK, target.resource, &object, request, shared)
        .with_warnings(decoded.warnings))
}

fn find(state: &State, target: &Target) -> ApiResult<Arc<Object>> {
    let found = state.store.get(target.resource, target.space(), target.named());
    found.cloned().ok_or_else(|| ApiError::not_found(target.resource, target.named()))
}

/// Checks a change against the object it is about and carries it out.
fn change(
    state: &mut State,
    target: &Target,
    old: &Arc<Object>,
    mut new: Value,
    request: &Request,
) -> ApiResult<Arc<Object>> {
    let resource = target.resource;
    let name = old.name();
    let version = text_at(&new, &["metadata", "resourceVersion"]);
    if !version.is_empty() && version != old.version.to_string() {
        return Err(ApiError::modified(resource, name));
    }
    let uid = text_at(&new, &["metadata", "uid"]);
    if !uid.is_empty() && uid != old.uid() {
        return Err(ApiError::precondition(resource, name, "UID", uid, old.uid()));
    }
    if target.status() {
        // Only the status counts; the rest stays as it is.
        let status = new.get_mut("status").map(Value::take).unwrap_or_default();
        new = old.value.clone();
        new["status"] = status;
    } else {
        keep_system_fields(&old.value, &mut new);
        create::drop_empty(&mut new);
        defaults::changed_object(resource, &mut new);
        if resource == SERVICES {
            service_ports::reallocate(state, &old.value, &mut new)?;
        }
        validate::changed_object(resource, &old.value, &new)?;
    }
    if request.query.get("dryRun").is_some() {
        return Ok(Arc::new(Object::new(resource, old.version, new)));
    }
    Ok(commit(state, old, new))
}

/// Puts back what only the server writes.
fn keep_system_fields(old: &Value, new: &mut Value) {
    if !new["metadata"].is_object() {
        new["metadata"] = Value::Object(Map::new());
    }
    let (before, Some(meta)) = (&old["metadata"], new["metadata"].as_object_mut()) else { return };
    meta.remove("managedFields");
    for key in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
        "generateName",
    ] {
        match before.get(key) {
            Some(value) => drop(meta.insert(key.to_owned(), value.clone())),
            None => drop(meta.remove(key)),
        }
    }
    match old.get("status") {
        Some(status) => new["status"] = status.clone(),
        None => drop(new.as_object_mut().map(|fields| fields.remove("status"))),
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
