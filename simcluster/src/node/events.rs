//! The Events a scheduler, a kubelet and a node controller write.
//!
//! [`about`] computes the Events from the Pod and its stage; [`EventRecorder`] keeps one Event a message, counts
//! repetitions, and deletes it an hour after the last one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::container::{start_error, who};
use super::image::{never_pulled, pull_error};
use super::life::{Circumstances, Stage};
use super::probes::{deciding, limits_boot};
use super::report::eviction_message;
use crate::clock::{Clock, stamp};
use crate::fields::items;
use crate::resource::{EVENTS, NAMESPACES};
use crate::shared::State;
use crate::store::{Object, text_at};
use crate::timers::Timers;

/// The content of an Event about a Pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct EventContent {
    pub warning: bool,
    pub reason: &'static str,
    pub message: String,
    /// The part of the Pod, if it is not about all of it.
    pub field: Option<String>,
    pub component: Component,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Component {
    Kubelet,
    Scheduler,
    NodeController,
    TaintManager,
    AttachDetach,
}

/// The Events that the node keeps.
#[derive(Debug)]
pub(super) struct EventRecorder {
    node: String,
    ttl: Duration,
    normal: bool,
    /// The Events of each Pod, by its uid.
    written: HashMap<String, Written>,
    /// The Events, by their Pod and their stamp, to look at whether they are old enough to go.
    aging: Timers<(Arc<PodName>, u64)>,
    /// The last stamp of an Event.
    last: u64,
    /// The hash of a content takes less memory than the content.
    hasher: RandomState,
}

/// The Events about a Pod.
#[derive(Debug)]
struct Written {
    pod: Arc<PodName>,
    /// The hash of each content, with the stamp of its Event.
    events: Vec<(u64, u64)>,
}

#[derive(Debug)]
struct PodName {
    namespace: Box<str>,
    name: Box<str>,
}

// === impl EventContent ===

impl EventContent {
    fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: false, reason, message: message.into(), field: None, component: Component::Kubelet }
    }

    fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: true, ..Self::normal(reason, message) }
    }

    /// The content as one of another component than the kubelet.
    fn by(self, component: Component) -> Self {
        Self { component, ..self }
    }

    /// The content as one about an item of a list of the Pod's spec.
    fn about(self, list: &str, container: &str) -> Self {
        Self { field: Some(format!("spec.{list}{{{container}}}")), ..self }
    }

    /// The attach controller's word on a Pod whose volume is on another node.
    pub fn failed_attach(why: &str) -> Self {
        Self::warning("FailedAttachVolume", why).by(Component::AttachDetach)
    }

    /// The scheduler's word on a Pod that does not fit.
    pub fn failed_scheduling(why: &str) -> Self {
        Self::warning("FailedScheduling", why).by(Component::Scheduler)
    }
}

/// Returns the Events about a Pod that has reached a stage, in order.
pub(super) fn about(stage: Stage, around: &Circumstances<'_>, node: &str) -> Vec<EventContent> {
    let pod = around.pod;
    let name = |key| text_at(pod, &["metadata", key]);
    match stage {
        Stage::Scheduled => {
            let message = format!("Successfully assigned {}/{} to {node}", name("namespace"), name("name"));
            vec![EventContent::normal("Scheduled", message).by(Component::Scheduler)]
        }
        Stage::MountFailed(_) => vec![EventContent::warning("FailedMount", mount_error(pod))],
        Stage::Evicted => {
            let evicted = EventContent::warning("Evicted", eviction_message(pod));
            [vec![evicted], stopping(pod)].concat()
        }
        Stage::StopSeen => stopping(pod),
        Stage::Lost => {
            vec![EventContent::warning("NodeNotReady", "Node is not ready").by(Component::NodeController)]
        }
        Stage::Abandoned if name("deletionTimestamp").is_empty() => {
            let message = format!("Marking for deletion Pod {}/{}", name("namespace"), name("name"));
            vec![EventContent::normal("TaintManagerEviction", message).by(Component::TaintManager)]
        }
        Stage::InitGoesOn(_) | Stage::Tried(_) => Vec::new(),
        Stage::Init(place) => {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            let init = &pod["spec"]["initContainers"][place];
            let name = text_at(init, &["name"]);
            let events = of_container(Stage::Ready(0), around, init).into_iter();
            events.map(|content| content.about("initContainers", name)).collect()
        }
        _ => {
            let containers = items(&pod["spec"]["containers"]);
            containers.flat_map(|container| of_container(stage, around, container)).collect()
        }
    }
}

/// Returns the kubelet's Events about one container.
fn of_container(stage: Stage, around: &Circumstances<'_>, container: &Value) -> Vec<EventContent> {
    let pod = around.pod;
    let (image, name) = (text_at(container, &["image"]), text_at(container, &["name"]));
    let normal = |reason, message: String| EventContent::normal(reason, message).about("containers", name);
    let warning = |reason, message: String| EventContent::warning(reason, message).about("containers", name);
    let pulled = || {
        if around.pulls() {
            let took = around.behaviour.pull.unwrap_or_default();
            normal(
                "Pulled",
                format!(
                    "Successfully pulled image {image:?} in {took:?} ({took:?} including waiting). Image size: 1048576 bytes."
                ),
            )
        } else {
            let there = "already present on machine and can be accessed by the pod";
            normal("Pulled", format!("Container image {image:?} {there}"))
        }
    };
    let created = || normal("Created", "Container created".to_owned());
    let started = || normal("Started", "Container started".to_owned());
    // Whether the container starts in this stage, or runs already.
    let starts = pod["status"]["containerStatuses"][0]["state"].get("running").is_none();
    match stage {
        Stage::Pulling(_) => vec![normal("Pulling", format!("Pulling image {image:?}"))],
        Stage::PullFailed(_) => vec![
            warning("Failed", format!("Failed to pull image {image:?}: {}", pull_error(image))),
            warning("Failed", "Error: ErrImagePull".to_owned()),
        ],
        Stage::PullBackOff(_) => vec![
            normal("BackOff", format!("Back-off pulling image {image:?}")),
            warning("Failed", "Error: ImagePullBackOff".to_owned()),
        ],
        Stage::NeverPulled(_) => vec![
            warning("ErrImageNeverPull", never_pulled(image)),
            warning("Failed", "Error: ErrImageNeverPull".to_owned()),
        ],
        Stage::Started(restarts) | Stage::Ready(restarts) if starts => {
            // A first pull has been told of already.
            let again = restarts > 0 && around.pulls();
            let pulling = again.then(|| normal("Pulling", format!("Pulling image {image:?}")));
            pulling.into_iter().chain([pulled(), created(), started()]).collect()
        }
        // The kubelet puts the container's name where containerd has its id, so that equal errors count as one.
        Stage::RunFailed(_) => {
            vec![
                pulled(),
                created(),
                warning("Failed", format!("Error: {}", start_error(pod).replace("{id}", name))),
            ]
        }
        Stage::BackOff(_) => {
            let message = format!("Back-off restarting failed container {name} in pod {}", who(pod));
            vec![warning("BackOff", message)]
        }
        Stage::Unready(..) => {
            let started = pod["status"]["containerStatuses"][0]["started"] == true;
            let failed = deciding(container, started).map(|(kind, probe)| probe_error(kind, probe));
            failed.map(|why| vec![warning("Unhealthy", why)]).unwrap_or_default()
        }
        Stage::Killed(_) => {
            let Some((kind, probe)) = limits_boot(container) else { return Vec::new() };
            let failed = probe_error(if kind == "startup" { "Startup" } else { "Liveness" }, probe);
            let killing = format!("Container {name} failed {kind} probe, will be restarted");
            vec![warning("Unhealthy", failed), normal("Killing", killing)]
        }
        _ => Vec::new(),
    }
}

fn stopping(pod: &Value) -> Vec<EventContent> {
    let statuses = items(&pod["status"]["containerStatuses"]);
    let running = statuses.filter(|status| status["state"].get("running").is_some());
    let names = running.map(|status| text_at(status, &["name"]));
    names
        .map(|name| {
            EventContent::normal("Killing", format!("Stopping container {name}")).about("containers", name)
        })
        .collect()
}

/// The error of the first volume that the node would have to find: a `hostPath` of a certain type, or any.
fn mount_error(pod: &Value) -> String {
    let mut volumes = items(&pod["spec"]["volumes"]);
    let checked = volumes.clone().find(|v| !text_at(v, &["hostPath", "type"]).is_empty());
    if let Some(volume) = checked {
        let (name, path) = (text_at(volume, &["name"]), text_at(volume, &["hostPath", "path"]));
        return format!(
            "MountVolume.SetUp failed for volume {name:?} : hostPath type check failed: {path} is not a directory"
        );
    }
    let name = volumes.next().map_or("", |volume| text_at(volume, &["name"]));
    format!(
        "MountVolume.SetUp failed for volume {name:?} : failed to sync configmap cache: timed out waiting for the \
         condition"
    )
}

/// How a probe fails.
fn probe_error(kind: &str, probe: &Value) -> String {
    let why = if probe.get("httpGet").is_some() {
        "HTTP probe failed with statuscode: 503".to_owned()
    } else if let Some(socket) = probe.get("tcpSocket") {
        format!("dial tcp :{}: connect: connection refused", socket["port"])
    } else {
        String::new()
    };
    format!("{kind} probe failed: {why}")
}

// === impl Component ===

impl Component {
    fn name(self) -> &'static str {
        match self {
            Self::Kubelet => "kubelet",
            Self::Scheduler => "default-scheduler",
            Self::NodeController => "node-controller",
            Self::TaintManager => "taint-eviction-controller",
            Self::AttachDetach => "attachdetach-controller",
        }
    }

    /// Returns the action of an Event in the new form, which only the scheduler writes.
    fn action(reason: &str) -> &'static str {
        if reason == "Scheduled" { "Binding" } else { "Scheduling" }
    }
}

// === impl Written and PodName ===

impl Written {
    fn new(pod: &Object) -> Self {
        let pod = PodName { namespace: pod.namespace().into(), name: pod.name().into() };
        Self { pod: Arc::new(pod), events: Vec::new() }
    }
}

impl PodName {
    /// Returns the name of the Event with a stamp.
    fn event(&self, stamp: u64) -> String {
        format!("{}.{stamp:016x}", self.name)
    }
}

// === impl EventRecorder ===

impl EventRecorder {
    /// Events go `ttl` after their message last came. Without `normal`, warnings alone are kept.
    pub fn new(node: &str, ttl: Duration, normal: bool) -> Self {
        let (written, aging, hasher) = (HashMap::new(), Timers::default(), RandomState::new());
        Self { node: node.to_owned(), ttl, normal, written, aging, last: 0, hasher }
    }

    /// Writes an Event about a Pod on a node, or counts a repetition.
    pub fn write(
        &mut self,
        state: &mut State,
        clock: &Clock,
        pod: &Object,
        content: &EventContent,
        host: &str,
    ) {
        let home = state.store.get(NAMESPACES, "", pod.namespace());
        // A terminating namespace accepts no new objects.
        if home.is_none_or(|namespace| namespace.terminating()) || (!content.warning && !self.normal) {
            return;
        }
        let now = clock.now();
        let written = self.written.entry(pod.uid().to_owned()).or_insert_with(|| Written::new(pod));
        let hash = self.hasher.hash_one(content);
        let before = written.events.iter().find(|(before, _)| *before == hash);
        let before = before
            .and_then(|(_, stamp)| state.store.get(EVENTS, pod.namespace(), &written.pod.event(*stamp)));
        if let Some(before) = before {
            let mut event = before.value().clone();
            if content.component == Component::Scheduler {
                let count = event["series"]["count"].as_i64().unwrap_or(1) + 1;
                event["series"] = json!({"count": count, "lastObservedTime": micro(now)});
            } else {
                event["count"] = (event["count"].as_i64().unwrap_or(1) + 1).into();
                event["lastTimestamp"] = stamp(now).into();
            }
            state.store.put(EVENTS, event);
            return;
        }
        // Stamps make names unique.
        self.last = u64::try_from(now.as_nanosecond()).unwrap_or(0).max(self.last + 1);
        written.events.retain(|(before, _)| *before != hash);
        written.events.push((hash, self.last));
        self.aging.plan(self.ttl, (Arc::clone(&written.pod), self.last));
        let name = written.pod.event(self.last);
        let mut event = self.event(pod, content, now, host);
        event["metadata"] = json!({
            "name": name, "namespace": pod.namespace(), "uid": state.random.uid(),
            "creationTimestamp": stamp(now),
        });
        state.store.put(EVENTS, event);
    }

    fn event(&self, pod: &Object, content: &EventContent, now: jiff::Timestamp, host: &str) -> Value {
        let mut about = json!({
            "kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid(), "apiVersion": "v1",
            "resourceVersion": pod.version.to_string(),
        });
        if let Some(field) = &content.field {
            about["fieldPath"] = field.as_str().into();
        }
        let who = content.component.name();
        let kind = if content.warning { "Warning" } else { "Normal" };
        let mut event = json!({
            "involvedObject": about, "reason": content.reason, "message": content.message, "type": kind,
            "reportingComponent": who,
        });
        let more = if content.component == Component::Scheduler {
            json!({
                "source": {}, "firstTimestamp": null, "lastTimestamp": null, "eventTime": micro(now),
                "action": Component::action(content.reason), "reportingInstance": format!("{who}-{}", self.node),
            })
        } else {
            let kubelet = content.component == Component::Kubelet;
            let source =
                if kubelet { json!({"component": who, "host": host}) } else { json!({"component": who}) };
            json!({
                "source": source, "firstTimestamp": stamp(now), "lastTimestamp": stamp(now), "count": 1,
                "eventTime": null, "reportingInstance": if kubelet { host } else { "" },
            })
        };
        if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
            event.extend(more);
        }
        event
    }

    /// Forgets which Events a Pod has; they stay until they are old.
    pub fn forget(&mut self, uid: &str) {
        self.written.remove(uid);
    }

    /// When the next Event may be old enough to go.
    pub fn next(&self) -> Option<Instant> {
        self.aging.next()
    }

    /// Removes the Events whose time has come.
    pub fn expire(&mut self, state: &mut State, clock: &Clock) {
        while let Some((pod, stamp)) = self.aging.pop() {
            let name = pod.event(stamp);
            let Some(event) = state.store.get(EVENTS, &pod.namespace, &name) else { continue };
            let last = [&event.value()["lastTimestamp"], &event.value()["series"]["lastObservedTime"]];
            let last = last.into_iter().find_map(|time| time.as_str()?.parse::<jiff::Timestamp>().ok());
            let age = last.and_then(|last| Duration::try_from(clock.now().duration_since(last)).ok());
            // A second more, because the time is written without its fraction.
            match age.filter(|age| *age < self.ttl) {
                Some(age) => {
                    let left = self.ttl.saturating_sub(age) + Duration::from_secs(1);
                    self.aging.plan(left, (pod, stamp));
                }
                None => drop(state.remove(EVENTS, &pod.namespace, &name)),
            }
        }
    }
}

/// A time as Kubernetes writes it where it keeps microseconds.
fn micro(time: jiff::Timestamp) -> String {
    let time = jiff::Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time);
    format!("{time:.6}")
}
