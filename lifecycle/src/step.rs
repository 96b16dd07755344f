//! What to do next with one sandbox: a function of what was asked, what is seen and the time.
//!
//! The shell around [`step`] (an actor) keeps the [`Stage`], hands in one [`Event`] at a time and carries out
//! the [`Action`]s in order. Actions that call the cluster come one at a time, and the shell brings their
//! outcome back as the next event before it takes any other message; so requests for one sandbox queue.
//! What the calls tell of the cluster goes into the shared view first, so that [`Context::seen`] holds it.
//!
//! ```text
//!            Post                     old Pod gone
//! Resting ─────────▸ Making ◂──────────────────────── Waiting
//!    ▲ ▲               │ │ ▲                             ▲
//!    │ │ whole: answer │ │ └─ Read, Created ─┐           │ something terminates
//!    │ └───────────────┘ └───────────────────┴───────────┘
//!    │                 │ refused
//!    │   all gone      ▼            not done, or in doubt
//!    └────────────── Removing ───────────────────────────▸ Retrying ──▸ (back-off, look, remove) …
//!
//! Resting ── a limit is reached ──▸ Reaping ── its answer is lost ──▸ Unsure ── looked at ──▸ Resting
//! Resting ── half alone for long ─▸ Doubting ── alone indeed ───────▸ Removing
//! Resting ── used, given ─────────▸ Giving ─── written ─────────────▸ Resting, and then the answer
//! Resting ── other limits ────────▸ Changing ─ written ─────────────▸ Resting, and then the answer
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

/// How long one half of a pair may be alone before it is removed. Longer than any create takes, so that the
/// half of a pair that somebody (an earlier process, another replica) is making is left in peace.
pub const ORPHAN_GRACE: Duration = Duration::from_secs(60);

/// How many rounds of writes one POST may cost: the first, one after a look, one after a replacement.
pub const MAX_ROUNDS: u8 = 3;

/// What is known at the time of an event.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The sandbox.
    pub id: &'a SandboxId,
    /// The time, on the clock that only goes forward.
    pub now: Instant,
    /// The time on the wall, for people and for what is written.
    pub wall: Timestamp,
    /// The settings about lifetimes.
    pub policy: &'a Policy,
    /// What the shared view holds of the sandbox, the outcome that this event reports included.
    pub seen: &'a Observed,
    /// Whether the view is recent enough to be believed where it says that something is absent.
    pub fresh: bool,
}

/// All that a process keeps of one sandbox. `W` is whoever waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox<W> {
    /// Where it stands.
    pub stage: Stage<W>,
    /// What is known of the life of its Pod.
    pub lifetime: Option<LifetimeState>,
    /// The name that the last POST gave, until the sandbox is given.
    claim: Option<Owner>,
}

/// What is known of the life of one Pod, and when it is looked at next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifetimeState {
    /// Whose life.
    uid: Uid,
    activity: Activity,
    /// When [`Event::Due`] is to come for it. Signs of life do not move it: it comes, and finds that it is early.
    armed: Option<Instant>,
    held: Option<Hold>,
    /// Since when the sandbox could not be asked whether it is busy.
    unanswered_since: Option<Instant>,
    /// What is yet to be written of it.
    pending_write: PendingWrite,
}

/// What is yet to be written of a sandbox's life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct PendingWrite {
    /// A sign of life that a restart would miss.
    last_activity: bool,
    /// Its owner, until the Pod says the same.
    owner: Option<Owner>,
    /// How often it could not be written.
    failures: u32,
    /// When that is tried again, at the earliest.
    not_before: Option<Instant>,
}

/// Where a sandbox stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage<W> {
    /// Nothing was asked for: what is seen is all there is.
    Steady {
        /// Since when one half has been without the other.
        alone_since: Option<Instant>,
    },
    /// A POST waits until what is left of an earlier life has gone.
    Waiting(PendingCreate<W>),
    /// A pair is being written or looked for. A call is in flight.
    Creating {
        /// For whom.
        order: PendingCreate<W>,
        /// What this order has written, or may have written.
        made: Objects,
        /// The failure to give once the look that is in flight has told what to undo.
        verdict: Option<SandboxError>,
    },
    /// A half has been alone for its grace, and is looked at before it is removed. A call is in flight.
    ConfirmingOrphan,
    /// Something is being deleted. A call is in flight.
    Deleting {
        /// What must go.
        targets: Objects,
        /// How often that was tried before.
        attempt: u32,
        /// Whoever asked for the deletion.
        waiters: Vec<W>,
        /// What comes after.
        next: AfterDelete<W>,
    },
    /// A limit is reached, and the sandbox is being asked whether it is busy, or is being reaped. A call is in
    /// flight.
    Reaping(ReapReason),
    /// Whether it was reaped is not known: nothing is said of it before it was looked at.
    ReapUnknown {
        /// Why it was to go.
        cause: ReapReason,
        /// When it is looked at; `None` while that is being done.
        at: Option<Instant>,
    },
    /// It is there, and given as soon as its use is written. A call is in flight.
    RecordingUse {
        /// To whom.
        waiters: Vec<W>,
    },
    /// Its limits are being written. A call is in flight.
    Updating {
        /// Who wants them changed.
        waiter: W,
    },
    /// Something must go but could not be deleted, or may have been made; it is tried again later.
    DeleteBackoff {
        /// What must go.
        targets: Objects,
        /// How often that was tried before.
        attempt: u32,
        /// When it is tried next; `None` while a look is in flight.
        at: Option<Instant>,
        /// Whoever asked for the deletion meanwhile.
        waiters: Vec<W>,
        /// Whether nobody was ever given this sandbox.
        unpublished: bool,
    },
}

/// A create that is under way, and all who wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingCreate<W> {
    /// What was asked for, by the first who asked.
    pub request: Arc<CreateRequest>,
    /// The callers that wait for the sandbox.
    pub waiters: Vec<PostWaiter<W>>,
    /// How many rounds of writes it has cost.
    pub rounds: u8,
    /// Whether the cluster was looked at since the order came, or since it last waited.
    pub looked: bool,
    /// Why nobody knows whether the last round took effect; what its callers are told if it was the last of all.
    pub doubt: Option<SandboxError>,
}

/// A caller that waits for a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostWaiter<W> {
    /// Receives the answer.
    pub waiter: W,
    /// When it is answered at the latest.
    pub until: Instant,
    /// What its request requires of a Pod that exists.
    pub requirements: Requirements,
}

/// What comes after a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterDelete<W> {
    /// Nothing.
    Rest,
    /// Nothing; and nobody was ever given what goes.
    Forget,
    /// The order fails for this reason: what it made was being undone.
    Fail(PendingCreate<W>, SandboxError),
    /// The order goes on: something stood in its way.
    Make {
        /// Which.
        order: PendingCreate<W>,
        /// Whether nobody was ever given what goes.
        unpublished: bool,
    },
}

/// A choice of the two objects of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Objects {
    /// The Pod.
    pub pod: bool,
    /// The Service.
    pub service: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<W> {
    /// Somebody wants the sandbox.
    Post {
        /// What exactly.
        request: Arc<CreateRequest>,
        /// Who.
        waiter: W,
    },
    /// Somebody wants it gone.
    Delete {
        /// Who.
        waiter: W,
        /// The name that they gave.
        owner: Option<Owner>,
    },
    /// Somebody uses it.
    Touch {
        /// Who, if they want to know how it is.
        waiter: Option<W>,
        /// The name that they gave.
        owner: Option<Owner>,
    },
    /// Somebody wants its limits changed.
    Change {
        /// How.
        change: LimitsPatch,
        /// Who.
        waiter: W,
        /// The name that they gave.
        owner: Option<Owner>,
    },
    /// What is seen may have changed.
    Resync,
    /// The time of the last [`Action::SetTimer`] has come.
    Due,
    /// The outcome of [`Action::Create`], for what it named.
    Created {
        /// Of the Pod.
        pod: Option<Outcome<()>>,
        /// Of the Service.
        service: Option<Outcome<()>>,
    },
    /// The outcome of [`Action::Delete`], for what it named.
    Deleted {
        /// Of the Pod.
        pod: Option<Outcome<()>>,
        /// Of the Service.
        service: Option<Outcome<()>>,
    },
    /// The outcome of [`Action::Read`].
    Read(Result<Option<String>, ClusterError>),
    /// The outcome of [`Action::Write`].
    Written(Outcome<()>),
    /// The outcome of [`Action::Probe`].
    Probed(Busy),
    /// The belt holds the [`Action::Reap`] back until then.
    Deferred(Instant),
    /// The belt lets nothing go: it is a rehearsal.
    DryRun,
    /// The belt may let go what it held.
    Resumed,
}

/// What to do. Execution has no choices left.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Action<W> {
    /// Write the named halves, at the same time.
    Create {
        /// For this request.
        request: Arc<CreateRequest>,
        /// Which.
        halves: Objects,
    },
    /// Delete these objects, at the same time, if they are still the ones of these uids.
    Delete {
        /// The Pod, if it is to go.
        pod: Option<Uid>,
        /// The Service, if it is to go.
        service: Option<Uid>,
    },
    /// Look at both objects in the cluster itself.
    Read,
    /// Write this on the Pod of this uid.
    Write {
        /// The Pod.
        uid: Uid,
        /// All that is to stand on it.
        annotations: LifetimeAnnotations,
    },
    /// Ask the sandbox itself whether it is at work.
    Probe {
        /// Where it is reached.
        url: Arc<str>,
    },
    /// Delete it, in the very state in which it is seen, if the belt lets it go.
    Reap {
        /// The Pod.
        pod: Preconditions,
        /// The Service, if there is one.
        service: Option<Preconditions>,
        /// Why.
        cause: ReapReason,
    },
    /// Note that it was reaped.
    RecordReap(ReapReason),
    /// Give somebody an answer.
    Answer(W, Result<Reply, SandboxError>),
    /// Send [`Event::Due`] at this time; replaces an earlier wish.
    SetTimer(Instant),
    /// There is nothing left to look after.
    Stop,
}

/// A request's good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The sandbox is there.
    Made(Status),
    /// The sandbox is gone, or going; or there is none.
    Gone,
}

/// The next stage, and what to do on the way to it.
type Decision<W> = (Stage<W>, Vec<Action<W>>);

/// Decides what happens next.
///
/// Total over every stage and event: one that cannot come (an outcome nobody waits for) is as good as
/// [`Event::Resync`], and a request in the middle of a call, which the shell never hands in, is told to come
/// back.
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
        // What it waits for will not meet this request: asked again, it is compared with the Pod that is there then.
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

/// What has nothing to do with how long the sandbox lives.
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
        // A create that failed in doubt may have worked after all: then this one finds it made. But what is seen
        // may also have been taken back meanwhile, by a delete whose answer was lost: so look first.
        Stage::DeleteBackoff { targets, at: Some(_), unpublished: true, .. } => {
            (Stage::Creating { order, made: targets, verdict: None }, vec![Action::Read])
        }
        // What somebody wanted gone goes first; then the sandbox is made anew.
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

/// With nothing asked for: looks closer at a half that stays alone.
fn rest<W>(alone_since: Option<Instant>, ctx: Context<'_>) -> Decision<W> {
    if !alone(ctx.seen).any() {
        return (Stage::Steady { alone_since: None }, vec![]);
    }
    // While the view is old, the other half may be there unseen: the time alone starts when we can tell.
    let since = alone_since.filter(|_| ctx.fresh).unwrap_or(ctx.now);
    let until = since + ORPHAN_GRACE;
    if ctx.now < until {
        return (Stage::Steady { alone_since: Some(since) }, vec![Action::SetTimer(until)]);
    }
    // The watch shows what carries our labels: whose other half has lost them is no orphan.
    (Stage::ConfirmingOrphan, vec![Action::Read])
}

/// Which half is there without the other.
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
    /// What callers are told of its life, where that is limited.
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
    /// Whether callers are not to hear of the sandbox: it is being made and was given to nobody yet.
    #[must_use]
    pub fn is_unpublished(&self) -> bool {
        match self {
            // Before the first write it is only being looked for.
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

    /// Whether a request may join those that wait already.
    fn accepts(&self, request: &CreateRequest) -> bool {
        match self {
            Self::Waiting(order) => {
                Requirements::of(request).check(&ObservedSpec::expected(&order.request)).is_ok()
            }
            _ => true,
        }
    }

    /// Whether somebody waits to be given the sandbox.
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

    /// Tells everybody that it failed.
    fn fail(self, failure: &SandboxError) -> Vec<Action<W>> {
        self.waiters.into_iter().map(|w| Action::Answer(w.waiter, Err(failure.clone()))).collect()
    }

    /// Takes out those whose time is up.
    fn take_expired(&mut self, now: Instant) -> Vec<W> {
        self.waiters.extract_if(.., |w| w.until <= now).map(|w| w.waiter).collect()
    }

    /// Takes out the callers whose requirements an existing Pod with this spec does not meet, with their answers.
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
    /// Neither.
    pub const NONE: Self = Self { pod: false, service: false };
    /// Both.
    pub const BOTH: Self = Self { pod: true, service: true };

    /// Whether it is one at least.
    #[must_use]
    pub const fn any(self) -> bool {
        self.pod || self.service
    }
}

/// What a fault means to whoever asked for the operation.
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
