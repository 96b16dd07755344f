//! What is known of a sandbox's Pod and Service: plain data, read off the cluster.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    hold::Held,
    lifetime::{LifetimeAnnotations, ReapReason},
    phase::{Phase, Reason},
    spec::ObservedSpec,
};

/// An object's `metadata.uid`: one life of a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(pub Arc<str>);

/// An object's `metadata.resourceVersion`.
///
/// Compared only between observations of one uid. Kubernetes promises since 1.35 that versions of one
/// resource order as numbers; a text that is no number is [`ResourceVersion::UNKNOWN`], older than any other, so
/// that an unreadable version never hides news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceVersion(pub u64);

/// A Pod as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPod {
    /// Which life of the name this is; deletes carry it.
    pub uid: Uid,
    /// How new this sight is.
    pub version: ResourceVersion,
    /// The phase, as the cluster reports it.
    pub phase: Phase,
    /// Whether the readiness condition holds.
    pub ready: bool,
    /// Whether it is on its way out (`metadata.deletionTimestamp` is set).
    pub terminating: bool,
    /// Why it does not run, where the cluster says.
    pub reason: Option<Reason>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The part of its spec that callers are told.
    pub spec: ObservedSpec,
    /// What is written on it about its life.
    pub annotations: LifetimeAnnotations,
}

/// A Service as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedService {
    /// Which life of the name this is; deletes carry it.
    pub uid: Uid,
    /// How new this sight is.
    pub version: ResourceVersion,
    /// Whether it is on its way out.
    pub terminating: bool,
    /// Where callers reach the sandbox; `None` while the Service has no usable port.
    pub url: Option<Arc<str>>,
}

/// All that is known of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Its Pod, if there is one.
    pub pod: Option<ObservedPod>,
    /// Its Service, if there is one.
    pub service: Option<ObservedService>,
}

/// What callers are told of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Where to reach it.
    pub url: Arc<str>,
    /// Its Pod's phase, or that the Pod is terminating.
    pub phase: Phase,
    /// Why it does not run, where the cluster says.
    pub reason: Option<Reason>,
    /// The uid of its Pod.
    pub pod: Uid,
    /// When its Pod was made.
    pub created: Option<Timestamp>,
    /// The part of its Pod's spec that callers are told.
    pub spec: ObservedSpec,
    /// How long it will live, where that is limited.
    pub expiry: Option<Expiry>,
}

/// What callers are told of a sandbox's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// Since when it has shown no sign of life.
    pub idle_since: Timestamp,
    /// When it will be reaped if it shows none until then.
    pub expires_at: Timestamp,
    /// Why it will be.
    pub cause: ReapReason,
    /// Why it is still there after `expires_at`.
    pub held: Option<Held>,
}

/// What [`ObservedPod`] and [`ObservedService`] have in common, for whoever merges sights of either.
pub trait Observation {
    /// Which life of the name this is.
    fn uid(&self) -> &Uid;
    /// How new this sight is.
    fn version(&self) -> ResourceVersion;
    /// Whether no decision could depend on the difference.
    fn is_equivalent(&self, other: &Self) -> bool;
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
        self.uid == other.uid && expiry(self) == expiry(other) && self.annotations == other.annotations
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

// === impl ResourceVersion ===

impl ResourceVersion {
    /// Older than every other.
    pub const UNKNOWN: Self = Self(0);
    /// Newer than every other.
    pub const NEWEST: Self = Self(u64::MAX);

    /// Reads `metadata.resourceVersion`.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        text.and_then(|t| t.parse().ok()).map_or(Self::UNKNOWN, Self)
    }
}

// === impl Observed ===

impl Observed {
    /// Whether nothing of the sandbox is left in the cluster.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pod.is_none() && self.service.is_none()
    }

    /// Whether there is a Service and a Pod, neither of them on its way out, with a URL to give.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.pod.as_ref().is_some_and(|p| !p.terminating)
            && self.service.as_ref().is_some_and(|s| !s.terminating && s.url.is_some())
    }

    /// What to tell callers of it.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        Self::status_of(self.pod.as_ref(), self.service.as_ref())
    }

    /// What to tell callers of these two: `None` where they are told that there is no such sandbox.
    ///
    /// Clients take any status for a sandbox that they can use, so both objects must exist. While only the Pod is
    /// terminating, the sandbox exists and is `Terminating`.
    #[must_use]
    pub fn status_of(pod: Option<&ObservedPod>, service: Option<&ObservedService>) -> Option<Status> {
        let url = service.filter(|s| !s.terminating)?.url.clone()?;
        let pod = pod?;
        Some(Status {
            url,
            phase: if pod.terminating { Phase::Terminating } else { pod.phase },
            reason: pod.reason.clone(),
            pod: pod.uid.clone(),
            created: pod.created,
            spec: pod.spec,
            expiry: None,
        })
    }
}
