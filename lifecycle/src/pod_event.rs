//! Kubernetes' Events about a Pod. They tell more than its status does, such as why a volume cannot be mounted.

use jiff::Timestamp;

use crate::{
    named,
    observed::{ObservedPod, ResourceVersion},
    phase::{Phase, Reason},
    pull::{PullStep, PullTime, Pulls},
    text::shortened,
};

/// An Event about a sandbox's Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodEvent {
    /// The kind of the Event.
    pub kind: PodEventKind,
    /// The text of the Event, shortened to [`Reason::MESSAGE_MAX`] bytes.
    pub message: Box<str>,
    /// The resourceVersion of the Event, which orders the Events of a namespace.
    pub version: ResourceVersion,
    /// When it last happened, by the clock of the component that has written it.
    pub at: Option<Timestamp>,
    /// Whether a list has shown it, so that it may have happened long ago.
    pub is_listed: bool,
    /// The container that it is about, as the field of the Pod's spec; empty if it is about the whole Pod.
    pub container: Box<str>,
    /// When it first happened, on the clock of the node.
    pub first_at: Option<Timestamp>,
}

named! {
    /// The reasons of Events that are kept. Kubernetes' own name of each is [`PodEventKind::name`].
    ///
    /// `Scheduled`, `Created` and `Started` are not among them. The Pod's status shows when it got a node, and the kubelet
    /// reports the image before each start of a container.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum PodEventKind {
        /// No node fits.
        FailedScheduling = "FailedScheduling",
        /// A volume of a claim cannot be attached to the node.
        FailedAttachVolume = "FailedAttachVolume",
        /// A volume cannot be mounted.
        FailedMount = "FailedMount",
        /// The network of the Pod cannot be set up, or the container runtime fails.
        FailedCreatePodSandBox = "FailedCreatePodSandBox",
        /// A container cannot be made or its image cannot be pulled.
        Failed = "Failed",
        /// A container or the pull of its image is repeated later.
        BackOff = "BackOff",
        /// A probe has failed.
        Unhealthy = "Unhealthy",
        /// The kubelet stops a container.
        Killing = "Killing",
        /// A Pod of higher priority has taken its place.
        Preempted = "Preempted",
        /// The node has evicted the Pod.
        Evicted = "Evicted",
        /// The node is not ready.
        NodeNotReady = "NodeNotReady",
        /// An image is being pulled.
        Pulling = "Pulling",
        /// An image is on the node.
        Pulled = "Pulled",
    }
}

/// The Events about one Pod that is not ready, as far as they are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodEvents {
    /// The newest Event of each kind.
    newest: Vec<PodEvent>,
    pulls: Pulls,
}

/// The reasons in a Pod's status that only say that it is not ready yet. An Event may know why.
const VAGUE: [&str; 4] = ["ContainerCreating", "PodInitializing", "ContainersNotReady", "NodeNotReady"];

// === impl PodEventKind ===

impl PodEventKind {
    /// Returns what the Event says about the pull of an image.
    const fn pull_step(self) -> Option<PullStep> {
        match self {
            Self::Pulling => Some(PullStep::Began),
            Self::Pulled => Some(PullStep::Ended),
            _ => None,
        }
    }

    /// Returns whether the Event says why a Pod is deleted that its client has not deleted.
    const fn ends_pods(self) -> bool {
        matches!(self, Self::Preempted | Self::Evicted | Self::NodeNotReady)
    }

    /// Returns whether the Event is about the time before the containers run.
    const fn is_of_the_start(self) -> bool {
        self.is_progress()
            || matches!(
                self,
                Self::FailedScheduling
                    | Self::FailedAttachVolume
                    | Self::FailedMount
                    | Self::FailedCreatePodSandBox
            )
    }

    /// Returns whether the Event shows that the start goes on, and so ends the trouble before it.
    const fn is_progress(self) -> bool {
        matches!(self, Self::Pulling | Self::Pulled)
    }
}

// === impl PodEvent ===

impl PodEvent {
    /// Creates an Event about the whole Pod and without a time, if its reason is kept and its message says something: the kubelet repeats the reason in the Pod's
    /// status as an Event of its own, such as `Error: ImagePullBackOff`.
    #[must_use]
    pub fn new(reason: &str, message: &str, version: ResourceVersion) -> Option<Self> {
        let kind = PodEventKind::parse(reason)?;
        let repeats_the_status = kind == PodEventKind::Failed
            && message.strip_prefix("Error: ").is_some_and(|rest| !rest.contains(char::is_whitespace));
        let message = shortened(message, Reason::MESSAGE_MAX).into();
        (!repeats_the_status).then(|| Self {
            kind,
            message,
            version,
            at: None,
            is_listed: false,
            container: Box::default(),
            first_at: None,
        })
    }

    /// Sets when it last happened, and whether a list has shown it.
    #[must_use]
    pub fn happened(self, at: Option<Timestamp>, is_listed: bool) -> Self {
        Self { at, is_listed, ..self }
    }
}

// === impl PodEvents ===

impl PodEvents {
    /// Adds an Event. Returns whether the newest Events change: a newer one of its kind may be known, and an Event about the
    /// start is dropped if the Pod is ready.
    pub fn record(&mut self, event: PodEvent, is_ready: bool) -> bool {
        if is_ready && event.kind.is_of_the_start() {
            return false;
        }
        if let (Some(step), Some(at)) = (event.kind.pull_step(), event.first_at) {
            self.pulls.record(&event.container, step, at);
        }
        match self.newest.iter_mut().find(|known| known.kind == event.kind) {
            Some(known) if known.version >= event.version => false,
            Some(known) => {
                *known = event;
                true
            }
            None => {
                self.newest.push(event);
                true
            }
        }
    }

    /// Returns how long the pulls of the Pod's images take; `None` if no pull is known.
    #[must_use]
    pub fn pull_time(&self) -> Option<PullTime> {
        self.pulls.time()
    }

    /// Returns the reason why the Pod does not run: that of its status, or that of the newest Event where the status does
    /// not know more than that the Pod is not ready.
    #[must_use]
    pub fn explain(&self, pod: &ObservedPod) -> Option<Reason> {
        // Without a node the scheduler's words hold, and not after it.
        let holds =
            |event: &&PodEvent| event.kind != PodEventKind::FailedScheduling || pod.times.scheduled.is_none();
        let newest = self.newest.iter().filter(holds).max_by_key(|event| event.version);
        let is_vague = pod.reason.as_deref().is_none_or(|reason| VAGUE.contains(&&*reason.name));
        if pod.terminating {
            let newest = newest.filter(|event| is_vague && event.kind.ends_pods())?;
            return Some(Reason::new(newest.kind.name(), Some(&newest.message)));
        }
        if pod.ready {
            return None;
        }
        match pod.reason.as_deref() {
            Some(reason) if matches!(&*reason.name, "ErrImagePull" | "ImagePullBackOff") => {
                let failed = self.newest.iter().find(|event| event.kind == PodEventKind::Failed)?;
                let words = Reason::new(&reason.name, Some(&failed.message));
                Some(Reason { container: reason.container, ..words })
            }
            Some(_) if !is_vague => None,
            None if pod.phase != Phase::Pending && pod.phase != Phase::Running => None,
            reason => {
                let newest = newest?;
                if !newest.kind.is_progress() {
                    return Some(Reason::new(newest.kind.name(), Some(&newest.message)));
                }
                let reason = reason.filter(|reason| &*reason.name == "ContainerCreating")?;
                let is_pulling = newest.kind == PodEventKind::Pulling;
                is_pulling.then(|| Reason::new(&reason.name, Some(&newest.message)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
