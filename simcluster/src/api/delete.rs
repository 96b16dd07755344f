//! `DELETE` of an object and of a collection.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::update::find;
use super::{list, options};
use crate::clock::{Clock, stamp};
use crate::fields::{has_ended, items};
use crate::reply::Reply;
use crate::request::Request;
use crate::resource::{CLAIMS, NAMESPACES, PODS, QUOTAS, Resource, SERVICE_ACCOUNTS, SERVICES};
use crate::route::Target;
use crate::shared::{Shared, State};
use crate::status::{ApiError, ApiResult, named};
use crate::store::{Object, text_at};

/// The finalizer of an owner that waits until its dependents are deleted.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an owner that waits until no object refers to it.
pub(crate) const ORPHAN: &str = "orphan";

/// Kinds of which a delete returns the object. For the others it returns a `Status`.
const RETURNED: [&Resource; 5] = [PODS, SERVICES, QUOTAS, CLAIMS, SERVICE_ACCOUNTS];

/// The propagation policy for dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// The parameters of a deletion.
#[derive(Debug, Clone, Default)]
struct Deletion {
    /// The grace period in seconds; `None` is the object's own.
    grace: Option<i64>,
    uid: Option<String>,
    version: Option<String>,
    propagation: Option<Propagation>,
    /// Whether the deprecated `orphanDependents` is false. Then the response for a terminating object is 202.
    answers_accepted: bool,
    dry_run: bool,
}

/// The effect of a delete.
#[derive(Debug)]
enum Effect {
    /// The object is already terminating and its deadline does not change.
    None,
    /// The object is marked as terminating, until its grace period ends or its last finalizer is removed.
    Mark(Value),
    /// The object is marked and removed in one step. Watchers get both events.
    MarkAndRemove(Value),
    Remove,
}

/// Deletes one object.
pub(super) fn delete(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let deletion = Deletion::of(request)?;
    let mut state = shared.state();
    let resource = target.resource.stored();
    let old = find(&state, target)?;
    deletion.check(&old)?;
    let effect = decide(&old, &deletion, shared.clock.now());
    let gone = matches!(effect, Effect::Remove | Effect::MarkAndRemove(_));
    let object =
        if deletion.dry_run { dry_run_result(&old, effect) } else { apply(&mut state, &old, effect) };
    drop(state);
    if gone && !RETURNED.contains(&resource) {
        let mut details = named(resource, old.name());
        details["uid"] = old.uid().into();
        return Ok(Reply::success(StatusCode::OK, Some(details)));
    }
    let status = if deletion.answers_accepted && !gone { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(Reply::object(status, target.resource, &object, request, shared))
}

/// Deletes a collection. The response lists the selected objects in their former state.
pub(super) fn delete_collection(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let selection = list::Selection::of(target, &request.query)?;
    let deletion = Deletion::of(request)?;
    let mut state = shared.state();
    let limit = request.query.number::<usize>("limit").filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let selected: Vec<_> = selection.pick(&state.store, target).take(limit).collect();
    for old in &selected {
        deletion.check(old)?;
    }
    if !deletion.dry_run {
        for old in &selected {
            let effect = decide(old, &deletion, shared.clock.now());
            apply(&mut state, old, effect);
        }
    }
    let version = state.store.version();
    drop(state);
    Ok(list::render(shared, target, &selected, version, None, request))
}

/// Deletes an object at once, after its grace period, or after its last finalizer, depending on its kind. Returns the
/// object for the response.
pub(crate) fn delete_object(state: &mut State, clock: &Clock, old: &Object, grace: Option<i64>) -> Object {
    let effect = decide(old, &Deletion { grace, ..Deletion::default() }, clock.now());
    apply(state, old, effect)
}

/// Like [`delete_object`], but deletes the dependents first.
pub(crate) fn delete_after_dependents(state: &mut State, clock: &Clock, old: &Object) {
    let deletion = Deletion { propagation: Some(Propagation::Foreground), ..Deletion::default() };
    let effect = decide(old, &deletion, clock.now());
    apply(state, old, effect);
}

fn decide(old: &Object, deletion: &Deletion, now: Timestamp) -> Effect {
    let finalizers = finalizers_after(old, deletion.propagation);
    let held = !finalizers.is_empty();
    let existing = old.value()["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    let (until, grace) = match (old.resource, old.terminating()) {
        (r, false) if r == PODS => {
            let grace = pod_grace(old.value(), deletion.grace);
            (now.saturating_add(SignedDuration::from_secs(grace)).unwrap_or(now), grace)
        }
        // The grace period of a terminating object can only become shorter.
        (r, true) if r == PODS && deletion.grace.is_some_and(|grace| grace < existing) => {
            let grace = deletion.grace.unwrap_or(0).max(0);
            let until: Timestamp =
                text_at(old.value(), &["metadata", "deletionTimestamp"]).parse().unwrap_or(now);
            let sooner = until.saturating_sub(SignedDuration::from_secs(existing - grace)).unwrap_or(now);
            (sooner.max(now), grace)
        }
        (_, true) => return Effect::None,
        (r, false) if r == NAMESPACES || held => (now, 0),
        (_, false) => return Effect::Remove,
    };
    let mut marked = mark(old, until, grace);
    if old.resource != NAMESPACES || held {
        match marked["metadata"].as_object_mut() {
            Some(meta) if finalizers.is_empty() => drop(meta.remove("finalizers")),
            _ => marked["metadata"]["finalizers"] = finalizers.into(),
        }
    }
    if old.resource == PODS && grace == 0 && !held {
        Effect::MarkAndRemove(marked)
    } else {
        Effect::Mark(marked)
    }
}

fn apply(state: &mut State, old: &Object, effect: Effect) -> Object {
    match effect {
        Effect::None => old.clone(),
        Effect::Mark(value) => state.store.put(old.resource, value),
        Effect::MarkAndRemove(value) => {
            let marked = state.store.put(old.resource, value);
            state.remove(old.resource, old.namespace(), old.name());
            marked
        }
        Effect::Remove => {
            let gone = state.remove(old.resource, old.namespace(), old.name());
            gone.unwrap_or_else(|| old.clone())
        }
    }
}

/// Returns the result of a dry run.
fn dry_run_result(old: &Object, effect: Effect) -> Object {
    match effect {
        Effect::None | Effect::Remove => old.clone(),
        Effect::Mark(value) | Effect::MarkAndRemove(value) => Object::new(old.resource, old.version, value),
    }
}

fn finalizers_after(old: &Object, propagation: Option<Propagation>) -> Vec<Value> {
    let mut finalizers: Vec<_> =
        items(&old.value()["metadata"]["finalizers"]).filter(|item| item.is_string()).cloned().collect();
    let Some(propagation) = propagation else { return finalizers };
    finalizers.retain(|finalizer| finalizer != FOREGROUND && finalizer != ORPHAN);
    match propagation {
        Propagation::Background => {}
        Propagation::Foreground => finalizers.push(FOREGROUND.into()),
        Propagation::Orphan => finalizers.push(ORPHAN.into()),
    }
    finalizers
}

/// Returns the object with the deletion in its metadata.
fn mark(old: &Object, until: Timestamp, grace: i64) -> Value {
    let mut value = old.value().clone();
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

/// Returns the grace period of a Pod in seconds: 0 if it never started or has ended.
fn pod_grace(pod: &Value, asked: Option<i64>) -> i64 {
    if has_ended(pod) || text_at(pod, &["spec", "nodeName"]).is_empty() {
        return 0;
    }
    let own = pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    // The real server treats a negative period as one second.
    match asked.unwrap_or(own) {
        negative if negative < 0 => 1,
        seconds => seconds,
    }
}

// === impl Deletion ===

impl Deletion {
    fn of(request: &Request) -> ApiResult<Self> {
        let body = if request.body.is_empty() {
            Value::Null
        } else {
            options::parse_or_refuse(request, "the delete options")?
        };
        Self::from_options(&body, request)
    }

    /// Reads delete options from a body. Options that are not set there come from the query.
    fn from_options(body: &Value, request: &Request) -> ApiResult<Self> {
        options::check_delete(body)?;
        let query = &request.query;
        let text = |path: &[&str]| Some(text_at(body, path)).filter(|t| !t.is_empty()).map(str::to_owned);
        let policy =
            text(&["propagationPolicy"]).or_else(|| query.get("propagationPolicy").map(str::to_owned));
        let in_query = query.get("orphanDependents").map(|text| text == "true");
        let orphan = body["orphanDependents"].as_bool().or(in_query);
        let propagation = match (policy.as_deref(), orphan) {
            (Some("Foreground"), _) => Some(Propagation::Foreground),
            (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
            (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
            (None, None) => None,
            (Some(_), _) => {
                options::check_delete(&json!({"propagationPolicy": policy}))?;
                None
            }
        };
        Ok(Self {
            grace: body["gracePeriodSeconds"].as_i64().or_else(|| query.number("gracePeriodSeconds")),
            uid: text(&["preconditions", "uid"]),
            version: text(&["preconditions", "resourceVersion"]),
            propagation,
            answers_accepted: orphan == Some(false),
            dry_run: options::is_dry_run(query)
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

/// Handles `POST` to a Pod's `eviction`. There are no disruption budgets, so it always deletes.
pub(super) fn evict(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let body = options::parse_or_refuse(request, "the eviction")?;
    let named = text_at(&body, &["metadata", "name"]);
    if !named.is_empty() && named != target.named() {
        return Err(ApiError::bad_request(format!(
            "name in URL does not match name in Eviction object: name in URL: {}, name in Eviction: {named}",
            target.named()
        )));
    }
    let deletion = Deletion::from_options(&body["deleteOptions"], request)?;
    let mut state = shared.state();
    let old = find(&state, target)?;
    deletion.check(&old)?;
    if !deletion.dry_run {
        let effect = decide(&old, &deletion, shared.clock.now());
        apply(&mut state, &old, effect);
    }
    drop(state);
    Ok(Reply::success(StatusCode::CREATED, None))
}
