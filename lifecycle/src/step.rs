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
    failure::{Failure, Fault, FaultKind},
    hold::Hold,
    ids::SandboxId,
    lifetime::{Cause, Marks, Owner, Policy, TermsChange, Vitals},
    ports::{Busy, Only, Outcome},
    request::CreateRequest,
    seen::{Life, Seen, Status, Uid},
    spec::{ObservedSpec, Requirements},
};

/// How long a POST may wait here for its answer: the client gives up after 30 s, and the way back takes some.
pub const POST_PATIENCE: Duration = Duration::from_secs(22);

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
    pub seen: &'a Seen,
    /// Whether the view is recent enough to be believed where it says that something is absent.
    pub fresh: bool,
}

/// All that a process keeps of one sandbox. `W` is whoever waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox<W> {
    /// Where it stands.
    pub stage: Stage<W>,
    /// What is known of the life of its Pod.
    pub life: Option<Lifeline>,
    /// The name that the last POST gave, until the sandbox is given.
    claim: Option<Owner>,
}

/// What is known of the life of one Pod, and when it is looked at next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifeline {
    /// Whose life.
    uid: Uid,
    vitals: Vitals,
    /// When [`Event::Due`] is to come for it. Signs of life do not move it: it comes, and finds that it is early.
    armed: Option<Instant>,
    held: Option<Hold>,
    /// Since when the sandbox could not be asked whether it is busy.
    unanswered_since: Option<Instant>,
    /// What is yet to be written of it.
    unwritten: Unwritten,
}

/// What is yet to be written of a sandbox's life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Unwritten {
    /// A sign of life that a restart would miss.
    active: bool,
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
    Resting {
        /// Since when one half has been without the other.
        alone_since: Option<Instant>,
    },
    /// A POST waits until what is left of an earlier life has gone.
    Waiting(Order<W>),
    /// A pair is being written or looked for. A call is in flight.
    Making {
        /// For whom.
        order: Order<W>,
        /// What this order has written, or may have written.
        made: Halves,
        /// The failure to give once the look that is in flight has told what to undo.
        verdict: Option<Failure>,
    },
    /// A half has been alone for its grace, and is looked at before it is removed. A call is in flight.
    Doubting,
    /// Something is being deleted. A call is in flight.
    Removing {
        /// What must go.
        targets: Halves,
        /// How often that was tried before.
        attempt: u32,
        /// Whoever asked for the deletion.
        waiters: Vec<W>,
        /// What comes after.
        next: Next<W>,
    },
    /// A limit is reached, and the sandbox is being asked whether it is busy, or is being reaped. A call is in
    /// flight.
    Reaping(Cause),
    /// Whether it was reaped is not known: nothing is said of it before it was looked at.
    Unsure {
        /// Why it was to go.
        cause: Cause,
        /// When it is looked at; `None` while that is being done.
        at: Option<Instant>,
    },
    /// It is there, and given as soon as its use is written. A call is in flight.
    Giving {
        /// To whom.
        waiters: Vec<W>,
    },
    /// Its limits are being written. A call is in flight.
    Changing {
        /// Who wants them changed.
        waiter: W,
    },
    /// Something must go but could not be deleted, or may have been made; it is tried again later.
    Retrying {
        /// What must go.
        targets: Halves,
        /// How often that was tried before.
        attempt: u32,
        /// When it is tried next; `None` while a look is in flight.
        at: Option<Instant>,
        /// Whoever asked for the deletion meanwhile.
        waiters: Vec<W>,
        /// Whether nobody was ever given this sandbox.
        unheard_of: bool,
    },
}

/// A create that is under way, and all who wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order<W> {
    /// What was asked for, by the first who asked.
    pub request: Arc<CreateRequest>,
    /// The callers that wait for the sandbox.
    pub waiters: Vec<PostWaiter<W>>,
    /// How many rounds of writes it has cost.
    pub rounds: u8,
    /// Whether the cluster was looked at since the order came, or since it last waited.
    pub looked: bool,
    /// Why nobody knows whether the last round took effect; what its callers are told if it was the last of all.
    pub doubt: Option<Failure>,
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
pub enum Next<W> {
    /// Nothing.
    Rest,
    /// Nothing; and nobody was ever given what goes.
    Forget,
    /// The order fails for this reason: what it made was being undone.
    Fail(Order<W>, Failure),
    /// The order goes on: something stood in its way.
    Make {
        /// Which.
        order: Order<W>,
        /// Whether nobody was ever given what goes.
        unheard_of: bool,
    },
}

/// A choice of the two objects of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Halves {
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
        change: TermsChange,
        /// Who.
        waiter: W,
        /// The name that they gave.
        owner: Option<Owner>,
    },
    /// What is seen may have changed.
    Look,
    /// The time of the last [`Action::WakeAt`] has come.
    Due,
    /// The outcome of [`Action::Create`], for what it named.
    Created {
        /// Of the Pod.
        pod: Option<Outcome<()>>,
        /// Of the Service.
        service: Option<Outcome<()>>,
    },
    /// The outcome of [`Action::Remove`], for what it named.
    Removed {
        /// Of the Pod.
        pod: Option<Outcome<()>>,
        /// Of the Service.
        service: Option<Outcome<()>>,
    },
    /// The outcome of [`Action::Read`].
    Read(Result<Option<String>, Fault>),
    /// The outcome of [`Action::Write`].
    Written(Outcome<()>),
    /// The outcome of [`Action::AskWhetherBusy`].
    Asked(Busy),
    /// The belt holds the [`Action::Reap`] back until then.
    Held(Instant),
    /// The belt lets nothing go: it is a rehearsal.
    Rehearsed,
    /// The belt may let go what it held.
    Released,
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
        halves: Halves,
    },
    /// Delete these objects, at the same time, if they are still the ones of these uids.
    Remove {
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
        marks: Marks,
    },
    /// Ask the sandbox itself whether it is at work.
    AskWhetherBusy {
        /// Where it is reached.
        url: Arc<str>,
    },
    /// Delete it, in the very state in which it is seen, if the belt lets it go.
    Reap {
        /// The Pod.
        pod: Only,
        /// The Service, if there is one.
        service: Option<Only>,
        /// Why.
        cause: Cause,
    },
    /// Note that it was reaped.
    Record(Cause),
    /// Give somebody an answer.
    Answer(W, Result<Reply, Failure>),
    /// Send [`Event::Due`] at this time; replaces an earlier wish.
    WakeAt(Instant),
    /// There is nothing left to look after.
    Retire,
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
/// [`Event::Look`], and a request in the middle of a call, which the shell never hands in, is told to come
/// back.
pub fn step<W>(mut sandbox: Sandbox<W>, event: Event<W>, ctx: Context<'_>) -> (Sandbox<W>, Vec<Action<W>>) {
    live::meet(&mut sandbox, &event, ctx);
    let is_written = matches!(event, Event::Written(_));
    let Sandbox { stage, mut life, mut claim } = sandbox;
    let (mut stage, mut actions) = match event {
        Event::Touch { waiter, owner } => live::touch(stage, &mut life, waiter, owner, ctx),
        Event::Change { change, waiter, owner } => live::change(stage, &mut life, change, waiter, owner, ctx),
        Event::Written(outcome) => live::written(stage, &mut life, outcome, ctx),
        Event::Asked(busy) => reap::asked(stage, &mut life, &busy, ctx),
        Event::Held(until) => reap::held(stage, &mut life, Some(until), ctx),
        Event::Rehearsed => reap::held(stage, &mut life, None, ctx),
        Event::Released => {
            reap::released(&mut life);
            look(stage, ctx)
        }
        Event::Removed { pod, service } if matches!(stage, Stage::Reaping(_)) => {
            reap::reaped(stage, &mut life, [pod, service], ctx)
        }
        Event::Delete { waiter, owner } => match live::other_owner(life.as_ref(), owner.as_ref(), ctx) {
            Some(failure) => (stage, vec![Action::Answer(waiter, Err(failure))]),
            None => remove::delete(stage, waiter, ctx),
        },
        // What it waits for will not meet this request: asked again, it is compared with the Pod that is there then.
        Event::Post { request, waiter } if !stage.accepts(&request) => {
            (stage, vec![Action::Answer(waiter, Err(create::still_terminating(ctx)))])
        }
        Event::Post { request, waiter } => {
            claim = request.owner.clone().or(claim);
            post(stage, Order::new(request, waiter, ctx.now), ctx)
        }
        event => standing(stage, &mut life, event, ctx),
    };
    if !is_written {
        (stage, actions) = live::give(stage, actions, &mut life, claim.clone(), ctx);
    }
    claim = claim.filter(|_| stage.has_order());
    let (stage, more) = live::attend(stage, &mut life, ctx, &actions);
    actions.extend(more);
    live::complete(&mut actions, life.as_ref(), ctx);
    let rests = matches!(stage, Stage::Resting { .. }) && !actions.iter().any(Action::is_call);
    if rests && ctx.seen.is_empty() {
        actions.push(Action::Retire);
    }
    (Sandbox { stage, life, claim }, actions)
}

/// What has nothing to do with how long the sandbox lives.
fn standing<W>(
    stage: Stage<W>,
    life: &mut Option<Lifeline>,
    event: Event<W>,
    ctx: Context<'_>,
) -> Decision<W> {
    match event {
        Event::Created { pod, service } => match stage {
            Stage::Making { order, made, verdict: _ } => create::created(order, made, pod, service, ctx),
            other => look(other, ctx),
        },
        Event::Removed { pod, service } => match stage {
            Stage::Removing { targets, attempt, waiters, next } => {
                remove::removed(targets, attempt, waiters, next, [pod, service], ctx)
            }
            other => look(other, ctx),
        },
        Event::Read(result) => match stage {
            Stage::Making { order, made, verdict } => create::read(order, made, verdict, result, ctx),
            Stage::Retrying { targets, attempt, at: None, waiters, unheard_of } => {
                remove::read(targets, attempt, waiters, unheard_of, result, ctx)
            }
            Stage::Doubting => remove::judge_orphan(&result, ctx),
            Stage::Unsure { cause, at: None } => reap::read(cause, &result, life, ctx),
            other => look(other, ctx),
        },
        _ => look(stage, ctx),
    }
}

fn post<W>(stage: Stage<W>, mut order: Order<W>, ctx: Context<'_>) -> Decision<W> {
    match stage {
        Stage::Resting { alone_since } => {
            let mut rejected = create::reject_mismatches(&mut order, Halves::NONE, ctx);
            let (stage, actions) = if order.waiters.is_empty() {
                rest(alone_since, ctx)
            } else {
                create::make(order, Halves::NONE, ctx)
            };
            rejected.extend(actions);
            (stage, rejected)
        }
        Stage::Waiting(mut waiting) => {
            waiting.waiters.extend(order.waiters);
            create::make(waiting, Halves::NONE, ctx)
        }
        // A create that failed in doubt may have worked after all: then this one finds it made. But what is seen
        // may also have been taken back meanwhile, by a delete whose answer was lost: so look first.
        Stage::Retrying { targets, at: Some(_), unheard_of: true, .. } => {
            (Stage::Making { order, made: targets, verdict: None }, vec![Action::Read])
        }
        // What somebody wanted gone goes first; then the sandbox is made anew.
        Stage::Retrying { targets, attempt, at: Some(_), waiters, unheard_of: false } => {
            remove::remove(targets, attempt, waiters, Next::Make { order, unheard_of: false }, ctx)
        }
        Stage::Making { order: mut making, made, verdict } => {
            making.waiters.extend(order.waiters);
            (Stage::Making { order: making, made, verdict }, vec![])
        }
        unsure @ Stage::Unsure { .. } => (unsure, order.fail(&create::still_terminating(ctx))),
        busy @ (Stage::Removing { .. }
        | Stage::Retrying { at: None, .. }
        | Stage::Doubting
        | Stage::Reaping(_)
        | Stage::Giving { .. }
        | Stage::Changing { .. }) => {
            let failure = Failure::Busy { retry_after: Duration::from_secs(1) };
            (busy, order.fail(&failure))
        }
    }
}

fn look<W>(stage: Stage<W>, ctx: Context<'_>) -> Decision<W> {
    match stage {
        Stage::Resting { alone_since } => rest(alone_since, ctx),
        Stage::Waiting(order) => create::make(order, Halves::NONE, ctx),
        Stage::Retrying { targets, attempt, at: Some(at), waiters, unheard_of } => {
            if ctx.now >= at {
                (Stage::Retrying { targets, attempt, at: None, waiters, unheard_of }, vec![Action::Read])
            } else {
                let wake = Action::WakeAt(at);
                (Stage::Retrying { targets, attempt, at: Some(at), waiters, unheard_of }, vec![wake])
            }
        }
        Stage::Unsure { cause, at: Some(at) } => reap::look(cause, at, ctx),
        in_flight @ (Stage::Making { .. }
        | Stage::Removing { .. }
        | Stage::Retrying { at: None, .. }
        | Stage::Unsure { at: None, .. }
        | Stage::Doubting
        | Stage::Reaping(_)
        | Stage::Giving { .. }
        | Stage::Changing { .. }) => (in_flight, vec![]),
    }
}

/// With nothing asked for: looks closer at a half that stays alone.
fn rest<W>(alone_since: Option<Instant>, ctx: Context<'_>) -> Decision<W> {
    if !alone(ctx.seen).any() {
        return (Stage::Resting { alone_since: None }, vec![]);
    }
    // While the view is old, the other half may be there unseen: the time alone starts when we can tell.
    let since = alone_since.filter(|_| ctx.fresh).unwrap_or(ctx.now);
    let until = since + ORPHAN_GRACE;
    if ctx.now < until {
        return (Stage::Resting { alone_since: Some(since) }, vec![Action::WakeAt(until)]);
    }
    // The watch shows what carries our labels: whose other half has lost them is no orphan.
    (Stage::Doubting, vec![Action::Read])
}

/// Which half is there without the other.
fn alone(seen: &Seen) -> Halves {
    Halves {
        pod: seen.pod.as_ref().is_some_and(|p| !p.terminating) && seen.service.is_none(),
        service: seen.service.as_ref().is_some_and(|s| !s.terminating) && seen.pod.is_none(),
    }
}

// === impl Sandbox ===

impl<W> Default for Sandbox<W> {
    fn default() -> Self {
        Self { stage: Stage::default(), life: None, claim: None }
    }
}

impl<W> Sandbox<W> {
    /// What callers are told of its life, where that is limited.
    #[must_use]
    pub fn prospects(&self, ctx: Context<'_>) -> Option<Life> {
        live::prospects(self.life.as_ref(), ctx)
    }
}

// === impl Stage ===

impl<W> Default for Stage<W> {
    fn default() -> Self {
        Self::Resting { alone_since: None }
    }
}

impl<W> Stage<W> {
    /// Whether callers are not to hear of the sandbox: it is being made and was given to nobody yet.
    #[must_use]
    pub fn is_unheard_of(&self) -> bool {
        match self {
            // Before the first write it is only being looked for.
            Self::Making { order, made, .. } => order.rounds > 0 || made.any(),
            Self::Removing { next: Next::Forget | Next::Fail(..) | Next::Make { .. }, .. } => true,
            Self::Retrying { unheard_of, .. } => *unheard_of,
            Self::Resting { .. }
            | Self::Waiting(_)
            | Self::Doubting
            | Self::Reaping(_)
            | Self::Unsure { .. }
            | Self::Giving { .. }
            | Self::Changing { .. }
            | Self::Removing { next: Next::Rest, .. } => false,
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
                | Self::Making { .. }
                | Self::Removing { next: Next::Make { .. } | Next::Fail(..), .. }
        )
    }
}

// === impl Order ===

impl<W> Order<W> {
    fn new(request: Arc<CreateRequest>, waiter: W, now: Instant) -> Self {
        let requirements = Requirements::of(&request);
        let waiters = vec![PostWaiter { waiter, until: now + POST_PATIENCE, requirements }];
        Self { request, waiters, rounds: 0, looked: false, doubt: None }
    }

    /// Tells everybody that it failed.
    fn fail(self, failure: &Failure) -> Vec<Action<W>> {
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

// === impl Halves ===

impl Halves {
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
fn failure_of(operation: &'static str, fault: Fault) -> Failure {
    if fault.kind == FaultKind::Unbuildable {
        Failure::BadRequest(fault.message)
    } else if fault.kind.is_passing() {
        let retry_after = fault.retry_after.unwrap_or(Duration::from_secs(5)).max(Duration::from_secs(1));
        Failure::Unavailable { operation, fault, retry_after }
    } else {
        Failure::Refused { operation, fault }
    }
}
