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

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use crate::api;
use crate::behaviour::Behaviour;
use crate::follower::{Changes, Follower};
use crate::network;
use crate::options::NodeOptions;
use crate::resource::{CLAIMS, CLASSES, NODES, PODS};
use crate::shared::{Shared, State};
use crate::store::{Change, Labels, Object, text_at};
use crate::timers::{Due, Timers, sleep_until};
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
    /// The uids of the Pods whose next stage is due.
    due: Timers<String>,
    /// How many Pods have come.
    arrived: u64,
    /// Pods that did not fit, in the order they came.
    waiting: BTreeSet<(u64, String)>,
    /// The nodes, the first one first.
    machines: Vec<Machine>,
    /// How many Pods have an affinity that concerns other Pods.
    affine: usize,
    resizes: Resizes,
    /// When the node is marked unreachable, while it is silent and not yet marked.
    deadline: Option<Instant>,
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
    /// The next stage, with its time.
    next: Option<(Stage, Due)>,
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
    // The Pods that wait are tried again when a claim or a class changes, or a node is uncordoned or has other labels.
    let mut follower = Follower::new(&shared.state().store, [PODS, CLAIMS, CLASSES, NODES]);
    let mut node = Node::new(shared, options, settings.borrow_and_update().clone());
    node.register();
    node.relist();
    loop {
        if settings.has_changed().unwrap_or(false) {
            let now = settings.borrow_and_update().clone();
            node.adjust(now);
        }
        let changes = follower.take(&node.shared.state().store);
        node.take_in(changes);
        node.act();
        tokio::select! {
            biased;
            () = follower.changed() => {}
            // The sender lives as long as the cluster.
            _ = settings.changed() => settings.mark_changed(),
            () = sleep_until(node.next()) => {}
        }
    }
}

// === impl Node: inputs ===

impl Node {
    fn new(shared: Arc<Shared>, options: NodeOptions, settings: Settings) -> Self {
        Self {
            machines: Machine::all(&options, settings.capacity),
            recorder: EventRecorder::new(&options.name, options.event_ttl, options.normal_events),
            shared,
            settings,
            pods: HashMap::new(),
            due: Timers::default(),
            arrived: 0,
            waiting: BTreeSet::new(),
            affine: 0,
            resizes: Resizes::default(),
            deadline: None,
            options,
        }
    }

    fn take_in(&mut self, changes: Changes) {
        if changes.restored {
            // The store holds another state, and the statuses that were written may be wrong.
            for uid in self.pods.keys().cloned().collect::<Vec<_>>() {
                self.forget(&uid);
            }
            self.register();
        }
        if changes.need_list() {
            self.relist();
            return self.retry();
        }
        let mut retry = false;
        for event in changes.events {
            match event.change {
                _ if event.object.resource != PODS => retry = true,
                Change::Added | Change::Modified => self.see(&event.object),
                Change::Deleted => self.forget(event.object.uid()),
            }
        }
        if retry {
            self.retry();
        }
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
        // Other Pods may want to be near this one, or no longer.
        let relabelled = running.labels != *pod.labels();
        running.labels = pod.labels().clone();
        let mut changed = running.behaviour != behaviour || running.grace != grace;
        (running.behaviour, running.grace) = (behaviour, grace);
        if pod.terminating() && !running.stage.is_stopping() {
            running.stage = Stage::Stopping;
            changed = true;
        }
        let waits = running.stage.waits();
        if relabelled || (changed && waits) {
            self.retry();
        }
        if changed && !waits {
            self.plan(uid, pod.value());
        }
        self.see_size(pod);
    }

    fn meet(&mut self, pod: &Object, behaviour: Behaviour, grace: Option<u64>) {
        let stage = if pod.terminating() { Stage::Stopping } else { Stage::of(pod.value()) };
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
        self.arrived += 1;
        let running = Running {
            namespace: pod.namespace().to_owned(),
            name: pod.name().to_owned(),
            number: self.arrived,
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
            if let Some((_, due)) = running.next {
                self.due.cancel(due);
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
        self.machines[0].capacity = self.settings.capacity;
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
        let all = [self.due.next(), self.recorder.next(), self.resizes.due.next(), self.deadline];
        all.into_iter().flatten().min()
    }

    fn circumstances<'a>(&'a self, running: &Running, pod: &'a Value) -> Circumstances<'a> {
        Circumstances {
            behaviour: running.behaviour,
            times: &self.options.times,
            pod,
            node_lost: self.settings.lost,
            is_program_done: None,
        }
    }

    /// Plans the stage after the present one of a Pod, and cancels the one planned before.
    fn plan(&mut self, uid: &str, pod: &Value) {
        let Some(running) = self.pods.get(uid) else { return };
        let is_program_done = running.stage.program(pod).map(|program| {
            // While the caller has the state locked, the program goes on.
            self.shared.try_state().is_some_and(|state| {
                let (namespace, name) = (&running.namespace, &running.name);
                network::from_pod(&self.shared, &state, namespace, name, program) == program.until
            })
        });
        let around = Circumstances { is_program_done, ..self.circumstances(running, pod) };
        let next = around.next(running.stage);
        let next = next.map(|(wait, stage)| (stage, self.due.plan(wait, uid.to_owned())));
        self.replace_next(uid, next);
    }

    /// Sets the next stage of a Pod.
    fn replace_next(&mut self, uid: &str, next: Option<(Stage, Due)>) {
        let Some(running) = self.pods.get_mut(uid) else { return };
        if let Some((_, due)) = std::mem::replace(&mut running.next, next) {
            self.due.cancel(due);
        }
    }

    /// Does all that is due.
    fn act(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.recorder.expire(&mut shared.state(), &shared.clock);
        self.notice_silence();
        while let Some(uid) = self.due.pop() {
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
            let reached = match stage {
                Stage::Networked if let Some(why) = self.attach_error(&cluster, &pod) => {
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
        let Some(running) = self.pods.get(pod.uid()) else { return pod.clone() };
        let around = self.circumstances(running, pod.value());
        let node = self.machines[running.node].name.clone();
        if report::needs_address(pod.value(), stage) {
            cluster.pod_addresses += 1;
        }
        let context = report::Context {
            now: self.shared.clock.stamp(),
            address: cluster.pod_addresses,
            container: cluster.random.next(),
            node: node.clone(),
            host: machines::address(running.node),
        };
        let mut value = pod.value().clone();
        if stage == Stage::Scheduled {
            value["spec"]["nodeName"] = node.as_str().into();
        }
        report::write(&mut value, stage, &around, &context);
        let events = events::about(stage, &around, &node);
        let mut written = commit_status(cluster, pod, value);
        for content in events {
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
