//! The state machine of one sandbox: a pure function of the event, the observed objects and the time.
//!
//! The caller of [`step`] (the sandbox's actor) keeps the [`Stage`], passes in one [`Event`] at a time and executes
//! the [`Action`]s in order. A step contains at most one action that calls the cluster. The actor passes its outcome
//! back as the next event before it takes another message, so requests for one sandbox queue. The outcome first goes
//! into the shared view, so [`Context::seen`] already contains it.
//!
//! ```text
//!            Post                     old Pod gone
//! Steady ──────────▸ Creating ◂────────────────────── Waiting
//!    ▲ ▲               │ │ ▲                             ▲
//!    │ │ ready: Answer │ │ └─ Read, Created ─┐           │ an object is terminating
//!    │ └───────────────┘ └───────────────────┴───────────┘
//!    │                 │ refused
//!    │   all gone      ▼            failed or unknown
//!    └────────────── Deleting ───────────────────────────▸ DeleteBackoff ──▸ (wait, Read, Delete) …
//!
//! Steady ── limit reached ─────▸ Reaping ────────── outcome unknown ──▸ ReapUnknown ── Read ──▸ Steady
//! Steady ── orphan for 60 s ───▸ ConfirmingOrphan ─ confirmed ────────▸ Deleting
//! Steady ── used or returned ──▸ RecordingUse ───── Written ──────────▸ Steady, then Answer
//! Steady ── Event::Change ─────▸ Updating ───────── Written ──────────▸ Steady, then Answer
//! ```

mod create;
mod live;
mod reap;
mod remove;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::{
    budget::POST_PATIENCE,
    error::{ClusterError, ClusterErrorKind, SandboxError},
    hold::Hold,
    ids::SandboxId,
    lifetime::{Activity, LifetimeAnnotations, LimitsPatch, Owner, Policy, ReapReason},
    observed::{Expiry, Observed, Status, Uid},
    request::CreateRequest,
    spec::{ObservedSpec, Requirements},
    traits::{Busy, Outcome, Preconditions},
};

/// The time after which an orphan is deleted. It is longer than any create takes, so an object is not deleted while an
/// earlier process or another replica still creates its counterpart.
pub const ORPHAN_GRACE: Duration = Duration::from_secs(60);

/// The maximum number of write attempts of one POST: the first, one after a read, and one after a replacement.
pub const MAX_ROUNDS: u8 = 3;

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
    /// Whether the view is fresh. In a stale view the absence of an object proves nothing.
    pub fresh: bool,
}

/// The in-memory state of one sandbox. `W` is the handle through which a caller receives its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox<W> {
    /// The stage of the state machine.
    pub stage: Stage<W>,
    /// The lifetime of the current Pod; `None` without a Pod.
    pub lifetime: Option<LifetimeState>,
    /// The owner from the last POST, until that POST has been answered.
    claim: Option<Owner>,
}

/// The lifetime of one Pod, and the time at which it is evaluated next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifetimeState {
    /// The Pod.
    uid: Uid,
    activity: Activity,
    /// When [`Event::Due`] arrives. Activity does not move this time: the event then arrives early, and the timer is
    /// set again.
    armed: Option<Instant>,
    held: Option<Hold>,
    /// Since when activity probes have failed.
    unanswered_since: Option<Instant>,
    pending_write: PendingWrite,
}

/// The parts of a lifetime that are not yet written to the Pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct PendingWrite {
    /// Whether there is activity that a restart would lose.
    last_activity: bool,
    /// The new owner, until the Pod's annotation says the same.
    owner: Option<Owner>,
    /// The number of failed writes in a row.
    failures: u32,
    /// The earliest time of the next write.
    not_before: Option<Instant>,
}

/// The stage of a sandbox's state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage<W> {
    /// No request is pending.
    Steady {
        /// Since when the sandbox has been an orphan.
        alone_since: Option<Instant>,
    },
    /// A POST waits until the objects of an earlier sandbox with this id are gone.
    Waiting(PendingCreate<W>),
    /// The objects are being created or read. A call is in flight.
    Creating {
        /// The create that this call is for.
        order: PendingCreate<W>,
        /// The objects that this create has written, or may have written.
        made: Objects,
        /// The error to answer with, once the read that is in flight has shown what to undo.
        verdict: Option<SandboxError>,
    },
    /// The sandbox has been an orphan for [`ORPHAN_GRACE`] and is read again before it is deleted. A call is in
    /// flight.
    ConfirmingOrphan,
    /// Objects are being deleted. A call is in flight.
    Deleting {
        /// The objects to delete.
        targets: Objects,
        /// The number of earlier attempts.
        attempt: u32,
        /// The callers that asked for the deletion.
        waiters: Vec<W>,
        /// What happens after the deletion.
        next: AfterDelete<W>,
    },
    /// A limit is reached. The sandbox is being probed for activity, or is being reaped. A call is in flight.
    Reaping(ReapReason),
    /// The outcome of a reap is unknown. Nothing is reported until a read has shown whether the Pod is gone.
    ReapUnknown {
        /// The reason for the reap.
        cause: ReapReason,
        /// When the objects are read; `None` while a read is in flight.
        at: Option<Instant>,
    },
    /// The sandbox is ready, and is returned as soon as its use is written. A call is in flight.
    RecordingUse {
        /// The callers that receive the sandbox.
        waiters: Vec<W>,
    },
    /// The limits are being written. A call is in flight.
    Updating {
        /// The caller that changes the limits.
        waiter: W,
    },
    /// A deletion failed, or a create has an unknown outcome and must be undone. The deletion is retried later.
    DeleteBackoff {
        /// The objects to delete.
        targets: Objects,
        /// The number of earlier attempts.
        attempt: u32,
        /// When the deletion is retried; `None` while a read is in flight.
        at: Option<Instant>,
        /// The callers that have asked for the deletion since.
        waiters: Vec<W>,
        /// Whether the sandbox is unpublished.
        unpublished: bool,
    },
}

/// A create in progress and its callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingCreate<W> {
    /// The request of the first caller.
    pub request: Arc<CreateRequest>,
    /// The callers that wait for the sandbox.
    pub waiters: Vec<PostWaiter<W>>,
    /// The number of write attempts so far.
    pub rounds: u8,
    /// Whether the objects have been read since the create arrived or last waited.
    pub looked: bool,
    /// Why the outcome of the last attempt is unknown. If no attempt is left, the callers receive this error.
    pub doubt: Option<SandboxError>,
}

/// A caller that waits for a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostWaiter<W> {
    /// The handle that receives the answer.
    pub waiter: W,
    /// The time by which it must be answered.
    pub until: Instant,
    /// What its request requires of an existing Pod.
    pub requirements: Requirements,
}

/// What happens after a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterDelete<W> {
    /// Nothing follows.
    Rest,
    /// Nothing follows. The deleted objects were unpublished.
    Forget,
    /// The create fails with this error; the deletion undid its writes.
    Fail(PendingCreate<W>, SandboxError),
    /// The create continues; the deleted objects were in its way.
    Make {
        /// The create.
        order: PendingCreate<W>,
        /// Whether the deleted objects were unpublished.
        unpublished: bool,
    },
}

/// A subset of a sandbox's two objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Objects {
    /// Whether the Pod is in the subset.
    pub pod: bool,
    /// Whether the Service is in the subset.
    pub service: bool,
}

/// An input of the state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<W> {
    /// A caller requests the sandbox.
    Post {
        /// The parsed request.
        request: Arc<CreateRequest>,
        /// The caller.
        waiter: W,
    },
    /// A caller requests the deletion.
    Delete {
        /// The caller.
        waiter: W,
        /// The owner that the caller claims to be.
        owner: Option<Owner>,
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
    /// The observed objects may have changed.
    Resync,
    /// The time of the last [`Action::SetTimer`] is reached.
    Due,
    /// The outcome of [`Action::Create`], for each object that it named.
    Created {
        /// The outcome for the Pod.
        pod: Option<Outcome<()>>,
        /// The outcome for the Service.
        service: Option<Outcome<()>>,
    },
    /// The outcome of [`Action::Delete`] or [`Action::Reap`], for each object that it named.
    Deleted {
        /// The outcome for the Pod.
        pod: Option<Outcome<()>>,
        /// The outcome for the Service.
        service: Option<Outcome<()>>,
    },
    /// The outcome of [`Action::Read`]; the text names a foreign object, if there is one.
    Read(Result<Option<String>, ClusterError>),
    /// The outcome of [`Action::Write`].
    Written(Outcome<()>),
    /// The outcome of [`Action::Probe`].
    Probed(Busy),
    /// The reap limits defer the [`Action::Reap`] until this time.
    Deferred(Instant),
    /// The reap was not executed, because reaping is a dry run.
    DryRun,
    /// The reap limits no longer defer the reap.
    Resumed,
}

/// An instruction to the actor. The actor makes no decisions of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Action<W> {
    /// Create the named objects, in parallel.
    Create {
        /// The request to build them from.
        request: Arc<CreateRequest>,
        /// The objects to create.
        halves: Objects,
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
        /// The complete annotations.
        annotations: LifetimeAnnotations,
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
        cause: ReapReason,
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
    Made(Status),
    /// The sandbox does not exist or is being deleted.
    Gone,
}

/// The next stage, and the actions that lead to it.
type Decision<W> = (Stage<W>, Vec<Action<W>>);

/// Decides the next stage and the actions that lead to it.
///
/// The function is total over all stages and events. An event that cannot occur (an outcome without a call) counts as
/// [`Event::Resync`]. A request during a call, which the actor never passes in, is told to retry.
pub fn step<W>(mut sandbox: Sandbox<W>, event: Event<W>, ctx: Context<'_>) -> (Sandbox<W>, Vec<Action<W>>) {
    live::meet(&mut sandbox, &event, ctx);
    let is_written = matches!(event, Event::Written(_));
    let Sandbox { stage, mut lifetime, mut claim } = sandbox;
    let (mut stage, mut actions) = match event {
        Event::Touch { waiter, owner } => live::touch(stage, &mut lifetime, waiter, owner, ctx),
        Event::Change { change, waiter, owner } => {
            live::change(stage, &mut lifetime, change, waiter, owner, ctx)
        }
        Event::Written(outcome) => live::written(stage, &mut lifetime, outcome, ctx),
        Event::Probed(busy) => reap::probed(stage, &mut lifetime, &busy, ctx),
        Event::Deferred(until) => reap::deferred(stage, &mut lifetime, Some(until), ctx),
        Event::DryRun => reap::deferred(stage, &mut lifetime, None, ctx),
        Event::Resumed => {
            reap::resumed(&mut lifetime);
            look(stage, ctx)
        }
        Event::Deleted { pod, service } if matches!(stage, Stage::Reaping(_)) => {
            reap::reaped(stage, &mut lifetime, [pod, service], ctx)
        }
        Event::Delete { waiter, owner } => match live::other_owner(lifetime.as_ref(), owner.as_ref(), ctx) {
            Some(failure) => (stage, vec![Action::Answer(waiter, Err(failure))]),
            None => remove::delete(stage, waiter, ctx),
        },
        // The pending create does not meet this request. A retry is compared with the Pod that exists by then.
        Event::Post { request, waiter } if !stage.accepts(&request) => {
            (stage, vec![Action::Answer(waiter, Err(create::still_terminating(ctx)))])
        }
        Event::Post { request, waiter } => {
            claim = request.owner.clone().or(claim);
            post(stage, PendingCreate::new(request, waiter, ctx.now), ctx)
        }
        event => standing(stage, &mut lifetime, event, ctx),
    };
    if !is_written {
        (stage, actions) = live::give(stage, actions, &mut lifetime, claim.clone(), ctx);
    }
    claim = claim.filter(|_| stage.has_order());
    let (stage, more) = live::attend(stage, &mut lifetime, ctx, &actions);
    actions.extend(more);
    live::complete(&mut actions, lifetime.as_ref(), ctx);
    let rests = matches!(stage, Stage::Steady { .. }) && !actions.iter().any(Action::is_call);
    if rests && ctx.seen.is_empty() {
        actions.push(Action::Stop);
    }
    (Sandbox { stage, lifetime, claim }, actions)
}

/// Handles the events that do not concern the lifetime.
fn standing<W>(
    stage: Stage<W>,
    lifetime: &mut Option<LifetimeState>,
    event: Event<W>,
    ctx: Context<'_>,
) -> Decision<W> {
    match event {
        Event::Created { pod, service } => match stage {
            Stage::Creating { order, made, verdict: _ } => create::created(order, made, pod, service, ctx),
            other => look(other, ctx),
        },
        Event::Deleted { pod, service } => match stage {
            Stage::Deleting { targets, attempt, waiters, next } => {
                remove::removed(targets, attempt, waiters, next, [pod, service], ctx)
            }
            other => look(other, ctx),
        },
        Event::Read(result) => match stage {
            Stage::Creating { order, made, verdict } => create::read(order, made, verdict, result, ctx),
            Stage::DeleteBackoff { targets, attempt, at: None, waiters, unpublished } => {
                remove::read(targets, attempt, waiters, unpublished, result, ctx)
            }
            Stage::ConfirmingOrphan => remove::judge_orphan(&result, ctx),
            Stage::ReapUnknown { cause, at: None } => reap::read(cause, &result, lifetime, ctx),
            other => look(other, ctx),
        },
        _ => look(stage, ctx),
    }
}

fn post<W>(stage: Stage<W>, mut order: PendingCreate<W>, ctx: Context<'_>) -> Decision<W> {
    match stage {
        Stage::Steady { alone_since } => {
            let mut rejected = create::reject_mismatches(&mut order, Objects::NONE, ctx);
            let (stage, actions) = if order.waiters.is_empty() {
                rest(alone_since, ctx)
            } else {
                create::make(order, Objects::NONE, ctx)
            };
            rejected.extend(actions);
            (stage, rejected)
        }
        Stage::Waiting(mut waiting) => {
            waiting.waiters.extend(order.waiters);
            create::make(waiting, Objects::NONE, ctx)
        }
        // The failed create has an unknown outcome and may have succeeded; then this POST uses its objects. A delete
        // with an unknown outcome may also have removed them since, so read first.
        Stage::DeleteBackoff { targets, at: Some(_), unpublished: true, .. } => {
            (Stage::Creating { order, made: targets, verdict: None }, vec![Action::Read])
        }
        // The requested deletion completes first. Then the sandbox is created again.
        Stage::DeleteBackoff { targets, attempt, at: Some(_), waiters, unpublished: false } => {
            remove::remove(targets, attempt, waiters, AfterDelete::Make { order, unpublished: false }, ctx)
        }
        Stage::Creating { order: mut making, made, verdict } => {
            making.waiters.extend(order.waiters);
            (Stage::Creating { order: making, made, verdict }, vec![])
        }
        unsure @ Stage::ReapUnknown { .. } => (unsure, order.fail(&create::still_terminating(ctx))),
        busy @ (Stage::Deleting { .. }
        | Stage::DeleteBackoff { at: None, .. }
        | Stage::ConfirmingOrphan
        | Stage::Reaping(_)
        | Stage::RecordingUse { .. }
        | Stage::Updating { .. }) => {
            let failure = SandboxError::Busy { retry_after: Duration::from_secs(1) };
            (busy, order.fail(&failure))
        }
    }
}

fn look<W>(stage: Stage<W>, ctx: Context<'_>) -> Decision<W> {
    match stage {
        Stage::Steady { alone_since } => rest(alone_since, ctx),
        Stage::Waiting(order) => create::make(order, Objects::NONE, ctx),
        Stage::DeleteBackoff { targets, attempt, at: Some(at), waiters, unpublished } => {
            if ctx.now >= at {
                (
                    Stage::DeleteBackoff { targets, attempt, at: None, waiters, unpublished },
                    vec![Action::Read],
                )
            } else {
                let wake = Action::SetTimer(at);
                (Stage::DeleteBackoff { targets, attempt, at: Some(at), waiters, unpublished }, vec![wake])
            }
        }
        Stage::ReapUnknown { cause, at: Some(at) } => reap::look(cause, at, ctx),
        in_flight @ (Stage::Creating { .. }
        | Stage::Deleting { .. }
        | Stage::DeleteBackoff { at: None, .. }
        | Stage::ReapUnknown { at: None, .. }
        | Stage::ConfirmingOrphan
        | Stage::Reaping(_)
        | Stage::RecordingUse { .. }
        | Stage::Updating { .. }) => (in_flight, vec![]),
    }
}

/// Handles a stage without a pending request: reads an orphan again once its grace is over.
fn rest<W>(alone_since: Option<Instant>, ctx: Context<'_>) -> Decision<W> {
    if !alone(ctx.seen).any() {
        return (Stage::Steady { alone_since: None }, vec![]);
    }
    // A stale view may not show the other object yet, so the grace starts when the view is fresh.
    let since = alone_since.filter(|_| ctx.fresh).unwrap_or(ctx.now);
    let until = since + ORPHAN_GRACE;
    if ctx.now < until {
        return (Stage::Steady { alone_since: Some(since) }, vec![Action::SetTimer(until)]);
    }
    // The watch shows only objects with our labels. The other object may exist without them, so read by name.
    (Stage::ConfirmingOrphan, vec![Action::Read])
}

/// Returns the object that exists without its counterpart and is not terminating.
fn alone(seen: &Observed) -> Objects {
    Objects {
        pod: seen.pod.as_ref().is_some_and(|p| !p.terminating) && seen.service.is_none(),
        service: seen.service.as_ref().is_some_and(|s| !s.terminating) && seen.pod.is_none(),
    }
}

// === impl Sandbox ===

impl<W> Default for Sandbox<W> {
    fn default() -> Self {
        Self { stage: Stage::default(), lifetime: None, claim: None }
    }
}

impl<W> Sandbox<W> {
    /// Returns the expiry that callers are shown, if a limit applies.
    #[must_use]
    pub fn prospects(&self, ctx: Context<'_>) -> Option<Expiry> {
        live::prospects(self.lifetime.as_ref(), ctx)
    }
}

// === impl Stage ===

impl<W> Default for Stage<W> {
    fn default() -> Self {
        Self::Steady { alone_since: None }
    }
}

impl<W> Stage<W> {
    /// Returns whether the sandbox is unpublished, so that reads must not show it.
    #[must_use]
    pub fn is_unpublished(&self) -> bool {
        match self {
            // Before the first write, the objects are only being read.
            Self::Creating { order, made, .. } => order.rounds > 0 || made.any(),
            Self::Deleting {
                next: AfterDelete::Forget | AfterDelete::Fail(..) | AfterDelete::Make { .. },
                ..
            } => true,
            Self::DeleteBackoff { unpublished, .. } => *unpublished,
            Self::Steady { .. }
            | Self::Waiting(_)
            | Self::ConfirmingOrphan
            | Self::Reaping(_)
            | Self::ReapUnknown { .. }
            | Self::RecordingUse { .. }
            | Self::Updating { .. }
            | Self::Deleting { next: AfterDelete::Rest, .. } => false,
        }
    }

    /// Returns whether a request can join the callers that already wait.
    fn accepts(&self, request: &CreateRequest) -> bool {
        match self {
            Self::Waiting(order) => {
                Requirements::of(request).check(&ObservedSpec::expected(&order.request)).is_ok()
            }
            _ => true,
        }
    }

    /// Returns whether a caller waits for the sandbox.
    fn has_order(&self) -> bool {
        matches!(
            self,
            Self::Waiting(_)
                | Self::Creating { .. }
                | Self::Deleting { next: AfterDelete::Make { .. } | AfterDelete::Fail(..), .. }
        )
    }
}

// === impl PendingCreate ===

impl<W> PendingCreate<W> {
    fn new(request: Arc<CreateRequest>, waiter: W, now: Instant) -> Self {
        let requirements = Requirements::of(&request);
        let waiters = vec![PostWaiter { waiter, until: now + POST_PATIENCE, requirements }];
        Self { request, waiters, rounds: 0, looked: false, doubt: None }
    }

    /// Answers all callers with the failure.
    fn fail(self, failure: &SandboxError) -> Vec<Action<W>> {
        self.waiters.into_iter().map(|w| Action::Answer(w.waiter, Err(failure.clone()))).collect()
    }

    /// Removes and returns the callers whose deadline has passed.
    fn take_expired(&mut self, now: Instant) -> Vec<W> {
        self.waiters.extract_if(.., |w| w.until <= now).map(|w| w.waiter).collect()
    }

    /// Removes the callers whose requirements an existing Pod with this spec does not meet. Returns their answers.
    fn reject_mismatches(&mut self, spec: &ObservedSpec) -> Vec<Action<W>> {
        let mut rejected = vec![];
        for waiting in std::mem::take(&mut self.waiters) {
            match waiting.requirements.check(spec) {
                Ok(()) => self.waiters.push(waiting),
                Err(mismatch) => rejected.push(Action::Answer(waiting.waiter, Err(mismatch.into()))),
            }
        }
        rejected
    }
}

// === impl Objects ===

impl Objects {
    /// Neither object.
    pub const NONE: Self = Self { pod: false, service: false };
    /// Both objects.
    pub const BOTH: Self = Self { pod: true, service: true };

    /// Returns whether at least one object is in the subset.
    #[must_use]
    pub const fn any(self) -> bool {
        self.pod || self.service
    }
}

/// Converts a cluster error into the error for the caller of the operation.
fn failure_of(operation: &'static str, fault: ClusterError) -> SandboxError {
    if fault.kind == ClusterErrorKind::Unbuildable {
        SandboxError::BadRequest(fault.message)
    } else if fault.kind.is_passing() {
        let retry_after = fault.retry_after.unwrap_or(Duration::from_secs(5)).max(Duration::from_secs(1));
        SandboxError::Unavailable { operation, fault, retry_after }
    } else {
        SandboxError::Refused { operation, fault }
    }
}
