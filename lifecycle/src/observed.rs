//! The observed state of a sandbox's Pod and Service, as plain data.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    hold::Held,
    ids::ClusterName,
    lifetime::{LifetimeAnnotations, ReapReason},
    phase::{Phase, Reason},
    resize::Resize,
    spec::ObservedSpec,
};

/// The `metadata.uid` of an object. It differs for every object that is created under the same name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(pub Arc<str>);

/// An object's `metadata.resourceVersion`.
///
/// Only observations of the same uid are compared. Since 1.35 Kubernetes guarantees that the resourceVersions of one
/// resource are ordered as numbers. A value that is not a number becomes [`ResourceVersion::UNKNOWN`], the oldest of
/// all, so that an unreadable resourceVersion never hides a newer observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceVersion(pub u64);

/// The last observed state of a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPod {
    /// The uid, used as a precondition of deletes.
    pub uid: Uid,
    /// The resourceVersion of this observation.
    pub version: ResourceVersion,
    /// The phase that the cluster reports.
    pub phase: Phase,
    /// Whether the `Ready` condition is true.
    pub ready: bool,
    /// Whether the Pod is terminating (`metadata.deletionTimestamp` is set).
    pub terminating: bool,
    /// Why the Pod does not run, if the cluster reports a reason.
    pub reason: Option<Arc<Reason>>,
    /// The creation time.
    pub created: Option<Timestamp>,
    /// When it came closer to running.
    pub times: PodTimes,
    /// The part of the spec that callers are shown.
    pub spec: ObservedSpec,
    /// The lifetime annotations.
    pub annotations: LifetimeAnnotations,
}

/// When a Pod came closer to running, by the clocks of its cluster and in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PodTimes {
    /// When it got a node.
    pub scheduled: Option<Timestamp>,
    /// When the sandbox's container was started for the last time.
    pub started: Option<Timestamp>,
    /// How often the sandbox's container was started again.
    pub restarts: u32,
    /// Since when it is ready.
    pub ready: Option<Timestamp>,
}

/// The last observed state of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedService {
    /// The uid, used as a precondition of deletes.
    pub uid: Uid,
    /// The resourceVersion of this observation.
    pub version: ResourceVersion,
    /// Whether the Service is terminating.
    pub terminating: bool,
    /// The URL of the sandbox; `None` while the Service has no usable port.
    pub url: Option<Arc<str>>,
    /// The URL in the cluster, if the Service has no usable port outside it: it was created under another
    /// `SANDBOX_SERVICE_TYPE`, or its node port was removed.
    pub internal_url: Option<Arc<str>>,
}

/// The observed objects of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The Pod, if it exists.
    pub pod: Option<ObservedPod>,
    /// The Service, if it exists.
    pub service: Option<ObservedService>,
}

/// The status of a sandbox, as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The cluster that it lives on.
    pub cluster: ClusterName,
    /// The URL of the sandbox.
    pub url: Arc<str>,
    /// The phase of its Pod, or `Terminating`.
    pub phase: Phase,
    /// Whether the URL works: the Pod is ready and not terminating, and its Service has an address.
    pub ready: bool,
    /// Why the Pod does not run, if the cluster reports a reason.
    pub reason: Option<Arc<Reason>>,
    /// The uid of its Pod.
    pub pod: Uid,
    /// The creation time of its Pod.
    pub created: Option<Timestamp>,
    /// The part of its Pod's spec that callers are shown.
    pub spec: ObservedSpec,
    /// The expiry, if a limit applies.
    pub expiry: Option<Expiry>,
}

/// The expiry of a sandbox, as callers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// The time of the last activity.
    pub idle_since: Timestamp,
    /// The time of the reap if there is no further activity.
    pub expires_at: Timestamp,
    /// The limit that is reached then.
    pub reason: ReapReason,
    /// Why the sandbox still exists after `expires_at`.
    pub held: Option<Held>,
}

/// The properties that [`ObservedPod`] and [`ObservedService`] share, for code that merges observations of either.
pub trait Observation {
    /// Returns the uid of the object.
    fn uid(&self) -> &Uid;
    /// Returns the resourceVersion of this observation.
    fn version(&self) -> ResourceVersion;
    /// Returns whether two observations lead to the same decisions.
    fn is_equivalent(&self, other: &Self) -> bool;
    /// Adds what only the earlier observation of the same object shows.
    fn follow(&mut self, _earlier: &Self) {}
}

// === impl Observation ===

impl Observation for ObservedPod {
    fn uid(&self) -> &Uid {
        &self.uid
    }

    fn version(&self) -> ResourceVersion {
        self.version
    }

    fn is_equivalent(&self, other: &Self) -> bool {
        let expiry = |pod: &Self| (pod.phase, pod.ready, pod.terminating);
        self.uid == other.uid
            && expiry(self) == expiry(other)
            && self.annotations == other.annotations
            && self.spec.cpu_after_start == other.spec.cpu_after_start
    }

    fn follow(&mut self, earlier: &Self) {
        // The cluster reports only a resize that is in progress.
        if self.spec.resize.is_none() && earlier.spec.resize.is_some() {
            self.spec.resize = Some(Box::new(Resize::DONE));
        }
        // Each observation has its own copy, and the log of changes keeps earlier ones.
        if self.spec.origin == earlier.spec.origin {
            self.spec.origin = earlier.spec.origin.clone();
        }
    }
}

impl Observation for ObservedService {
    fn uid(&self) -> &Uid {
        &self.uid
    }

    fn version(&self) -> ResourceVersion {
        self.version
    }

    fn is_equivalent(&self, other: &Self) -> bool {
        self.uid == other.uid && self.terminating == other.terminating && self.url == other.url
    }
}

// === impl ObservedService ===

impl ObservedService {
    /// Returns the URL, or the one in the cluster if there is no other.
    #[must_use]
    pub fn any_url(&self) -> Option<&Arc<str>> {
        self.url.as_ref().or(self.internal_url.as_ref())
    }
}

// === impl ResourceVersion ===

impl ResourceVersion {
    /// A resourceVersion older than every other.
    pub const UNKNOWN: Self = Self(0);
    /// A resourceVersion newer than every other.
    pub const NEWEST: Self = Self(u64::MAX);

    /// Parses `metadata.resourceVersion`.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        text.and_then(|t| t.parse().ok()).map_or(Self::UNKNOWN, Self)
    }
}

// === impl Observed ===

impl Observed {
    /// Returns whether no object of the sandbox exists.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pod.is_none() && self.service.is_none()
    }

    /// Returns whether the sandbox is complete: a Pod and a Service exist, and neither is terminating.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.pod.as_ref().is_some_and(|p| !p.terminating)
            && self.service.as_ref().is_some_and(|s| !s.terminating)
    }

    /// Returns the status that callers see.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        Self::status_of(self.pod.as_ref(), self.service.as_ref())
    }

    /// Returns the status of these two objects; `None` if callers see no sandbox.
    ///
    /// Clients consider a sandbox with any status usable, so both objects must exist. While only the Pod is
    /// terminating, the sandbox exists and is `Terminating`.
    #[must_use]
    pub fn status_of(pod: Option<&ObservedPod>, service: Option<&ObservedService>) -> Option<Status> {
        let service = service.filter(|s| !s.terminating)?;
        let pod = pod?;
        let no_node_port = || service.url.is_none().then(|| Arc::new(Reason::no_node_port()));
        Some(Status {
            cluster: ClusterName::DEFAULT,
            url: service.any_url()?.clone(),
            phase: if pod.terminating { Phase::Terminating } else { pod.phase },
            ready: pod.ready && !pod.terminating && service.url.is_some(),
            reason: pod.reason.clone().or_else(no_node_port),
            pod: pod.uid.clone(),
            created: pod.created,
            spec: pod.spec.clone(),
            expiry: None,
        })
    }
}
