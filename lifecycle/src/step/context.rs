//! The inputs of a step besides the event.

use std::time::Instant;

use jiff::Timestamp;

use crate::{
    ids::SandboxId,
    lifetime::{Clocks, Limits, Policy},
    observed::{Observed, ObservedPod},
    pull::PullTime,
};

/// The inputs of a step besides the event.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The id of the sandbox.
    pub id: &'a SandboxId,
    /// The time of the monotonic clock.
    pub now: Instant,
    /// The time of the wall clock, for responses and for the times in Kubernetes objects.
    pub wall: Timestamp,
    /// The lifetime settings.
    pub policy: &'a Policy,
    /// The observed objects in the shared view, including the outcome that this event reports.
    pub seen: &'a Observed,
    /// How long the pulls of the Pod's images take, as far as it is known.
    pub pull: Option<PullTime>,
    /// Whether the view is fresh. In a stale view the absence of an object proves nothing.
    pub fresh: bool,
}

// === impl Context ===

impl<'a> Context<'a> {
    /// Returns both clocks.
    pub(super) fn clocks(self) -> Clocks {
        Clocks { monotonic: self.now, wall: self.wall }
    }

    /// Returns the Pod, unless it is terminating.
    pub(super) fn live_pod(self) -> Option<&'a ObservedPod> {
        self.seen.pod.as_ref().filter(|pod| !pod.terminating)
    }

    /// Returns the Pod of a complete sandbox.
    pub(super) fn pod_of_whole(self) -> Option<&'a ObservedPod> {
        self.seen.pod.as_ref().filter(|_| self.seen.is_whole())
    }

    /// Returns the limits that apply to the Pod.
    pub(super) fn limits(self, pod: &ObservedPod) -> Limits {
        self.policy.limits(pod.annotations.limits)
    }
}
