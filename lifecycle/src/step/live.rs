//! How long a sandbox lives: signs of life are taken in and written, and limits watched.

use std::time::Duration;

use super::{
    Action, Context, Decision, Event, Lifeline, ORPHAN_GRACE, Reply, Sandbox, Stage, Unwritten,
    create::{stale, still_terminating},
    failure_of, reap, rest,
};
use crate::{
    failure::{Failure, FaultKind},
    hold::{Held, Hold, HoldReason},
    lifetime::{Deadline, LIMIT_MAX, Marks, Moment, Owner, Terms, TermsChange, Vitals, WRITE_STEP},
    ports::Outcome,
    seen::{Life, SeenPod},
};

/// The first wait before a sign of life is written again that could not be. It doubles until failing costs no more
/// than succeeding would, or [`WRITE_WAIT_MAX`].
const WRITE_WAIT: Duration = Duration::from_secs(5);

/// The longest such wait for owners, who have no timeout to go by.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(60);

/// Takes in how the Pod looks now; a Pod that was not known begins a lifeline.
pub(super) fn meet<W>(sandbox: &mut Sandbox<W>, event: &Event<W>, ctx: Context<'_>) {
    let Some(pod) = &ctx.seen.pod else {
        sandbox.life = None;
        return;
    };
    match &mut sandbox.life {
        Some(life) if life.uid == pod.uid => life.vitals.see(pod, ctx.now),
        life => {
            // One whose answer was lost is young, too, whatever the clock that dated it has done since.
            let may_be_ours = matches!(&sandbox.stage, Stage::Making { made, .. } if made.pod);
            let just_made = may_be_ours
                || matches!(event, Event::Created { pod: Some(Outcome::Done(()) | Outcome::Unknown(_)), .. });
            let vitals = if just_made {
                Vitals::of_newborn(pod, ctx.moment())
            } else {
                Vitals::adopt(pod, terms(pod, ctx), ctx.moment())
            };
            *life = Some(Lifeline {
                uid: pod.uid.clone(),
                vitals,
                armed: None,
                held: None,
                unanswered_since: None,
                unwritten: Unwritten::default(),
            });
        }
    }
}

/// Somebody uses the sandbox.
pub(super) fn touch<W>(
    stage: Stage<W>,
    life: &mut Option<Lifeline>,
    waiter: Option<W>,
    owner: Option<Owner>,
    ctx: Context<'_>,
) -> Decision<W> {
    let write = if let Stage::Resting { .. } = stage { used(life, owner, ctx) } else { None };
    let Some(waiter) = waiter else { return (stage, write.into_iter().collect()) };
    // On an old view it is noted all the same.
    let answer = if ctx.fresh { how_it_is(&stage, ctx) } else { Err(stale()) };
    (stage, vec![Action::Answer(waiter, answer)])
}

/// What is given to somebody is in use from now on, also where a half of it had been there, unused, for long. What is
/// acknowledged is to outlive this process: where there is something to be written, the answers wait for that.
pub(super) fn give<W>(
    stage: Stage<W>,
    mut actions: Vec<Action<W>>,
    life: &mut Option<Lifeline>,
    claim: Option<Owner>,
    ctx: Context<'_>,
) -> Decision<W> {
    let is_given = |action: &Action<W>| matches!(action, Action::Answer(_, Ok(Reply::Made(_))));
    if !actions.iter().any(is_given) || actions.iter().any(Action::is_call) {
        return (stage, actions);
    }
    let write = used(life, claim, ctx);
    // On what has no mark, as most that is new, it is written afterwards: whoever finds that takes it for used just now.
    let is_marked = ctx.seen.pod.as_ref().is_some_and(|pod| pod.marks.active.is_some())
        || life.as_ref().is_some_and(|life| life.unwritten.owner.is_some());
    let Some(write) = write.filter(|_| is_marked) else { return (stage, actions) };
    let waiters = actions
        .extract_if(.., |action| is_given(action))
        .filter_map(|action| if let Action::Answer(waiter, _) = action { Some(waiter) } else { None })
        .collect();
    actions.push(write);
    (Stage::Giving { waiters }, actions)
}

/// Notes a use of a sandbox that is there, and writes it down where a restart would miss it.
pub(super) fn used<W>(
    life: &mut Option<Lifeline>,
    owner: Option<Owner>,
    ctx: Context<'_>,
) -> Option<Action<W>> {
    let (life, pod) = (life.as_mut()?, there(ctx)?);
    life.vitals.touch(ctx.moment());
    life.unanswered_since = None;
    life.unwritten.owner =
        owner.or(life.unwritten.owner.take()).filter(|owner| Some(owner) != pod.marks.owner.as_ref());
    let terms = terms(pod, ctx);
    // While nothing is kept, nothing old is to stand there: it would be believed once there is a timeout again.
    let outdated = terms.idle_timeout.is_none() && pod.marks.active.is_some();
    life.unwritten.active = outdated || life.vitals.wants_writing(terms);
    write(life, pod, ctx)
}

/// Writes down what a restart would miss, unless that failed a moment ago.
pub(super) fn write<W>(life: &Lifeline, pod: &SeenPod, ctx: Context<'_>) -> Option<Action<W>> {
    let Unwritten { active, owner, failures: _, not_before } = &life.unwritten;
    let due = (*active || owner.is_some()) && not_before.is_none_or(|at| at <= ctx.now);
    due.then(|| Action::Write { uid: pod.uid.clone(), marks: marks(life, pod.marks.terms, pod, ctx) })
}

/// What is to stand on the Pod, with these limits.
fn marks(life: &Lifeline, asked: Terms, pod: &SeenPod, ctx: Context<'_>) -> Marks {
    let keeps = ctx.policy.terms(asked).idle_timeout.is_some();
    Marks {
        terms: asked,
        active: keeps.then(|| ctx.moment().wall_at(life.vitals.active)),
        owner: life.unwritten.owner.clone().or(pod.marks.owner.clone()),
    }
}

/// Somebody wants other limits.
pub(super) fn change<W>(
    stage: Stage<W>,
    life: &mut Option<Lifeline>,
    change: TermsChange,
    waiter: W,
    owner: Option<Owner>,
    ctx: Context<'_>,
) -> Decision<W> {
    let (Stage::Resting { .. }, Some(life), Some(pod)) = (&stage, life.as_mut(), there(ctx)) else {
        // Of half a sandbox nothing can be kept.
        let answer = how_it_is(&stage, ctx).map(|_| Reply::Gone);
        return (stage, vec![Action::Answer(waiter, answer)]);
    };
    life.vitals.touch(ctx.moment());
    life.unanswered_since = None;
    life.unwritten.owner = owner.or(life.unwritten.owner.take());
    life.unwritten.active = true;
    let marks = marks(life, pod.marks.terms.changed(change), pod, ctx);
    (Stage::Changing { waiter }, vec![Action::Write { uid: pod.uid.clone(), marks }])
}

/// After a write of what is to be kept.
pub(super) fn written<W>(
    stage: Stage<W>,
    life: &mut Option<Lifeline>,
    outcome: Outcome<()>,
    ctx: Context<'_>,
) -> Decision<W> {
    if let (Some(life), Some(pod)) = (life.as_mut(), &ctx.seen.pod) {
        let idle = terms(pod, ctx).idle_timeout;
        if let Outcome::Done(()) = outcome {
            life.vitals.written = idle.map(|_| life.vitals.active);
            life.unwritten = Unwritten::default();
        } else {
            let longest = idle.map_or(WRITE_WAIT_MAX, |idle| (idle / WRITE_STEP).max(WRITE_WAIT));
            let wait = WRITE_WAIT.saturating_mul(2_u32.saturating_pow(life.unwritten.failures)).min(longest);
            life.unwritten.failures = life.unwritten.failures.saturating_add(1);
            life.unwritten.not_before = Some(ctx.now + wait);
        }
    }
    match (stage, outcome) {
        (Stage::Giving { waiters }, outcome) => {
            let (stage, mut actions) = rest(None, ctx);
            // The Pod has gone, or there is another one, of which the view has not heard.
            let is_another = matches!(
                outcome,
                Outcome::Refused(fault) if matches!(fault.kind, FaultKind::NotFound | FaultKind::Conflict)
            );
            let answer = if is_another { Err(still_terminating(ctx)) } else { how_it_is(&stage, ctx) };
            actions.extend(waiters.into_iter().map(|waiter| Action::Answer(waiter, answer.clone())));
            (stage, actions)
        }
        (Stage::Changing { waiter }, Outcome::Done(())) => {
            let (stage, mut actions) = rest(None, ctx);
            let reply = how_it_is(&stage, ctx);
            actions.push(Action::Answer(waiter, reply));
            (stage, actions)
        }
        (Stage::Changing { waiter }, Outcome::Refused(fault) | Outcome::Unknown(fault)) => {
            let (stage, mut actions) = rest(None, ctx);
            actions.push(Action::Answer(waiter, Err(failure_of("Change of the limits", fault))));
            (stage, actions)
        }
        // A sign of life that could not be written is written later.
        (stage, _) => (stage, vec![]),
    }
}

/// Watches the limits of a sandbox that rests, and begins to reap it when one is reached. `before` is what this
/// step does already: a call comes first.
pub(super) fn attend<W>(
    stage: Stage<W>,
    life: &mut Option<Lifeline>,
    ctx: Context<'_>,
    before: &[Action<W>],
) -> Decision<W> {
    let Stage::Resting { alone_since } = stage else {
        if let Some(life) = life {
            // Whatever wakes the other stages replaces the wish.
            life.armed = None;
        }
        return (stage, vec![]);
    };
    let resting = Stage::Resting { alone_since };
    let (Some(life), Some(pod)) = (life, ctx.seen.pod.as_ref().filter(|pod| !pod.terminating)) else {
        return (resting, vec![]);
    };
    if before.iter().any(Action::is_call) {
        return (resting, vec![]);
    }
    // A half pair is woken for at the end of its grace, by a wish that replaced ours.
    let alone_until = alone_since.map(|since| since + ORPHAN_GRACE);
    if alone_until.is_some() || life.armed.is_some_and(|at| at <= ctx.now) {
        life.armed = None;
    }
    life.held = life.held.filter(|hold| hold.until > ctx.now);
    let terms = terms(pod, ctx);
    // A sandbox whose use is kept from now on, or was not known.
    life.unwritten.active |= terms.idle_timeout.is_some() && life.vitals.written.is_none();
    let pending = ctx.seen.is_whole() && (life.unwritten.active || life.unwritten.owner.is_some());
    let again = match write(life, pod, ctx).filter(|_| pending) {
        Some(write) if ctx.fresh => return (resting, vec![write]),
        Some(_) => Some(ctx.now + reap::AGAIN),
        None => life.unwritten.not_before.filter(|_| pending),
    };
    let ahead = life.vitals.ahead(terms, ctx.policy, ctx.now);
    let next = match life.vitals.reached(terms, ctx.policy, ctx.now) {
        Some(cause) => match life.held.filter(|hold| hold.cause == cause) {
            Some(Hold { until, .. }) => Some(ahead.map_or(until, |ahead| ahead.min(until))),
            None if ctx.fresh => match reap::begin(pod, life, cause, ctx) {
                Ok(decision) => return decision,
                Err(until) => {
                    life.held = Some(Hold { cause, reason: HoldReason::ProbeUnanswered, until });
                    Some(ahead.map_or(until, |ahead| ahead.min(until)))
                }
            },
            None => Some(ctx.now + reap::AGAIN),
        },
        None => ahead,
    };
    let Some(next) = [next, again].into_iter().flatten().min() else { return (resting, vec![]) };
    let wake = alone_until.map_or(next, |alone| alone.min(next));
    if life.armed.is_some_and(|at| at <= wake) {
        return (resting, vec![]);
    }
    life.armed = Some(wake);
    (resting, vec![Action::WakeAt(wake)])
}

/// Why somebody who gave this name may not delete the sandbox; `None` when they may.
pub(super) fn other_owner(
    life: Option<&Lifeline>,
    asking: Option<&Owner>,
    ctx: Context<'_>,
) -> Option<Failure> {
    let (life, asking, pod) = (life?, asking?, there(ctx)?);
    let owner = life.unwritten.owner.as_ref().or(pod.marks.owner.as_ref())?;
    let lease_ends = life.vitals.active + ctx.policy.owner_lease.min(LIMIT_MAX);
    (asking != owner && ctx.now < lease_ends).then(|| Failure::Owned {
        id: ctx.id.clone(),
        owner: owner.as_str().to_owned(),
        retry_after: lease_ends - ctx.now,
    })
}

/// What callers are told of the sandbox's life.
pub(super) fn prospects(life: Option<&Lifeline>, ctx: Context<'_>) -> Option<Life> {
    let (life, pod) = (life?, there(ctx)?);
    let deadline = life.vitals.deadline(terms(pod, ctx), ctx.policy)?;
    Some(Life {
        idle_since: life.vitals.active_wall,
        expires_at: ctx.moment().wall_at(deadline.at),
        cause: deadline.cause,
        held: held(life, deadline, ctx),
    })
}

/// Why a sandbox that has reached this limit is still there.
fn held(life: &Lifeline, deadline: Deadline, ctx: Context<'_>) -> Option<Held> {
    let hold = life.held.filter(|hold| hold.cause == deadline.cause && deadline.at <= ctx.now)?;
    // Without an answer it is asked again and again, until that has lasted for the patience.
    let unanswered_since = life.unanswered_since.filter(|_| hold.reason == HoldReason::ProbeUnanswered);
    let until =
        unanswered_since.map_or(hold.until, |since| hold.until.max(since + ctx.policy.probe_patience));
    Some(Held { reason: hold.reason, until: ctx.moment().wall_at(until) })
}

/// What is told of a sandbox that was touched: as much as a read would show, and that it is going where it is.
fn how_it_is<W>(stage: &Stage<W>, ctx: Context<'_>) -> Result<Reply, Failure> {
    let Some(status) = ctx.seen.status().filter(|_| !stage.is_unheard_of()) else { return Ok(Reply::Gone) };
    let going = ctx.seen.pod.as_ref().is_some_and(|pod| pod.terminating);
    if going || !matches!(stage, Stage::Resting { .. }) {
        return Err(still_terminating(ctx));
    }
    Ok(Reply::Made(status))
}

/// Adds the sandbox's prospects to every answer that shows it.
pub(super) fn complete<W>(actions: &mut [Action<W>], life: Option<&Lifeline>, ctx: Context<'_>) {
    for action in actions {
        if let Action::Answer(_, Ok(Reply::Made(status))) = action {
            status.life = prospects(life, ctx);
        }
    }
}

/// The Pod of a sandbox that callers can use.
fn there(ctx: Context<'_>) -> Option<&SeenPod> {
    ctx.seen.pod.as_ref().filter(|_| ctx.seen.is_whole())
}

pub(super) fn terms(pod: &SeenPod, ctx: Context<'_>) -> Terms {
    ctx.policy.terms(pod.marks.terms)
}

// === impl Action ===

impl<W> Action<W> {
    /// Whether it calls the cluster, and so brings an event of its own.
    pub(super) fn is_call(&self) -> bool {
        match self {
            Self::Create { .. }
            | Self::Remove { .. }
            | Self::Read
            | Self::Write { .. }
            | Self::AskWhetherBusy { .. }
            | Self::Reap { .. } => true,
            Self::Answer(..) | Self::WakeAt(_) | Self::Retire | Self::Record(_) => false,
        }
    }
}

// === impl Context ===

impl Context<'_> {
    /// Both clocks.
    pub(super) fn moment(self) -> Moment {
        Moment { now: self.now, wall: self.wall }
    }
}
