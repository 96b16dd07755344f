//! `DELETE`: of one object and of a collection.

use std::sync::Arc;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Reply, Request, list};
use crate::clock::{Clock, stamp};
use crate::resource::{NAMESPACES, PODS};
use crate::route::Target;
use crate::shared::{Shared, State};
use crate::status::{ApiError, ApiResult};
use crate::store::{Object, text_at};

/// How an object is to be deleted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deletion {
    /// Seconds; `None` leaves it to the object.
    pub grace: Option<i64>,
    uid: Option<String>,
    version: Option<String>,
    dry_run: bool,
}

/// `DELETE` of one object.
pub(super) fn delete(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let deletion = Deletion::of(request)?;
    let mut state = shared.state();
    let found = state.store.get(target.resource, target.space(), target.named()).cloned();
    let old = found.ok_or_else(|| ApiError::not_found(target.resource, target.named()))?;
    deletion.check(&old)?;
    let object =
        if deletion.dry_run { old } else { delete_object(&mut state, &shared.clock, &old, deletion.grace) };
    drop(state);
    Ok(Reply::object(StatusCode::OK, target.resource, &object, request, shared))
}

/// `DELETE` of a collection; the answer lists what was selected, as it was before.
pub(super) fn delete_collection(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let deletion = Deletion::of(request)?;
    let selection = list::Selection::of(target, &request.query)?;
    let mut state = shared.state();
    let selected: Vec<_> = selection.pick(&state.store, target).cloned().collect();
    if !deletion.dry_run {
        for old in &selected {
            delete_object(&mut state, &shared.clock, old, deletion.grace);
        }
    }
    let version = state.store.version();
    drop(state);
    Ok(list::render(shared, target, &selected, version, None, request))
}

/// Deletes as the kind has it: at once, after its grace period, or when its last finalizer goes. Returns what the
/// caller of the API gets to see.
pub(crate) fn delete_object(
    state: &mut State,
    clock: &Clock,
    old: &Arc<Object>,
    grace: Option<i64>,
) -> Arc<Object> {
    let now = clock.now();
    let held = old.value["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    let existing = old.value["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    let (until, grace) = match (old.resource, old.terminating()) {
        (r, false) if r == PODS => {
            let grace = pod_grace(&old.value, grace);
            (now.saturating_add(SignedDuration::from_secs(grace)).unwrap_or(now), grace)
        }
        // What is dying already can only be made to die sooner.
        (r, true) if r == PODS && grace.is_some_and(|grace| grace < existing) => {
            let grace = grace.unwrap_or(0).max(0);
            let until: Timestamp =
                text_at(&old.value, &["metadata", "deletionTimestamp"]).parse().unwrap_or(now);
            let sooner = until.saturating_sub(SignedDuration::from_secs(existing - grace)).unwrap_or(now);
            (sooner.max(now), grace)
        }
        (_, true) => return Arc::clone(old),
        (r, false) if r == NAMESPACES || held => (now, 0),
        (_, false) => {
            return state
                .remove(old.resource, old.namespace(), old.name())
                .unwrap_or_else(|| Arc::clone(old));
        }
    };
    let marked = state.store.put(old.resource, mark(old, until, grace));
    if old.resource == PODS && grace == 0 && !held {
        state.remove(PODS, old.namespace(), old.name());
    }
    marked
}

/// The object with its deletion noted.
fn mark(old: &Object, until: Timestamp, grace: i64) -> Value {
    let mut value = old.value.clone();
    let meta = &mut value["metadata"];
    meta["deletionTimestamp"] = stamp(until).into();
    if old.resource == NAMESPACES {
        value["status"]["phase"] = "Terminating".into();
        return value;
    }
    meta["deletionGracePeriodSeconds"] = grace.into();
    if old.resource.generation && !old.terminating() {
        let generation = meta["generation"].as_i64().unwrap_or(1);
        meta["generation"] = (generation + 1).into();
    }
    value
}

/// Seconds a Pod gets to stop: none if it never started or has ended.
fn pod_grace(pod: &Value, asked: Option<i64>) -> i64 {
    let ended = matches!(text_at(pod, &["status", "phase"]), "Succeeded" | "Failed");
    if ended || text_at(pod, &["spec", "nodeName"]).is_empty() {
        return 0;
    }
    let own = pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    // A negative period stands for one second.
    match asked.unwrap_or(own) {
        negative if negative < 0 => 1,
        seconds => seconds,
    }
}

// === impl Deletion ===

impl Deletion {
    fn of(request: &Request) -> ApiResult<Self> {
        let body: Value = if request.body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&request.body)
                .map_err(|error| ApiError::bad_request(format!("the delete options are no JSON: {error}")))?
        };
        let text = |path: &[&str]| Some(text_at(&body, path)).filter(|t| !t.is_empty()).map(str::to_owned);
        Ok(Self {
            grace: body["gracePeriodSeconds"].as_i64().or_else(|| request.query.number("gracePeriodSeconds")),
            uid: text(&["preconditions", "uid"]),
            version: text(&["preconditions", "resourceVersion"]),
            dry_run: request.query.get("dryRun").is_some()
                || body["dryRun"].as_array().is_some_and(|list| !list.is_empty()),
        })
    }

    fn check(&self, old: &Object) -> ApiResult<()> {
        let refuse = |what, wanted: &str, found: &str| {
            Err(ApiError::precondition(old.resource, old.name(), what, wanted, found))
        };
        if let Some(uid) = self.uid.as_deref().filter(|uid| *uid != old.uid()) {
            return refuse("UID", uid, old.uid());
        }
        let version = old.version.to_string();
        if let Some(wanted) = self.version.as_deref().filter(|wanted| *wanted != version) {
            return refuse("ResourceVersion", wanted, &version);
        }
        Ok(())
    }
}
