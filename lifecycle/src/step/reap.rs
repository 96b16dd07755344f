//! Reaping what has reached a limit: whether it is busy is asked first, and what was begun is brought to its end.

use std::time::{Duration, Instant};

use super::{
    Action, Context, Decision, Halves, Lifeline, Next, Stage,
    live::{terms, write},
    remove, rest,
};
use crate::{
    failure::Fault,
    hold::{Hold, HoldReason},
    lifetime::Cause,
    ports::{Busy, Only, Outcome},
    seen::{SeenPod, Uid, Version},
};

/// When a reap is thought of again that could not be done, or not be judged because the view was old.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// When a reap is thought of again that was refused for good: that changes only when a person acts.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);

/// When a rehearsed reap is said again: nobody wants to read it every second.
const REHEARSE_AGAIN: Duration = Duration::from_secs(3600);

/// A limit is reached: what is to be done, or when it is to be looked at again.
pub(super) fn begin<W>(
    pod: &SeenPod,
    life: &mut Lifeline,
    cause: Cause,
    ctx: Context<'_>,
) -> Result<Decision<W>, Instant> {
    let service = ctx.seen.service.as_ref().filter(|service| !service.terminating);
    let action = match (cause, service.and_then(|service| service.url.clone())) {
        (Cause::Idle, Some(url)) => Action::AskWhetherBusy { url },
        // Its Service may only have lost our label, and lead to it still.
        (Cause::Idle, None) => {
            unanswered(life, ctx)?;
            let_go(pod, cause, ctx)
        }
        _ => let_go(pod, cause, ctx),
    };
    Ok((Stage::Reaping(cause), vec![action]))
}

/// It could not be asked: that it is idle is taken on trust only after a while; before that, says when to ask again.
fn unanswered(life: &mut Lifeline, ctx: Context<'_>) -> Result<(), Instant> {
    let since = *life.unanswered_since.get_or_insert(ctx.now);
    let is_long = ctx.now.saturating_duration_since(since) >= ctx.policy.probe_patience;
    if is_long { Ok(()) } else { Err(ctx.now + ctx.policy.probe_interval) }
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
    // Its Service may have gone meanwhile: the answer counts all the same.
    let pod = ctx.seen.pod.as_ref().filter(|pod| !pod.terminating);
    let (Stage::Reaping(_), Some(life), Some(pod)) = (&stage, life.as_mut(), pod) else {
        return settle(stage, ctx);
    };
    if let Busy::Yes(_) = busy {
        life.vitals.touch(ctx.moment());
        life.unanswered_since = None;
        life.unwritten.active = life.vitals.wants_writing(terms(pod, ctx));
        let write = write(life, pod, ctx);
        let (stage, mut actions) = settle(stage, ctx);
        actions.extend(write);
        return (stage, actions);
    }
    // Asking takes a while, in which its limits may have been changed and the view may have grown old.
    let reached = life.vitals.reached(terms(pod, ctx), ctx.policy, ctx.now).filter(|_| ctx.fresh);
    let Some(cause) = reached else { return settle(stage, ctx) };
    if cause == Cause::Idle {
        let again = match busy {
            Busy::Unasked(_) => Some((HoldReason::ProbeNotSent, ctx.now + ctx.policy.probe_interval)),
            Busy::Unanswered(_) => unanswered(life, ctx).err().map(|at| (HoldReason::ProbeUnanswered, at)),
            Busy::No | Busy::Yes(_) => {
                life.unanswered_since = None;
                None
            }
        };
        if let Some((reason, at)) = again {
            return wait(stage, life, reason, at, ctx);
        }
    }
    (Stage::Reaping(cause), vec![let_go(pod, cause, ctx)])
}

/// The belt holds the reap back: until then, or because it is only rehearsed.
pub(super) fn held<W>(
    stage: Stage<W>,
    life: &mut Option<Lifeline>,
    until: Option<Instant>,
    ctx: Context<'_>,
) -> Decision<W> {
    match life {
        Some(life) => {
            let (reason, until) = match until {
                Some(until) => (HoldReason::ReapLimits, until),
                None => (HoldReason::DryRun, ctx.now + REHEARSE_AGAIN),
            };
            wait(stage, life, reason, until, ctx)
        }
        None => settle(stage, ctx),
    }
}

/// The belt may let go what it held, which asks again.
pub(super) fn released(life: &mut Option<Lifeline>) {
    if let Some(life) = life {
        life.held = None;
    }
}

/// After a reap that the belt let go: the Pod's delete, and then the Service's.
pub(super) fn reaped<W>(
    stage: Stage<W>,
    life: &mut Option<Lifeline>,
    outcomes: [Option<Outcome<()>>; 2],
    ctx: Context<'_>,
) -> Decision<W> {
    let Stage::Reaping(cause) = stage else { return settle(stage, ctx) };
    let [pod, service] = outcomes;
    let pause = match pod {
        Some(Outcome::Done(())) => {
            let (stage, mut actions) = match service {
                // The sandbox is gone for everybody, and what is left of it follows.
                Some(Outcome::Refused(_) | Outcome::Unknown(_)) => {
                    remove::later(Halves { pod: false, service: true }, 0, true, ctx)
                }
                Some(Outcome::Done(())) | None => settle(stage, ctx),
            };
            actions.insert(0, Action::Record(cause));
            return (stage, actions);
        }
        // Neither may it be given to anybody nor used, and nobody be told that it went, before that is known.
        Some(Outcome::Unknown(_)) => return (Stage::Unsure { cause, at: None }, vec![Action::Read]),
        // The Pod has changed since, or the cluster does not do it now: it is judged anew.
        Some(Outcome::Refused(fault)) if !fault.kind.is_passing() => REFUSED_AGAIN,
        Some(Outcome::Refused(_)) | None => AGAIN,
    };
    match life {
        Some(life) => wait(stage, life, HoldReason::DeleteFailed, ctx.now + pause, ctx),
        None => settle(stage, ctx),
    }
}

/// Before it is time to look at what may have been reaped: the watch may have told it.
pub(super) fn look<W>(cause: Cause, at: Instant, ctx: Context<'_>) -> Decision<W> {
    if is_gone(ctx) {
        gone(cause, ctx)
    } else if ctx.now >= at {
        (Stage::Unsure { cause, at: None }, vec![Action::Read])
    } else {
        (Stage::Unsure { cause, at: Some(at) }, vec![Action::WakeAt(at)])
    }
}

/// After a look at what may have been reaped.
pub(super) fn read<W>(
    cause: Cause,
    result: &Result<Option<String>, Fault>,
    life: &mut Option<Lifeline>,
    ctx: Context<'_>,
) -> Decision<W> {
    match (result, life) {
        _ if is_gone(ctx) => gone(cause, ctx),
        (Err(_), _) => {
            let at = ctx.now + AGAIN;
            (Stage::Unsure { cause, at: Some(at) }, vec![Action::WakeAt(at)])
        }
        (Ok(_), Some(life)) => {
            wait(Stage::Reaping(cause), life, HoldReason::DeleteFailed, ctx.now + AGAIN, ctx)
        }
        (Ok(_), None) => rest(None, ctx),
    }
}

fn is_gone(ctx: Context<'_>) -> bool {
    ctx.seen.pod.as_ref().is_none_or(|pod| pod.terminating)
}

/// It was reaped indeed, and what is left of it follows.
fn gone<W>(cause: Cause, ctx: Context<'_>) -> Decision<W> {
    let service = Halves { pod: false, service: true };
    let (stage, mut actions) = remove::remove(service, 0, vec![], Next::Forget, ctx);
    actions.insert(0, Action::Record(cause));
    (stage, actions)
}

/// Rests, and looks at this limit again then, and at the others when they are reached.
fn wait<W>(
    stage: Stage<W>,
    life: &mut Lifeline,
    reason: HoldReason,
    until: Instant,
    ctx: Context<'_>,
) -> Decision<W> {
    if let Stage::Reaping(cause) = stage {
        life.held = Some(Hold { cause, reason, until: until.max(ctx.now + Duration::from_millis(1)) });
    }
    settle(stage, ctx)
}

fn settle<W>(stage: Stage<W>, ctx: Context<'_>) -> Decision<W> {
    match stage {
        Stage::Reaping(_) => rest(None, ctx),
        other => (other, vec![]),
    }
}
