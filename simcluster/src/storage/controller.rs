//! The task that binds, expands and reclaims volumes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::names::claims_of;
use super::{claim, event, object, volume};
use crate::api;
#[cfg(not(feature = "custom-resources"))]
use crate::resource::CLASSES as SNAPSHOTS;
#[cfg(feature = "custom-resources")]
use crate::resource::SNAPSHOTS;
use crate::resource::{CLAIMS, CLASSES, EVENTS, PODS, RESOURCES, VOLUME_PROTECTION, VOLUMES};
use crate::shared::{Shared, State};
use crate::store::{Change, Event, Object, text_at};

/// A claim or a volume: resource, namespace, name.
type Key = (usize, String, String);
/// When a step is due. The number orders equal times as they were planned.
type Due = (Instant, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Claim(claim::Step),
    Volume(volume::Step),
}

struct Controller {
    shared: Arc<Shared>,
    /// The version up to which events have been processed, and the epoch of the store to which it belongs.
    seen: u64,
    epoch: u64,
    due: BTreeMap<Due, Key>,
    planned: HashMap<Key, (Step, Due)>,
    /// The number of steps planned so far.
    count: u64,
    /// Claims whose file system grows as soon as a Pod uses them.
    growing: BTreeSet<Key>,
}

/// Runs the controller until it is aborted. Events since the call are processed.
pub(crate) fn run(shared: Arc<Shared>) -> impl Future<Output = ()> {
    // Without custom resources there are no snapshots, and their changes are those of classes.
    let ([mut claims, mut volumes, mut classes, mut snapshots, mut pods], seen, epoch) = {
        let store = &shared.state().store;
        let all = [CLAIMS, VOLUMES, CLASSES, SNAPSHOTS, PODS].map(|resource| store.subscribe(resource));
        (all, store.version(), store.epoch())
    };
    let mut controller = Controller {
        shared,
        seen,
        epoch,
        due: BTreeMap::new(),
        planned: HashMap::new(),
        count: 0,
        growing: BTreeSet::new(),
    };
    async move {
        loop {
            for changed in [&mut claims, &mut volumes, &mut classes, &mut snapshots, &mut pods] {
                changed.borrow_and_update();
            }
            controller.step();
            let watches_pods = !controller.growing.is_empty();
            let next = controller.due.keys().next().map(|(at, _)| *at);
            let open = tokio::select! {
                changed = claims.changed() => changed.is_ok(),
                changed = volumes.changed() => changed.is_ok(),
                changed = classes.changed() => changed.is_ok(),
                changed = snapshots.changed() => changed.is_ok(),
                changed = pods.changed(), if watches_pods => changed.is_ok(),
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => true,
            };
            if !open {
                return;
            }
        }
    }
}

// === impl Controller ===

impl Controller {
    /// Processes all events since the last step, and does what is due.
    fn step(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        for key in self.take_in(&state) {
            self.look(&mut state, key);
        }
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= Instant::now()) {
            let key = entry.remove();
            let Some((planned, _)) = self.planned.remove(&key) else { continue };
            match next(&state, &key) {
                Some((_, step)) if step == planned => self.act(&mut state, &key, step),
                _ => self.look(&mut state, key),
            }
        }
    }

    /// Returns the objects whose next step may have changed.
    fn take_in(&mut self, state: &State) -> BTreeSet<Key> {
        let store = &state.store;
        let all = |resource| store.list(resource, None).map(|object| key(&object));
        let since = |resource| store.events_after(resource, self.seen);
        let mut touched: BTreeSet<Key> = self.growing.clone();
        let events = (since(CLAIMS), since(VOLUMES), since(CLASSES), since(SNAPSHOTS));
        match events {
            (Ok(claims), Ok(volumes), Ok(classes), Ok(snapshots)) if self.epoch == store.epoch() => {
                touched.extend(claims.iter().flat_map(of_claim));
                touched.extend(volumes.iter().flat_map(of_volume));
                // A claim may name a volume before an administrator makes it.
                let offered = |event: &Event| {
                    let owner = text_at(event.object.value(), &["spec", "claimRef", "uid"]);
                    event.change == Change::Added && owner.is_empty()
                };
                if !classes.is_empty() || !snapshots.is_empty() || volumes.iter().any(offered) {
                    touched.extend(all(CLAIMS));
                }
            }
            // The events are no longer in the window, or the store holds another state.
            _ => {
                touched.extend(all(CLAIMS).chain(all(VOLUMES)).chain(self.planned.keys().cloned()));
            }
        }
        (self.seen, self.epoch) = (store.version(), store.epoch());
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
            self.due.remove(&due);
        }
        self.note_growth(state, &key);
        match next {
            None => {}
            Some((Duration::ZERO, step)) => self.act(state, &key, step),
            Some((wait, step)) => {
                self.count += 1;
                let due = (Instant::now() + wait, self.count);
                self.due.insert(due, key.clone());
                self.planned.insert(key, (step, due));
            }
        }
    }

    fn note_growth(&mut self, state: &State, key: &Key) {
        let pending = find(state, key).is_some_and(|object| waits_for_pod(object.value()));
        if pending {
            self.growing.insert(key.clone());
        } else {
            self.growing.remove(key);
        }
    }

    fn act(&mut self, state: &mut State, key: &Key, step: Step) {
        let Some(object) = find(state, key) else { return };
        let now = self.shared.clock.stamp();
        match step {
            Step::Claim(step) => change_claim(state, &object, step, &now),
            Step::Volume(step) => change_volume(state, &object, step, &now),
        }
    }
}

/// Returns the next step of an object.
fn next(state: &State, key: &Key) -> Option<(Duration, Step)> {
    let object = find(state, key)?;
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
    let value = match (step, volume) {
        (claim::Step::SetClass, _) => {
            let mut value = claim.value().clone();
            api::set_class(&state.store, &mut value);
            value
        }
        (claim::Step::Provision, _) => {
            let class = text_at(claim.value(), &["spec", "storageClassName"]);
            let Some(class) = state.store.get(CLASSES, "", class) else { return };
            let mut volume = object::volume(claim, &class, now);
            volume["metadata"]["uid"] = state.random.uid().into();
            let volume = state.store.put(VOLUMES, volume);
            object::bound_claim(claim, volume.value(), Some(text_at(class.value(), &["provisioner"])))
        }
        (claim::Step::Bind, Some(volume)) => {
            let value = object::bound_volume(&volume, claim, now);
            let volume = api::commit_change(state, &volume, value);
            object::bound_claim(claim, volume.value(), None)
        }
        (claim::Step::Lose, _) => object::lost_claim(claim),
        (claim::Step::StartExpansion, _) => object::expanding_claim(claim, now),
        (claim::Step::Expand, Some(volume)) => {
            let mut value = volume.value().clone();
            value["spec"]["capacity"]["storage"] =
                claim.value()["status"]["allocatedResources"]["storage"].clone();
            api::commit_change(state, &volume, value);
            object::expanded_claim(claim, now)
        }
        (claim::Step::ResizeFileSystem, _) => object::resized_claim(claim),
        (claim::Step::Bind | claim::Step::Expand, None) | (claim::Step::Refuse, _) => return,
    };
    api::commit_change(state, claim, value);
}

fn change_volume(state: &mut State, volume: &Object, step: volume::Step, now: &str) {
    let mut value = volume.value().clone();
    match step {
        volume::Step::Offer => object::set_phase(&mut value, "Available", now),
        volume::Step::Release => object::set_phase(&mut value, "Released", now),
        volume::Step::Delete => {
            state.remove(VOLUMES, "", volume.name());
            return;
        }
        volume::Step::Unprotect => {
            if let Some(list) = value["metadata"]["finalizers"].as_array_mut() {
                list.retain(|finalizer| finalizer != VOLUME_PROTECTION);
            }
        }
    }
    api::commit_change(state, volume, value);
}

/// Whether a claim's file system grows once a Pod uses it.
fn waits_for_pod(claim: &serde_json::Value) -> bool {
    text_at(claim, &["status", "allocatedResourceStatuses", "storage"]) == "NodeResizePending"
}

/// Whether a Pod with a claim runs.
fn runs_with(state: &State, claim: &Object) -> bool {
    let runs = |pod: &Object| pod.value()["status"]["phase"] == "Running";
    let uses = |pod: &Object| claims_of(pod.value()).any(|name| name == claim.name());
    state.store.list(PODS, Some(claim.namespace())).any(|pod| runs(&pod) && uses(&pod))
}

fn find(state: &State, (index, namespace, name): &Key) -> Option<Object> {
    state.store.get(&RESOURCES[*index], namespace, name)
}

fn key(object: &Object) -> Key {
    (object.resource.index, object.namespace().to_owned(), object.name().to_owned())
}

/// Returns what a change of a claim touches: the claim, and the volume of one that is gone.
fn of_claim(event: &Event) -> Vec<Key> {
    let mut keys = vec![key(&event.object)];
    let volume = text_at(event.object.value(), &["spec", "volumeName"]);
    if event.change == Change::Deleted && !volume.is_empty() {
        keys.push((VOLUMES.index, String::new(), volume.to_owned()));
    }
    keys
}

/// Returns what a change of a volume touches: the volume, and its claim.
fn of_volume(event: &Event) -> Vec<Key> {
    let reference = &event.object.value()["spec"]["claimRef"];
    let part = |name| text_at(reference, &[name]).to_owned();
    vec![key(&event.object), (CLAIMS.index, part("namespace"), part("name"))]
}
