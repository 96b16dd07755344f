//! The simulated node: a scheduler and a kubelet in one, for all Pods.
//!
//! What a Pod does next, and when, is decided in [`life`]; how that looks in its status, in [`report`]; whether it fits
//! at all, in [`fit`]. This file is the shell: one task, one ordered set of due times.

mod events;
mod fit;
mod life;
mod report;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use crate::api;
use crate::options::NodeOptions;
use crate::resource::{CLAIMS, PODS};
use crate::shared::{Shared, State};
use crate::store::{Change, Object};
pub use life::ANNOTATION;
use life::{Behaviour, Stage};

/// The node's memory of the Pods it runs.
struct Node {
    shared: Arc<Shared>,
    options: NodeOptions,
    /// By uid.
    pods: HashMap<String, Running>,
    /// What is due when; the number tells apart what is due at the same time, in the order it was planned.
    due: BTreeMap<(Instant, u64), String>,
    planned: u64,
}

struct Running {
    namespace: String,
    name: String,
    behaviour: Behaviour,
    /// The stage it is in.
    stage: Stage,
    /// The stage it comes to next, with its place in `due`.
    next: Option<(Stage, (Instant, u64))>,
}

/// Runs the node until it is aborted.
pub(crate) async fn run(shared: Arc<Shared>, options: NodeOptions) {
    let (mut changed, mut seen) = {
        let state = shared.state();
        (state.store.subscribe(PODS), state.store.version())
    };
    let mut node = Node { shared, options, pods: HashMap::new(), due: BTreeMap::new(), planned: 0 };
    node.relist();
    loop {
        changed.borrow_and_update();
        seen = node.take_in(seen);
        node.act();
        let next = node.due.keys().next().map(|(at, _)| *at);
        tokio::select! {
            biased;
            changed = changed.changed() => if changed.is_err() { return },
            () = sleep_until(next) => {}
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

// === impl Node ===

impl Node {
    /// Takes in all changes after a version and returns the version it has come to.
    fn take_in(&mut self, seen: u64) -> u64 {
        let (events, version) = {
            let state = self.shared.state();
            (state.store.events_after(PODS, seen), state.store.version())
        };
        match events {
            Ok(events) => {
                for event in events {
                    match event.change {
                        Change::Added | Change::Modified => self.see(&event.object),
                        Change::Deleted => self.forget(event.object.uid()),
                    }
                }
            }
            // The window was lost, or too small for what happened at once.
            Err(_) => self.relist(),
        }
        version
    }

    /// Looks at all Pods there are, as after a start.
    fn relist(&mut self) {
        let pods: Vec<_> = self.shared.state().store.list(PODS, None).cloned().collect();
        let present: HashSet<_> = pods.iter().map(|pod| pod.uid()).collect();
        let gone: Vec<_> = self.pods.keys().filter(|uid| !present.contains(uid.as_str())).cloned().collect();
        for uid in gone {
            self.forget(&uid);
        }
        for pod in &pods {
            self.see(pod);
        }
    }

    fn see(&mut self, pod: &Object) {
        let uid = pod.uid();
        if !self.pods.contains_key(uid) {
            let behaviour = Behaviour::of(&pod.value);
            let running = Running {
                namespace: pod.namespace().to_owned(),
                name: pod.name().to_owned(),
                behaviour,
                stage: Stage::of(&pod.value),
                next: None,
            };
            self.pods.insert(uid.to_owned(), running);
            self.plan(uid, &pod.value);
        }
        let stops = self.pods.get(uid).is_some_and(|running| !running.stage.is_stopping());
        if pod.terminating() && stops {
            if let Some(running) = self.pods.get_mut(uid) {
                running.stage = Stage::Stopping;
            }
            self.plan(uid, &pod.value);
        }
    }

    /// Plans what comes after the present stage of a Pod, in place of what was planned.
    fn plan(&mut self, uid: &str, pod: &Value) {
        let Some(running) = self.pods.get_mut(uid) else { return };
        if let Some((_, at)) = running.next.take() {
            self.due.remove(&at);
        }
        let Some((wait, stage)) = life::next(running.stage, running.behaviour, &self.options.times, pod)
        else {
            return;
        };
        let at = (Instant::now() + wait, self.planned);
        self.planned += 1;
        running.next = Some((stage, at));
        self.due.insert(at, uid.to_owned());
    }

    fn forget(&mut self, uid: &str) {
        if let Some(Running { next: Some((_, at)), .. }) = self.pods.remove(uid) {
            self.due.remove(&at);
        }
        self.shared.state().let_go.remove(uid);
    }

    /// Does all that is due.
    fn act(&mut self) {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= Instant::now()) {
            let uid = entry.remove();
            let Some(running) = self.pods.get_mut(&uid) else { continue };
            let Some((stage, _)) = running.next.take() else { continue };
            running.stage = stage;
            let shared = Arc::clone(&self.shared);
            let mut cluster = shared.state();
            let found = cluster.store.get(PODS, &running.namespace, &running.name);
            let Some(pod) = found.filter(|pod| pod.uid() == uid).cloned() else { continue };
            let left_alone = cluster.let_go.contains(&uid) && !stage.is_stopping();
            if left_alone {
                continue;
            }
            let reached = self.reach(&mut cluster, &pod, stage);
            drop(cluster);
            if let Some((stage, value)) = reached {
                if let Some(running) = self.pods.get_mut(&uid) {
                    running.stage = stage;
                }
                self.plan(&uid, &value);
            }
        }
    }

    /// Brings a Pod to a stage: writes what a kubelet would. `None` if that was the end of it.
    fn reach(&self, cluster: &mut State, pod: &Arc<Object>, stage: Stage) -> Option<(Stage, Value)> {
        if stage == Stage::Gone {
            api::delete_object(cluster, &self.shared.clock, pod, Some(0));
            return None;
        }
        let mut value = pod.value.clone();
        if stage == Stage::Scheduled {
            let claimed = |claim: &str| cluster.store.get(CLAIMS, pod.namespace(), claim).is_some();
            match fit::check(&value, &self.options, claimed) {
                Ok(()) => value["spec"]["nodeName"] = self.options.name.as_str().into(),
                Err(why) => {
                    report::unschedulable(&mut value, &why, &self.shared.clock.stamp());
                    let value = commit_status(cluster, pod, value);
                    events::failed_scheduling(cluster, &self.shared.clock, &self.options, pod, &why);
                    return Some((Stage::Unschedulable, value));
                }
            }
        }
        if stage == Stage::Started(0) && value["status"].get("podIP").is_none() {
            cluster.pod_addresses += 1;
        }
        let context = report::Context {
            now: self.shared.clock.stamp(),
            address: cluster.pod_addresses,
            container: cluster.random.next(),
        };
        report::write(&mut value, stage, Behaviour::of(&pod.value), &self.options.times, &context);
        let value = commit_status(cluster, pod, value);
        for (reason, message) in events::warnings(&value, stage) {
            events::warn(cluster, &self.shared.clock, &self.options, pod, reason, &message);
        }
        Some((stage, value))
    }
}

/// Stores what the node wrote, without a new generation: binding and status are no changes of the spec by a user.
fn commit_status(cluster: &mut State, old: &Arc<Object>, new: Value) -> Value {
    if new == old.value { new } else { cluster.store.put(PODS, new).value.clone() }
}
