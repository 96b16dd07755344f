//! The stages, events and actions of the state machines.

use std::{sync::Arc, time::Instant};

use crate::{
    error::{ClusterError, SandboxError},
    lifetime::{LifetimePatch, LimitsPatch, Owner, ReapReason},
    observed::{Status, Uid},
    request::CreateRequest,
    spec::{ObservedSpec, Requirements, Resources},
    traits::{Busy, Creation, Foreign, Manifest, Manifests, Outcome, Preconditions},
};

/// The stage of a sandbox. `W` is the handle through which a caller receives its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage<W> {
    /// No request is pending and no call is in flight. The other stages start and end here.
    Steady { orphan_since: Option<Instant> },
    /// Objects are being created or deleted. Boxed, because most sandboxes are steady.
    Existence(Box<Existence<W>>),
    /// A complete sandbox is being used, changed or reaped.
    Lifetime(Lifetime<W>),
}

/// The stages in which objects are created or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Existence<W> {
    /// A POST waits until the objects of an earlier sandbox with this id are gone.
    Waiting(PendingCreate<W>),
    /// The objects are being created or read. A call is in flight.
    Creating {
        create: PendingCreate<W>,
        /// The error to answer with, once the read that is in flight has shown what to undo.
        failure: Option<SandboxError>,
    },
    /// The sandbox has been an orphan for its grace and is read again before it is deleted. A call is in flight.
    ConfirmingOrphan,
    /// Objects are being deleted. A call is in flight.
    Deleting { delete: PendingDelete<W>, next: AfterDelete<W> },
    /// A deletion failed, or a create has an unknown outcome and must be undone. The deletion is retried later.
    DeleteBackoff { delete: PendingDelete<W>, retry_at: Instant },
    /// The objects are read before a deletion. A call is in flight.
    ConfirmingDelete(PendingDelete<W>),
}

/// The stages in which a complete sandbox is used, changed or reaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lifetime<W> {
    /// The idle timeout is reached, and the sandbox is asked whether it is busy. A call is in flight.
    Probing,
    /// The sandbox is being reaped. A call is in flight.
    Reaping(ReapReason),
    /// The outcome of a reap is unknown. Nothing is reported until a read has shown whether the Pod is gone.
    ReapUnknown { reason: ReapReason, retry_at: Instant },
    /// The objects are read after a reap with an unknown outcome. A call is in flight.
    ConfirmingReap(ReapReason),
    /// Activity is being written. These callers receive the sandbox after it. A call is in flight.
    RecordingUse(Vec<W>),
    /// The limits are being written for this caller. A call is in flight.
    Updating(W),
    /// The container is being resized, for this caller or because it is ready. A call is in flight.
    Resizing(Option<W>),
}

/// A create in progress and its callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingCreate<W> {
    /// The manifests from the request of the first caller.
    pub(crate) manifests: Manifests,
    /// The spec of the Pod that the manifest describes.
    pub(crate) expected: ObservedSpec,
    pub(crate) waiters: Vec<PostWaiter<W>>,
    /// When the first caller's request arrived.
    pub(crate) received: Instant,
    /// The owner from the last request.
    pub(crate) pending_owner: Option<Owner>,
    /// The number of write attempts so far.
    pub(crate) attempts: u8,
    /// Whether the objects have been read since the create arrived or last waited.
    pub(crate) verified: bool,
    /// The objects that this create has written, or may have written.
    pub(crate) made: Objects,
    /// Since when the sandbox was an orphan before the create. If the create fails, its grace does not begin again.
    pub(crate) orphan_since: Option<Instant>,
    /// Why the outcome of the last attempt is unknown. If no attempt is left, the callers receive this error.
    pub(crate) last_unknown: Option<SandboxError>,
}

/// A caller that waits for a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PostWaiter<W> {
    pub(crate) waiter: W,
    pub(crate) until: Instant,
    pub(crate) requirements: Requirements,
}

/// A deletion in progress and its callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingDelete<W> {
    pub(crate) targets: Objects,
    /// The number of earlier attempts.
    pub(crate) attempts: u32,
    pub(crate) waiters: Vec<W>,
    /// Whether the sandbox is unpublished until the objects are gone.
    pub(crate) unpublished: bool,
}

/// The continuation after a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AfterDelete<W> {
    Nothing,
    /// The create fails with this error; the deletion undid its writes.
    Fail(PendingCreate<W>, SandboxError),
    /// The create continues; the deleted objects were in its way.
    Create(PendingCreate<W>),
}

/// A subset of a sandbox's two objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Objects {
    pub(crate) pod: bool,
    pub(crate) service: bool,
}

/// An input of the state machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<W> {
    /// A caller requests the sandbox.
    Post {
        /// The parsed request.
        request: Arc<CreateRequest>,
        /// The manifests for the request.
        manifests: Manifests,
        /// The caller.
        waiter: W,
        /// When the request arrived.
        received: Instant,
        /// The time until which the caller waits for its sandbox.
        until: Instant,
    },
    /// A caller requests the deletion.
    Delete {
        /// The caller.
        waiter: W,
        /// The owner that the caller claims to be.
        owner: Option<Owner>,
        /// The only Pod that the caller wants to be deleted. With another one, or without one, nothing is done.
        only: Option<Uid>,
    },
    /// A caller uses the sandbox.
    Touch {
        /// The caller, if it wants the sandbox's status.
        waiter: Option<W>,
        /// The owner that the caller claims to be.
        owner: Option<Owner>,
    },
    /// A caller changes the limits.
    Change {
        /// The new limits.
        change: LimitsPatch,
        /// The caller.
        waiter: W,
        /// The owner that the caller claims to be.
        owner: Option<Owner>,
    },
    /// A caller resizes the sandbox in place.
    Resize {
        /// The new limits of its container.
        resources: Resources,
        /// The caller.
        waiter: W,
        /// The owner that the caller claims to be.
        owner: Option<Owner>,
    },
    /// The observed objects may have changed.
    Resync,
    /// The time of the last [`Action::SetTimer`] is reached.
    Due,
    /// The reap limits no longer defer reaps.
    Resumed,
    /// The outcome of [`Action::Create`], for each object that it named.
    Created {
        /// The outcome for the Pod.
        pod: Option<Outcome<Creation<()>>>,
        /// The outcome for the Service.
        service: Option<Outcome<Creation<()>>>,
    },
    /// The outcome of [`Action::Delete`], for each object that it named.
    Deleted {
        /// The outcome for the Pod.
        pod: Option<Outcome<()>>,
        /// The outcome for the Service.
        service: Option<Outcome<()>>,
    },
    /// The outcome of [`Action::Read`], with the foreign object, if there is one.
    Read(Result<Option<Foreign>, ClusterError>),
    /// The outcome of [`Action::Write`].
    Written(Outcome<()>),
    /// The outcome of [`Action::Resize`].
    Resized(Outcome<()>),
    /// The outcome of [`Action::Probe`].
    Probed(Busy),
    /// The outcome of [`Action::Reap`]. The Service is deleted only after the Pod.
    Reaped {
        /// The outcome for the Pod.
        pod: Outcome<()>,
        /// The outcome for the Service.
        service: Option<Outcome<()>>,
    },
    /// The reap limits defer the [`Action::Reap`] until this time.
    Deferred(Instant),
    /// The [`Action::Reap`] was not executed, because reaping is a dry run.
    DryRun,
}

/// An instruction to the actor. The actor makes no decisions of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Action<W> {
    /// Create the objects with these manifests, in parallel.
    Create {
        /// The manifest of the Pod, if it is to be created.
        pod: Option<Manifest>,
        /// The manifest of the Service, if it is to be created.
        service: Option<Manifest>,
        /// When the first caller's request arrived.
        received: Instant,
        /// The time until which a caller waits for it.
        until: Instant,
    },
    /// Delete these objects, in parallel, with their uids as preconditions.
    Delete {
        /// The uid of the Pod, if it is to be deleted.
        pod: Option<Uid>,
        /// The uid of the Service, if it is to be deleted.
        service: Option<Uid>,
    },
    /// Read both objects from the API server.
    Read,
    /// Write annotations to the Pod with this uid.
    Write {
        /// The uid of the Pod.
        uid: Uid,
        /// The annotations to change.
        annotations: LifetimePatch,
    },
    /// Resize the container of the Pod with this uid.
    Resize {
        /// The uid of the Pod.
        uid: Uid,
        /// The new limits.
        resources: Resources,
        /// Whether it lowers the CPU because the sandbox is ready. No caller has asked for it.
        after_start: bool,
    },
    /// Probe the sandbox for activity.
    Probe {
        /// The URL of the sandbox.
        url: Arc<str>,
    },
    /// Delete the sandbox if the reap limits allow it and it has not changed since it was observed.
    Reap {
        /// The Pod's uid and resourceVersion.
        pod: Preconditions,
        /// The Service's uid and resourceVersion, if there is a Service.
        service: Option<Preconditions>,
        /// The reason for the reap.
        reason: ReapReason,
    },
    /// Record that the sandbox was reaped.
    RecordReap(ReapReason),
    /// Answer a caller.
    Answer(W, Result<Reply, SandboxError>),
    /// Send [`Event::Due`] at this time. It replaces an earlier timer.
    SetTimer(Instant),
    /// Stop the actor: no object is left.
    Stop,
}

/// A successful answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The sandbox exists, with this status.
    Made(Box<Status>),
    /// The sandbox does not exist or is being deleted.
    Gone,
}

// === impl Stage ===

impl<W> Default for Stage<W> {
    fn default() -> Self {
        Self::Steady { orphan_since: None }
    }
}

impl<W> Stage<W> {
    /// Returns whether the sandbox is unpublished, so that reads must not show it.
    pub(super) fn is_unpublished(&self) -> bool {
        let Self::Existence(existence) = self else { return false };
        match &**existence {
            // Before the first write, the objects are only being read.
            Existence::Creating { create, .. } => create.attempts > 0 || create.made.any(),
            Existence::Deleting { delete, next } => {
                delete.unpublished || !matches!(next, AfterDelete::Nothing)
            }
            Existence::DeleteBackoff { delete, .. } | Existence::ConfirmingDelete(delete) => {
                delete.unpublished
            }
            Existence::Waiting(_) | Existence::ConfirmingOrphan => false,
        }
    }

    /// Returns whether a deletion of the sandbox has been decided and is not over.
    pub(super) fn is_being_deleted(&self) -> bool {
        let Self::Existence(existence) = self else { return false };
        matches!(
            **existence,
            Existence::Deleting { .. } | Existence::DeleteBackoff { .. } | Existence::ConfirmingDelete(_)
        )
    }
}

impl<W> From<Existence<W>> for Stage<W> {
    fn from(existence: Existence<W>) -> Self {
        Self::Existence(Box::new(existence))
    }
}

impl<W> From<Lifetime<W>> for Stage<W> {
    fn from(lifetime: Lifetime<W>) -> Self {
        Self::Lifetime(lifetime)
    }
}

// === impl PendingDelete ===

impl<W> PendingDelete<W> {
    /// Creates a deletion of a published sandbox that no caller has asked for.
    pub(super) fn of(targets: Objects) -> Self {
        Self { targets, attempts: 0, waiters: vec![], unpublished: false }
    }

    /// Creates a deletion of an unpublished sandbox.
    pub(super) fn unpublished(targets: Objects) -> Self {
        Self { unpublished: true, ..Self::of(targets) }
    }
}

// === impl Objects ===

impl Objects {
    pub(crate) const NONE: Self = Self { pod: false, service: false };
    pub(crate) const SERVICE: Self = Self { pod: false, service: true };
    pub(crate) const BOTH: Self = Self { pod: true, service: true };

    /// Returns whether at least one object is in the subset.
    pub(crate) const fn any(self) -> bool {
        self.pod || self.service
    }
}

// === impl Event ===

impl<W> Event<W> {
    /// Returns the caller that this event must answer.
    pub fn into_waiter(self) -> Option<W> {
        match self {
            Self::Post { waiter, .. }
            | Self::Delete { waiter, .. }
            | Self::Change { waiter, .. }
            | Self::Resize { waiter, .. } => Some(waiter),
            Self::Touch { waiter, .. } => waiter,
            Self::Resync
            | Self::Due
            | Self::Resumed
            | Self::Created { .. }
            | Self::Deleted { .. }
            | Self::Read(_)
            | Self::Written(_)
            | Self::Resized(_)
            | Self::Probed(_)
            | Self::Reaped { .. }
            | Self::Deferred(_)
            | Self::DryRun => None,
        }
    }
}
