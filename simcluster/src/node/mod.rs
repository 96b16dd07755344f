//! The simulated nodes: a scheduler, the kubelets and a node controller in one, for all Pods.
//!
//! [`life`] decides a Pod's next stage and when it comes; [`report`] and [`container`] write it into the status;
//! [`events`] describes it; [`scheduler`] decides which node takes the Pod. This file is the shell: one task for all
//! nodes, one ordered set of due times.

mod container;
mod events;
mod image;
mod life;
mod machines;
mod object;
mod presence;
mod probes;
mod report;
mod resize;
mod resizes;
mod resources;
mod schedule;
mod scheduler;
pub(crate) mod settings;
mod silence;
mod volumes;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use crate::api;
use crate::behaviour::Behaviour;
use crate::network;
use crate::options::NodeOptions;
use crate::resource::{CLAIMS, CLASSES, NODES, PODS};
use crate::shared::{Shared, State};
use crate::store::{Change, Labels, Object, text_at};
use events::EventRecorder;
use life::{Circumstances, Stage};
use machines::Machine;
use resizes::Resizes;
use resources::Amount;
use settings::Settings;

/// The memory of the nodes and of the Pods that they run.
struct Node {
    shared: Arc<Shared>,
    options: NodeOptions,
    /// The settings that were last read; they may change at run time.
    settings: Settings,
    recorder: EventRecorder,
    /// By uid.
    pods: HashMap<String, Running>,
    /// The uid of the Pod whose next stage is due at each time. The number orders equal times as they were planned.
    due: BTreeMap<(Instant, u64), String>,
    planned: u64,
    /// Pods that did not fit, in the order they came.
    waiting: BTreeSet<(u64, String)>,
    /// The nodes, the first one first.
    machines: Vec<Machine>,
    /// How many Pods have an affinity that concerns other Pods.
    affine: usize,
    resizes: Resizes,
    /// When the node is marked unreachable, while it is silent and not yet marked.
    deadline: Option<Instant>,
    /// The epoch of the store; restoring a snapshot starts another.
    epoch: u64,
}

struct Running {
    namespace: String,
    name: String,
    /// Its place among the Pods that wait for capacity.
    number: u64,
    behaviour: Behaviour,
    /// Its grace period, to notice when it is shortened.
    grace: Option<u64>,
    /// The present stage.
    stage: Stage,
    /// The next stage, with its key in `due`.
    next: Option<(Stage, (Instant, u64))>,
    /// The place of its node, once it has one.
    node: usize,
    /// The part of the node's capacity that it takes.
    takes: Option<Amount>,
    labels: Labels,
    /// Its affinity, if that concerns other Pods.
    affinity: Option<Box<Value>>,
}

/// Runs the node until it is aborted.
pub(crate) async fn run(shared: Arc<Shared>, options: NodeOptions) {
    let mut settings = shared.node.subscribe();
    let (mut changed, mut claims, mut classes, mut nodes, mut seen, epoch) = {
        let state = shared.state();
        let store = &state.store;
        let subscribe = |resource| store.subscribe(resource);
        let all = (subscribe(PODS), subscribe(CLAIMS), subscribe(CLASSES), subscribe(NODES));
        (all.0, all.1, all.2, all.3, store.version(), store.epoch())
    };
    let mut node = Node::new(shared, options, settings.borrow_and_update().clone(), epoch);
    node.register();
    node.relist();
    loop {
        changed.borrow_and_update();
        if settings.has_changed().unwrap_or(false) {
            let now = settings.borrow_and_update().clone();
            node.adjust(now);
        }
        seen = node.take_in(seen);
        node.act();
        let next = node.next();
        tokio::select! {
            biased;
            changed = changed.changed() => if changed.is_err() { return },
            changed = claims.changed() => {
                if changed.is_err() {
                    return;
                }
                claims.borrow_and_update();
                node.retry();
            }
            changed = classes.changed() => {
                if changed.is_err() {
                    return;
                }
                classes.borrow_and_update();
                node.retry();
            }
            // A node that is uncordoned, or has other labels.
            changed = nodes.changed() => {
                if changed.is_err() {
                    return;
                }
                nodes.borrow_and_update();
                node.retry();
            }
            changed = settings.changed() => {
                if changed.is_err() {
                    return;
                }
                settings.mark_changed();
            }
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

// === impl Node: inputs ===

impl Node {
    fn new(shared: Arc<Shared>, options: NodeOptions, settings: Settings, epoch: u64) -> Self {
        Self {
            recorder: EventRecorder::new(&options.name, options.event_ttl, options.normal_events),
            shared,
            settings,
            pods: HashMap::new(),
            due: BTreeMap::new(),
            planned: 0,
            waiting: BTreeSet::new(),
            machines: Machine::all(&options),
            affine: 0,
            resizes: Resizes::default(),
            deadline: None,
            epoch,
            options,
        }
    }

    /// Takes in all changes after a version and returns the version it has come to.
    fn take_in(&mut self, seen: u64) -> u64 {
        let (events, version, epoch) = {
            let state = self.shared.state();
            (state.store.events_after(PODS, seen), state.store.version(), state.store.epoch())
        };
        match events {
            Ok(events) if epoch == self.epoch => {
                for event in events {
                    match event.change {
                        Change::Added | Change::Modified => self.see(&event.object),
                        Change::Deleted => self.forget(event.object.uid()),
                    }
                }
            }
            // The window was lost, or too small for what happened at once.
            Ok(_) | Err(_) => {
                if epoch != self.epoch {
                    // The store holds another state, and the statuses that were written may be wrong.
                    let all: Vec<_> = self.pods.keys().cloned().collect();
                    for uid in &all {
                        self.forget(uid);
                    }
                    self.epoch = epoch;
                    self.register();
                }
                self.relist();
            }
        }
        version
    }

    /// Looks at all Pods there are, as after a start.
    fn relist(&mut self) {
        let pods: Vec<_> = self.shared.state().store.list(PODS, None).collect();
        let present: HashSet<_> = pods.iter().map(|pod| pod.uid()).collect();
        let gone: Vec<_> = self.pods.keys().filter(|uid| !present.contains(uid.as_str())).cloned().collect();
        for uid in gone {
            self.forget(&uid);
        }
        for pod in pods {
            self.see(&pod);
        }
    }

    fn see(&mut self, pod: &Object) {
        let uid = pod.uid();
        let behaviour = self.settings.behaviour_of(pod.value());
        let grace = pod.value()["metadata"]["deletionGracePeriodSeconds"].as_u64();
        let Some(running) = self.pods.get_mut(uid) else {
            return self.meet(pod, behaviour, grace);
        };
        if running.labels != *pod.labels() {
            // Other Pods may want to be near this one, or no longer.
            running.labels = pod.labels().clone();
            self.retry();
        }
        let Some(running) = self.pods.get_mut(uid) else { return };
        let mut changed = running.behaviour != behaviour || running.grace != grace;
        (running.behaviour, running.grace) = (behaviour, grace);
        if pod.terminating() && !running.stage.is_stopping() {
            running.stage = Stage::Stopping;
            changed = true;
        }
        let waits = running.stage.waits();
        if changed && waits {
            self.retry();
        } else if changed {
            self.plan(uid, pod.value());
        }
        self.see_size(pod);
    }

    fn meet(&mut self, pod: &Object, behaviour: Behaviour, grace: Option<u64>) {
        let mut stage = Stage::of(pod.value());
        if pod.terminating() {
            stage = Stage::Stopping;
        }
        let bound = pod.value()["spec"].get("nodeName").is_some() && !stage.is_over();
        let takes = bound.then(|| Amount::requested(pod.value()));
        let name = text_at(pod.value(), &["spec", "nodeName"]);
        let node = self.machines.iter().position(|machine| machine.name == name).unwrap_or(0);
        if let Some(takes) = takes {
            self.machines[node].used = self.machines[node].used.plus(takes);
        }
        let affinity = &pod.value()["spec"]["affinity"];
        let affinity = scheduler::affinity::concerns_pods(affinity).then(|| Box::new(affinity.clone()));
        self.affine += usize::from(affinity.is_some());
        self.planned += 1;
        let running = Running {
            namespace: pod.namespace().to_owned(),
            name: pod.name().to_owned(),
            number: self.planned,
            behaviour,
            grace,
            stage,
            next: None,
            node,
            takes,
            labels: pod.labels().clone(),
            affinity,
        };
        self.pods.insert(pod.uid().to_owned(), running);
        self.plan(pod.uid(), pod.value());
    }

    fn forget(&mut self, uid: &str) {
        if let Some(running) = self.pods.remove(uid) {
            if let Some((_, at)) = running.next {
                self.due.remove(&at);
            }
            self.waiting.remove(&(running.number, uid.to_owned()));
            self.resizes.forget(uid);
            self.affine -= usize::from(running.affinity.is_some());
            self.release_capacity(running.node, running.takes);
        }
        self.recorder.forget(uid);
        self.shared.state().manual_pods.remove(uid);
    }

    /// Follows new settings.
    fn adjust(&mut self, settings: Settings) {
        let turned = settings.lost != self.settings.lost;
        self.settings = settings;
        if turned {
            let grace = Instant::now() + self.options.times.node_grace;
            self.deadline = self.settings.lost.then_some(grace);
        }
        if !self.settings.lost {
            self.register();
            self.resizes.retry();
        }
        let pods: Vec<_> = self.shared.state().store.list(PODS, None).collect();
        for pod in pods {
            self.see(&pod);
            if turned && self.pods.contains_key(pod.uid()) {
                self.plan(pod.uid(), pod.value());
            }
        }
        self.retry();
    }
}

// === impl Node: outputs ===

impl Node {
    /// When there is something to do.
    fn next(&self) -> Option<Instant> {
        let due = self.due.keys().next().map(|(at, _)| *at);
        let other = self.recorder.next().into_iter().chain(self.resizes.next()).chain(self.deadline);
        due.into_iter().chain(other).min()
    }

    /// Plans the stage after the present one of a Pod, and cancels the one planned before.
    fn plan(&mut self, uid: &str, pod: &Value) {
        let Some(running) = self.pods.get_mut(uid) else { return };
        if let Some((_, at)) = running.next.take() {
            self.due.remove(&at);
        }
        let is_program_done = running.stage.program(pod).map(|program| {
            // While the caller has the state locked, the program goes on.
            self.shared.try_state().is_some_and(|state| {
                let (namespace, name) = (&running.namespace, &running.name);
                network::from_pod(&self.shared, &state, namespace, name, program) == program.until
            })
        });
        let around = Circumstances {
            behaviour: running.behaviour,
            times: &self.options.times,
            pod,
            node_lost: self.settings.lost,
            is_program_done,
        };
        let Some((wait, stage)) = around.next(running.stage) else { return };
        let at = (Instant::now() + wait, self.planned);
        self.planned += 1;
        running.next = Some((stage, at));
        self.due.insert(at, uid.to_owned());
    }

    /// Does all that is due.
    fn act(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.recorder.expire(&mut shared.state(), &shared.clock);
        self.notice_silence();
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= Instant::now()) {
            let uid = entry.remove();
            let Some(running) = self.pods.get_mut(&uid) else { continue };
            let Some((stage, _)) = running.next.take() else { continue };
            let mut cluster = shared.state();
            let found = cluster.store.get(PODS, &running.namespace, &running.name);
            let Some(pod) = found.filter(|pod| pod.uid() == uid) else { continue };
            if cluster.manual_pods.contains(&uid) && !stage.is_stopping() {
                running.stage = stage;
                continue;
            }
            let present = running.stage;
            let attach_error =
                (stage == Stage::Networked).then(|| self.attach_error(&cluster, &pod)).flatten();
            let reached = match stage {
                Stage::Networked if let Some(why) = attach_error => {
                    Some((self.wait_for_volume(&mut cluster, &pod, present, &why), pod))
                }
                Stage::Gone => {
                    api::delete_object(&mut cluster, &shared.clock, &pod, Some(0));
                    None
                }
                Stage::Scheduled => Some(self.schedule(&mut cluster, &pod)),
                stage => Some((stage, self.reach(&mut cluster, &pod, stage))),
            };
            drop(cluster);
            let Some(running) = self.pods.get_mut(&uid) else { continue };
            let Some((stage, pod)) = reached else {
                running.stage = Stage::Gone;
                continue;
            };
            running.stage = stage;
            if stage.waits() {
                self.waiting.insert((running.number, uid.clone()));
            }
            let freed = if stage.is_over() { running.takes.take() } else { None };
            let node = running.node;
            self.release_capacity(node, freed);
            self.plan(&uid, pod.value());
        }
        self.act_on_sizes();
    }

    /// Brings a Pod to a stage: writes its status and its Events.
    fn reach(&mut self, cluster: &mut State, pod: &Object, stage: Stage) -> Object {
        let running = self.pods.get(pod.uid());
        let behaviour = running.map(|running| running.behaviour).unwrap_or_default();
        let place = running.map_or(0, |running| running.node);
        let node = self.machines[place].name.clone();
        let around = Circumstances {
            behaviour,
            times: &self.options.times,
            pod: pod.value(),
            node_lost: self.settings.lost,
            is_program_done: None,
        };
        if report::needs_address(pod.value(), stage) {
            cluster.pod_addresses += 1;
        }
        let context = report::Context {
            now: self.shared.clock.stamp(),
            address: cluster.pod_addresses,
            container: cluster.random.next(),
            node: node.clone(),
            host: machines::address(place),
        };
        let mut value = pod.value().clone();
        if stage == Stage::Scheduled {
            value["spec"]["nodeName"] = node.as_str().into();
        }
        report::write(&mut value, stage, &around, &context);
        let mut written = commit_status(cluster, pod, value);
        for content in events::about(stage, &around, &node) {
            self.recorder.write(cluster, &self.shared.clock, &written, &content, &node);
        }
        if stage == Stage::Abandoned && !pod.terminating() {
            written = api::delete_object(cluster, &self.shared.clock, &written, None);
        }
        written
    }
}

/// Stores a write of the node, without a new generation: binding and status do not change the spec.
fn commit_status(cluster: &mut State, old: &Object, new: Value) -> Object {
    if new == *old.value() { old.clone() } else { cluster.store.put(PODS, new) }
}
