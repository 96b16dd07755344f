//! The task that binds, expands and reclaims volumes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::names::uses_claim;
use super::{claim, event, object, volume};
use crate::api;
use crate::fields::without_finalizer;
use crate::follower::{Changes, Follower};
#[cfg(not(feature = "custom-resources"))]
use crate::resource::CLASSES as SNAPSHOTS;
#[cfg(feature = "custom-resources")]
use crate::resource::SNAPSHOTS;
use crate::resource::{CLAIMS, CLASSES, EVENTS, PODS, VOLUME_PROTECTION, VOLUMES};
use crate::shared::{Shared, State};
use crate::store::{Change, Event, Key, Object, key, text_at};
use crate::timers::{Due, Timers, sleep_until};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Claim(claim::Step),
    Volume(volume::Step),
}

struct Controller {
    shared: Arc<Shared>,
    due: Timers<Key>,
    planned: HashMap<Key, (Step, Due)>,
    /// Claims whose file system grows as soon as a Pod uses them.
    growing: BTreeSet<Key>,
}

/// Runs the controller until it is aborted. Events since the call are processed.
pub(crate) fn run(shared: Arc<Shared>) -> impl Future<Output = ()> {
    // Without custom resources there are no snapshots, and their changes are those of classes.
    let mut follower = Follower::new(&shared.state().store, [CLAIMS, VOLUMES, CLASSES, SNAPSHOTS, PODS]);
    let mut controller =
        Controller { shared, due: Timers::default(), planned: HashMap::new(), growing: BTreeSet::new() };
    async move {
        loop {
            controller.step(&mut follower);
            tokio::select! {
                biased;
                () = follower.changed() => {}
                () = sleep_until(controller.due.next()) => {}
            }
        }
    }
}

// === impl Controller ===

impl Controller {
    /// Processes all events since the last step, and does what is due.
    fn step(&mut self, follower: &mut Follower) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let changes = follower.take(&state.store);
        for key in self.touched(&state, &changes) {
            self.look(&mut state, key);
        }
        while let Some(key) = self.due.pop() {
            let Some((planned, _)) = self.planned.remove(&key) else { continue };
            match next(&state, &key) {
                Some((_, step)) if step == planned => self.act(&mut state, &key, step),
                _ => self.look(&mut state, key),
            }
        }
    }

    /// Returns the objects whose next step may have changed.
    fn touched(&self, state: &State, changes: &Changes) -> BTreeSet<Key> {
        let all = |resource| state.store.list(resource, None).map(|object| key(&object));
        let mut touched = self.growing.clone();
        if changes.need_list() {
            touched.extend(all(CLAIMS).chain(all(VOLUMES)).chain(self.planned.keys().cloned()));
            return touched;
        }
        touched.extend(changes.events.iter().flat_map(touched_by));
        // A claim may name a class, a snapshot or a volume before an administrator makes it.
        if changes.events.iter().any(|event| match &event.object {
            volume if volume.resource == VOLUMES => {
                let owner = text_at(volume.value(), &["spec", "claimRef", "uid"]);
                event.change == Change::Added && owner.is_empty()
            }
            other => other.resource == CLASSES || other.resource == SNAPSHOTS,
        }) {
            touched.extend(all(CLAIMS));
        }
        touched
    }

    /// Plans the next step of an object, or does it if it is due at once.
    fn look(&mut self, state: &mut State, key: Key) {
        let next = next(state, &key);
        let known = self.planned.get(&key).map(|(step, _)| *step);
        if known.is_some() && known == next.map(|(_, step)| step) {
            return;
        }
        if let Some((_, due)) = self.planned.remove(&key) {
            self.due.cancel(due);
        }
        self.note_growth(state, &key);
        match next {
            None => {}
            Some((Duration::ZERO, step)) => self.act(state, &key, step),
            Some((wait, step)) => {
                let due = self.due.plan(wait, key.clone());
                self.planned.insert(key, (step, due));
            }
        }
    }

    fn note_growth(&mut self, state: &State, key: &Key) {
        if state.store.find(key).is_some_and(|object| waits_for_pod(object.value())) {
            self.growing.insert(key.clone());
        } else {
            self.growing.remove(key);
        }
    }

    fn act(&mut self, state: &mut State, key: &Key, step: Step) {
        let Some(object) = state.store.find(key) else { return };
        let now = self.shared.clock.stamp();
        match step {
            Step::Claim(step) => change_claim(state, &object, step, &now),
            Step::Volume(step) => change_volume(state, &object, step, &now),
        }
    }
}

/// Returns the next step of an object.
fn next(state: &State, key: &Key) -> Option<(Duration, Step)> {
    let object = state.store.find(key)?;
    if object.resource == VOLUMES {
        let reference = &object.value()["spec"]["claimRef"];
        let claim =
            state.store.get(CLAIMS, text_at(reference, &["namespace"]), text_at(reference, &["name"]));
        let claimed = claim.is_some_and(|claim| claim.uid() == text_at(reference, &["uid"]));
        return volume::next(object.value(), claimed).map(|(wait, step)| (wait, Step::Volume(step)));
    }
    let spec = &object.value()["spec"];
    let class = state.store.get(CLASSES, "", text_at(spec, &["storageClassName"]));
    let volume = state.store.get(VOLUMES, "", text_at(spec, &["volumeName"]));
    let default = match spec.get("storageClassName") {
        None => api::default_class(&state.store),
        Some(_) => None,
    };
    let view = claim::View {
        claim: object.value(),
        class: class.as_ref().map(Object::value),
        volume: volume.as_ref().map(Object::value),
        default_class: default.as_ref().map(|class| class.name()),
        in_use: waits_for_pod(object.value()) && runs_with(state, &object),
        source: source(state, &object),
    };
    view.next().map(|(wait, step)| (wait, Step::Claim(step)))
}

/// Returns the state of the snapshot that a claim names.
fn source(state: &State, claim: &Object) -> claim::Source {
    let exists = |name: &str| {
        cfg!(feature = "custom-resources") && state.store.get(SNAPSHOTS, claim.namespace(), name).is_some()
    };
    match claim::snapshot_of(claim.value()) {
        Some(name) if !exists(name) => {
            let reported = state.store.get(EVENTS, claim.namespace(), &event::name(claim));
            if reported.is_some() { claim::Source::Reported } else { claim::Source::Missing }
        }
        _ => claim::Source::Usable,
    }
}

/// Writes the Event that the snapshot of a claim does not exist.
fn refuse(state: &mut State, claim: &Object, now: &str) {
    let class = text_at(claim.value(), &["spec", "storageClassName"]);
    let Some(class) = state.store.get(CLASSES, "", class) else { return };
    let snapshot = claim::snapshot_of(claim.value()).unwrap_or_default();
    let provisioner = text_at(class.value(), &["provisioner"]);
    let mut event = event::no_snapshot(claim, class.name(), provisioner, snapshot, now);
    event["metadata"]["uid"] = state.random.uid().into();
    state.store.put(EVENTS, event);
}

fn change_claim(state: &mut State, claim: &Object, step: claim::Step, now: &str) {
    if step == claim::Step::Refuse {
        return refuse(state, claim, now);
    }
    let volume = state.store.get(VOLUMES, "", text_at(claim.value(), &["spec", "volumeName"]));
    let mut value = claim.value().clone();
    match (step, volume) {
        (claim::Step::SetClass, _) => api::set_class(&state.store, &mut value),
        (claim::Step::Provision, _) => {
            let class = text_at(claim.value(), &["spec", "storageClassName"]);
            let Some(class) = state.store.get(CLASSES, "", class) else { return };
            let mut volume = object::volume(claim, &class, now);
            volume["metadata"]["uid"] = state.random.uid().into();
            let volume = state.store.put(VOLUMES, volume);
            object::bind_claim(&mut value, volume.value(), Some(text_at(class.value(), &["provisioner"])));
        }
        (claim::Step::Bind, Some(volume)) => {
            let volume = api::commit_change(state, &volume, object::bound_volume(&volume, claim, now));
            object::bind_claim(&mut value, volume.value(), None);
        }
        (claim::Step::Lose, _) => object::lose_claim(&mut value),
        (claim::Step::StartExpansion, _) => object::start_expansion(&mut value, now),
        (claim::Step::Expand, Some(volume)) => {
            let mut larger = volume.value().clone();
            larger["spec"]["capacity"]["storage"] = value["status"]["allocatedResources"]["storage"].clone();
            api::commit_change(state, &volume, larger);
            object::wait_for_file_system(&mut value, now);
        }
        (claim::Step::ResizeFileSystem, _) => object::end_expansion(&mut value),
        (claim::Step::Bind | claim::Step::Expand, None) | (claim::Step::Refuse, _) => return,
    }
    api::commit_change(state, claim, value);
}

fn change_volume(state: &mut State, volume: &Object, step: volume::Step, now: &str) {
    let value = match step {
        volume::Step::Offer => object::with_phase(volume.value(), "Available", now),
        volume::Step::Release => object::with_phase(volume.value(), "Released", now),
        volume::Step::Delete => return drop(state.remove(VOLUMES, "", volume.name())),
        volume::Step::Unprotect => without_finalizer(volume.value(), VOLUME_PROTECTION),
    };
    api::commit_change(state, volume, value);
}

/// Whether a claim's file system grows once a Pod uses it.
fn waits_for_pod(claim: &serde_json::Value) -> bool {
    text_at(claim, &["status", "allocatedResourceStatuses", "storage"]) == "NodeResizePending"
}

/// Whether a Pod with a claim runs.
fn runs_with(state: &State, claim: &Object) -> bool {
    let runs = |pod: &Object| pod.value()["status"]["phase"] == "Running";
    let mut pods = state.store.list(PODS, Some(claim.namespace()));
    pods.any(|pod| runs(&pod) && uses_claim(pod.value(), claim.name()))
}

/// Returns what a change of a claim or a volume touches: the object itself, the volume of a claim that is gone, and the
/// claim of a volume.
fn touched_by(event: &Event) -> Vec<Key> {
    let object = &event.object;
    if object.resource == VOLUMES {
        let part = |name| text_at(object.value(), &["spec", "claimRef", name]).to_owned();
        return vec![key(object), (CLAIMS.index, part("namespace"), part("name"))];
    }
    if object.resource != CLAIMS {
        return Vec::new();
    }
    let volume = text_at(object.value(), &["spec", "volumeName"]);
    let has_gone = event.change == Change::Deleted && !volume.is_empty();
    let volume = has_gone.then(|| (VOLUMES.index, String::new(), volume.to_owned()));
    std::iter::once(key(object)).chain(volume).collect()
}
