//! A row of the view: the known objects of one sandbox.

use std::sync::atomic::AtomicU64;

use lifecycle::observed::{
    Expiry, Observation, Observed, ObservedPod, ObservedService, ResourceVersion, Status,
};

use super::{View, merge::Known, pod_events::EventRecord};
use crate::timelines::Open;

#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(super) pod: Option<Known<ObservedPod>>,
    pub(super) service: Option<Known<ObservedService>>,
    /// The resourceVersion of the list in which the object was too large to be read, until it is read again. The
    /// object above is then its state before that.
    pub(super) pod_unreadable: Option<ResourceVersion>,
    pub(super) service_unreadable: Option<ResourceVersion>,
    /// The Kubernetes Events about the Pod. Boxed, because most Pods are ready and have none.
    pub(super) events: Option<Box<EventRecord>>,
    /// The steps of the sandbox so far.
    pub(super) timeline: Open,
    /// The expiry, as set by the actor.
    pub(super) expiry: Option<Expiry>,
    /// Whether the sandbox is unpublished.
    pub(super) unpublished: bool,
    /// Whether the actor deletes the sandbox, or will when it can.
    pub(super) being_deleted: bool,
    /// Whether the listener was notified and the actor has not looked since. One notification is enough.
    pub(super) notified: bool,
}

/// A kind of object: its field in a row, and its counter of lists.
pub(crate) trait Object: Observation + Clone + PartialEq {
    fn slot(row: &mut Row) -> &mut Option<Known<Self>>;
    fn known(row: &Row) -> Option<&Known<Self>>;
    fn unreadable(row: &mut Row) -> &mut Option<ResourceVersion>;
    fn lists(view: &View) -> &AtomicU64;
}

// === impl Row ===

impl Row {
    pub(super) fn seen(&self) -> Observed {
        Observed {
            pod: self.pod.as_ref().map(|known| known.object.clone()),
            service: self.service.as_ref().map(|known| known.object.clone()),
        }
    }

    pub(super) fn status(&self) -> Option<Status> {
        if self.unpublished || self.is_unreadable() {
            return None;
        }
        let status = Observed::status_of(
            self.pod.as_ref().map(|known| &known.object),
            self.service.as_ref().map(|known| &known.object),
        )?;
        Some(Status { expiry: self.expiry, reason: self.reason().or(status.reason), ..status })
    }

    pub(super) fn is_whole(&self) -> bool {
        !self.is_unreadable()
            && self.pod.as_ref().is_some_and(|known| !known.object.terminating)
            && self
                .service
                .as_ref()
                .is_some_and(|known| !known.object.terminating && known.object.url.is_some())
    }

    /// Returns whether an object may exist in a while.
    pub(super) fn may_live_on(&self) -> bool {
        self.unpublished
            || self.is_unreadable()
            || self.pod.as_ref().is_some_and(|known| !known.object.terminating)
            || self.service.as_ref().is_some_and(|known| !known.object.terminating)
    }

    /// Returns whether the row contains nothing.
    pub(super) fn is_void(&self) -> bool {
        self.pod.is_none() && self.service.is_none() && !self.unpublished && !self.is_unreadable()
    }
}

// === impl Object ===

impl Object for ObservedPod {
    fn slot(row: &mut Row) -> &mut Option<Known<Self>> {
        &mut row.pod
    }

    fn known(row: &Row) -> Option<&Known<Self>> {
        row.pod.as_ref()
    }

    fn unreadable(row: &mut Row) -> &mut Option<ResourceVersion> {
        &mut row.pod_unreadable
    }

    fn lists(view: &View) -> &AtomicU64 {
        &view.pod_lists
    }
}

impl Object for ObservedService {
    fn slot(row: &mut Row) -> &mut Option<Known<Self>> {
        &mut row.service
    }

    fn known(row: &Row) -> Option<&Known<Self>> {
        row.service.as_ref()
    }

    fn unreadable(row: &mut Row) -> &mut Option<ResourceVersion> {
        &mut row.service_unreadable
    }

    fn lists(view: &View) -> &AtomicU64 {
        &view.service_lists
    }
}
