//! How long a sandbox lives: signs of life are taken in, limits watched, and what has reached one is reaped.

use std::time::{Duration, Instant};

use super::{
    Action, Context, Decision, Event, Lifeline, ORPHAN_GRACE, Reply, Sandbox, Stage, failure_of, rest,
};
use crate::{
    failure::Failure,
    lifetime::{Cause, LIMIT_MAX, Marks, Moment, Owner, Terms, TermsChange, Vitals},
    ports::{Busy, Only, Outcome},
    seen::{Life, SeenPod, Uid, Version},
};

/// When a reap is thought of again that could not be done, or not be judged because the view was old.
const AGAIN: Duration = Duration::from_secs(5);

/// When a rehearsed reap is said again: nobody wants to read it every second.
const REHEARSE_AGAIN: Duration = Duration::from_secs(3600);

/// Takes in how the Pod looks now; a Pod that was not known begins a lifeline.
pub(super) fn meet<W>(sandbox: &mut Sandbox<W>, event: &Event<W>, ctx: Context<'_>) {
    let Some(pod) = &ctx.seen.pod else {
        sandbox.life = None;
        return;
    };
    match &mut sandbox.life {
        Some(life) if life.uid == pod.uid => life.vitals.see(pod, ctx.now),
        life => {
            let just_made = matches!(event, Event::Created { pod: Some(Outcome::Done(())), .. });
            let vitals = if just_made {
                Vitals::of_newborn(pod, ctx.moment())
            } else {
                Vitals::adopt(pod, terms(pod, ctx), ctx.moment())
            };
            *life = Some(Lifeline { uid: pod.uid.clone(), vitals, armed: None, unanswered_since: None });
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
    let writes = used(&stage, life, owner, ctx);
    let mut actions: Vec<_> =
        waiter.map(|waiter| Action::Answer(waiter, Ok(how_it_is(&stage, ctx)))).into_iter().collect();
    actions.extend(writes);
    (stage, actions)
}

/// Notes a use of a sandbox that is there, and writes it down where a restart would miss it.
pub(super) fn used<W>(
    stage: &Stage<W>,
    life: &mut Option<Lifeline>,
    owner: Option<Owner>,
    ctx: Context<'_>,
) -> Option<Action<W>> {
    let (Stage::Resting { .. }, Some(life), Some(pod)) = (stage, life, there(ctx)) else { return None };
    life.vitals.touch(ctx.moment());
    life.unanswered_since = None;
    let new_owner = owner.is_some() && owner != pod.marks.owner;
    (new_owner || life.vitals.wants_writing(terms(pod, ctx))).then(|| Action::Write {
        uid: pod.uid.clone(),
        marks: Marks {
            active: Some(ctx.wall),
            owner: owner.or(pod.marks.owner.clone()),
            ..pod.marks.clone()
        },
    })
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
        return (stage, vec![Action::Answer(waiter, Ok(Reply::Gone))]);
    };
    life.vitals.touch(ctx.moment());
    let marks = Marks {
        terms: pod.marks.terms.changed(change),
        active: Some(ctx.wall),
        owner: owner.or(pod.marks.owner.clone()),
    };
    (Stage::Changing { waiter }, vec![Action::Write { uid: pod.uid.clone(), marks }])
}

/// After a write of what is to be kept.
pub(super) fn written<W>(
    stage: Stage<W>,
    life: &mut Option<Lifeline>,
    outcome: Outcome<()>,
    ctx: Context<'_>,
) -> Decision<W> {
    if let (Some(life), Outcome::Done(())) = (life.as_mut(), &outcome) {
        life.vitals.written = Some(life.vitals.active);
        life.armed = None;
    }
    match (stage, outcome) {
        (Stage::Changing { waiter }, Outcome::Done(())) => {
            let (stage, mut actions) = rest(None, ctx);
            let reply = how_it_is(&stage, ctx);
            actions.push(Action::Answer(waiter, Ok(reply)));
            (stage, actions)
        }
        (Stage::Changing { waiter }, Outcome::Refused(fault) | Outcome::Unknown(fault)) => {
            let (stage, mut actions) = rest(None, ctx);
            actions.push(Action::Answer(waiter, Err(failure_of("Change of the limits", fault))));
            (stage, actions)
        }
        // A sign of life that could not be written is written with the next one.
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
    let terms = terms(pod, ctx);
    let next = match life.vitals.reached(terms, ctx.policy, ctx.now) {
        // Something holds it back until then.
        Some(_) if life.armed.is_some() => return (resting, vec![]),
        Some(cause) if ctx.fresh => return reap(pod, cause, ctx),
        Some(_) => ctx.now + AGAIN,
        None => match life.vitals.ahead(terms, ctx.policy, ctx.now) {
            Some(next) => next,
            None => return (resting, vec![]),
        },
    };
    let wake = alone_until.map_or(next, |alone| alone.min(next));
    if life.armed.is_some_and(|at| at <= wake) {
        return (resting, vec![]);
    }
    life.armed = Some(wake);
    (resting, vec![Action::WakeAt(wake)])
}

fn reap<W>(pod: &SeenPod, cause: Cause, ctx: Context<'_>) -> Decision<W> {
    let url = ctx.seen.service.as_ref().and_then(|service| service.url.clone());
    let action = match (cause, url) {
        (Cause::Idle, Some(url)) => Action::AskWhetherBusy { url },
        _ => let_go(pod, cause, ctx),
    };
    (Stage::Reaping(cause), vec![action])
}

fn let_go<W>(pod: &SeenPod, cause: Cause, ctx: Context<'_>) -> Action<W> {
    let only = |uid: &Uid, version: Version| Only {
        uid: uid.clone(),
        version: (version != Version::UNKNOWN).then_some(version),
    };
    let service = ctx.seen.service.as_ref().filter(|service| !service.terminating);
    Action::Reap {
        pod: only(&pod.uid, pod.version),
        service: service.map(|service| only(&service.uid, service.version)),
        cause,
    }
}

/// After the sandbox was asked whether it is busy.
pub(super) fn asked<W>(
    stage: Stage<W>,
    life: &mut Option<Lifeline>,
    busy: &Busy,
    ctx: Context<'_>,
) -> Decision<W> {
    let (Stage::Reaping(cause), Some(life), Some(pod)) = (&stage, life.as_mut(), there(ctx)) else {
        return settle(stage, ctx);
    };
    match busy {
        Busy::Yes(_) => {
            life.vitals.touch(ctx.moment());
            life.unanswered_since = None;
            let write = life.vitals.wants_writing(terms(pod, ctx)).then(|| Action::Write {
                uid: pod.uid.clone(),
                marks: Marks { active: Some(ctx.wall), ..pod.marks.clone() },
            });
            let (stage, mut actions) = settle(stage, ctx);
            actions.extend(write);
            (stage, actions)
        }
        Busy::Unanswered(_) => {
            let since = *life.unanswered_since.get_or_insert(ctx.now);
            if ctx.now.saturating_duration_since(since) < ctx.policy.probe_patience {
                return wait(stage, life, ctx.now + ctx.policy.probe_interval, ctx);
            }
            (Stage::Reaping(*cause), vec![let_go(pod, *cause, ctx)])
        }
        Busy::No => (Stage::Reaping(*cause), vec![let_go(pod, *cause, ctx)]),
    }
}

/// The belt holds the reap back: until then, or because it is only rehearsed.
pub(super) fn held<W>(
    stage: Stage<W>,
    life: &mut Option<Lifeline>,
    until: Option<Instant>,
    ctx: Context<'_>,
) -> Decision<W> {
    match life {
        Some(life) => wait(stage, life, until.unwrap_or(ctx.now + REHEARSE_AGAIN), ctx),
        None => settle(stage, ctx),
    }
}

/// After a reap that the belt let go.
pub(super) fn reaped<W>(
    stage: Stage<W>,
    life: &mut Option<Lifeline>,
    outcomes: [Option<Outcome<()>>; 2],
    ctx: Context<'_>,
) -> Decision<W> {
    let Stage::Reaping(cause) = stage else { return settle(stage, ctx) };
    let [pod, _] = outcomes;
    if matches!(pod, Some(Outcome::Done(()))) {
        let (stage, mut actions) = settle(stage, ctx);
        actions.insert(0, Action::Record(cause));
        return (stage, actions);
    }
    // The Pod has changed since, or the cluster does not answer: it is judged anew.
    match life {
        Some(life) => wait(stage, life, ctx.now + AGAIN, ctx),
        None => settle(stage, ctx),
    }
}

/// Rests, and looks at the limits again then, or when another one is reached.
fn wait<W>(stage: Stage<W>, life: &mut Lifeline, until: Instant, ctx: Context<'_>) -> Decision<W> {
    let (stage, mut actions) = settle(stage, ctx);
    let until = until.max(ctx.now + Duration::from_millis(1));
    let other = there(ctx).and_then(|pod| life.vitals.ahead(terms(pod, ctx), ctx.policy, ctx.now));
    life.armed = Some(other.map_or(until, |other| other.min(until)));
    actions.extend(life.armed.map(Action::WakeAt));
    (stage, actions)
}

fn settle<W>(stage: Stage<W>, ctx: Context<'_>) -> Decision<W> {
    match stage {
        Stage::Reaping(_) => rest(None, ctx),
        other => (other, vec![]),
    }
}

/// Why somebody who gave this name may not delete the sandbox; `None` when they may.
pub(super) fn other_owner(
    life: Option<&Lifeline>,
    asking: Option<&Owner>,
    ctx: Context<'_>,
) -> Option<Failure> {
    let (life, asking, owner) = (life?, asking?, there(ctx)?.marks.owner.as_ref()?);
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
    })
}

fn how_it_is<W>(stage: &Stage<W>, ctx: Context<'_>) -> Reply {
    let usable = matches!(stage, Stage::Resting { .. }) && there(ctx).is_some();
    ctx.seen.status().filter(|_| usable).map_or(Reply::Gone, Reply::Made)
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

fn terms(pod: &SeenPod, ctx: Context<'_>) -> Terms {
    ctx.policy.terms(pod.marks.terms)
}

// === impl Action ===

impl<W> Action<W> {
    /// Whether it calls the cluster, and so brings an event of its own.
    fn is_call(&self) -> bool {
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
