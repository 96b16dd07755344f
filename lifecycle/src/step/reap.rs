//! Reaping what has reached a limit: whether it is busy is asked first, and what was begun is brought to its end.

use std::time::{Duration, Instant};

use super::{
    Action, AfterDelete, Context, Decision, LifetimeState, Objects, Stage,
    live::{limits, write},
    remove, rest,
};
use crate::{
    error::ClusterError,
    hold::{Hold, HoldReason},
    lifetime::ReapReason,
    observed::{ObservedPod, ResourceVersion, Uid},
    traits::{Busy, Outcome, Preconditions},
};

/// When a reap is thought of again that could not be done, or not be judged because the view was old.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// When a reap is thought of again that was refused for good: that changes only when a person acts.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);

/// When a rehearsed reap is said again: nobody wants to read it every second.
const REHEARSE_AGAIN: Duration = Duration::from_secs(3600);

/// A limit is reached: what is to be done, or when it is to be looked at again.
pub(super) fn begin<W>(
    pod: &ObservedPod,
    lifetime: &mut LifetimeState,
    cause: ReapReason,
    ctx: Context<'_>,
) -> Result<Decision<W>, Instant> {
    let service = ctx.seen.service.as_ref().filter(|service| !service.terminating);
    let action = match (cause, service.and_then(|service| service.url.clone())) {
        (ReapReason::Idle, Some(url)) => Action::Probe { url },
        // Its Service may only have lost our label, and lead to it still.
        (ReapReason::Idle, None) => {
            unanswered(lifetime, ctx)?;
            let_go(pod, cause, ctx)
        }
        _ => let_go(pod, cause, ctx),
    };
    Ok((Stage::Reaping(cause), vec![action]))
}

/// It could not be asked: that it is idle is taken on trust only after a while; before that, says when to ask again.
fn unanswered(lifetime: &mut LifetimeState, ctx: Context<'_>) -> Result<(), Instant> {
    let since = *lifetime.unanswered_since.get_or_insert(ctx.now);
    let is_long = ctx.now.saturating_duration_since(since) >= ctx.policy.probe_patience;
    if is_long { Ok(()) } else { Err(ctx.now + ctx.policy.probe_interval) }
}

fn let_go<W>(pod: &ObservedPod, cause: ReapReason, ctx: Context<'_>) -> Action<W> {
    let only = |uid: &Uid, version: ResourceVersion| Preconditions {
        uid: uid.clone(),
        version: (version != ResourceVersion::UNKNOWN).then_some(version),
    };
    let service = ctx.seen.service.as_ref().filter(|service| !service.terminating);
    Action::Reap {
        pod: only(&pod.uid, pod.version),
        service: service.map(|service| only(&service.uid, service.version)),
        cause,
    }
}

/// After the sandbox was asked whether it is busy.
pub(super) fn probed<W>(
    stage: Stage<W>,
    lifetime: &mut Option<LifetimeState>,
    busy: &Busy,
    ctx: Context<'_>,
) -> Decision<W> {
    // Its Service may have gone meanwhile: the answer counts all the same.
    let pod = ctx.seen.pod.as_ref().filter(|pod| !pod.terminating);
    let (Stage::Reaping(_), Some(lifetime), Some(pod)) = (&stage, lifetime.as_mut(), pod) else {
        return settle(stage, ctx);
    };
    if let Busy::Yes(_) = busy {
        lifetime.activity.touch(ctx.clocks());
        lifetime.unanswered_since = None;
        lifetime.pending_write.last_activity = lifetime.activity.wants_writing(limits(pod, ctx));
        let write = write(lifetime, pod, ctx);
        let (stage, mut actions) = settle(stage, ctx);
        actions.extend(write);
        return (stage, actions);
    }
    // Asking takes a while, in which its limits may have been changed and the view may have grown old.
    let reached = lifetime.activity.reached(limits(pod, ctx), ctx.policy, ctx.now).filter(|_| ctx.fresh);
    let Some(cause) = reached else { return settle(stage, ctx) };
    if cause == ReapReason::Idle {
        let again = match busy {
            Busy::Unasked(_) => Some((HoldReason::ProbeNotSent, ctx.now + ctx.policy.probe_interval)),
            Busy::Unanswered(_) => {
                unanswered(lifetime, ctx).err().map(|at| (HoldReason::ProbeUnanswered, at))
            }
            Busy::No | Busy::Yes(_) => {
                lifetime.unanswered_since = None;
                None
            }
        };
        if let Some((reason, at)) = again {
            return wait(stage, lifetime, reason, at, ctx);
        }
    }
    (Stage::Reaping(cause), vec![let_go(pod, cause, ctx)])
}

/// The belt holds the reap back: until then, or because it is only rehearsed.
pub(super) fn deferred<W>(
    stage: Stage<W>,
    lifetime: &mut Option<LifetimeState>,
    until: Option<Instant>,
    ctx: Context<'_>,
) -> Decision<W> {
    match lifetime {
        Some(lifetime) => {
            let (reason, until) = match until {
                Some(until) => (HoldReason::ReapLimits, until),
                None => (HoldReason::DryRun, ctx.now + REHEARSE_AGAIN),
            };
            wait(stage, lifetime, reason, until, ctx)
        }
        None => settle(stage, ctx),
    }
}

/// The belt may let go what it held, which asks again.
pub(super) fn resumed(lifetime: &mut Option<LifetimeState>) {
    if let Some(lifetime) = lifetime {
        lifetime.held = None;
    }
}

/// After a reap that the belt let go: the Pod's delete, and then the Service's.
pub(super) fn reaped<W>(
    stage: Stage<W>,
    lifetime: &mut Option<LifetimeState>,
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
                    remove::later(Objects { pod: false, service: true }, 0, true, ctx)
                }
                Some(Outcome::Done(())) | None => settle(stage, ctx),
            };
            actions.insert(0, Action::RecordReap(cause));
            return (stage, actions);
        }
        // Neither may it be given to anybody nor used, and nobody be told that it went, before that is known.
        Some(Outcome::Unknown(_)) => return (Stage::ReapUnknown { cause, at: None }, vec![Action::Read]),
        // The Pod has changed since, or the cluster does not do it now: it is judged anew.
        Some(Outcome::Refused(fault)) if !fault.kind.is_passing() => REFUSED_AGAIN,
        Some(Outcome::Refused(_)) | None => AGAIN,
    };
    match lifetime {
        Some(lifetime) => wait(stage, lifetime, HoldReason::DeleteFailed, ctx.now + pause, ctx),
        None => settle(stage, ctx),
    }
}

/// Before it is time to look at what may have been reaped: the watch may have told it.
pub(super) fn look<W>(cause: ReapReason, at: Instant, ctx: Context<'_>) -> Decision<W> {
    if is_gone(ctx) {
        gone(cause, ctx)
    } else if ctx.now >= at {
        (Stage::ReapUnknown { cause, at: None }, vec![Action::Read])
    } else {
        (Stage::ReapUnknown { cause, at: Some(at) }, vec![Action::SetTimer(at)])
    }
}

/// After a look at what may have been reaped.
pub(super) fn read<W>(
    cause: ReapReason,
    result: &Result<Option<String>, ClusterError>,
    lifetime: &mut Option<LifetimeState>,
    ctx: Context<'_>,
) -> Decision<W> {
    match (result, lifetime) {
        _ if is_gone(ctx) => gone(cause, ctx),
        (Err(_), _) => {
            let at = ctx.now + AGAIN;
            (Stage::ReapUnknown { cause, at: Some(at) }, vec![Action::SetTimer(at)])
        }
        (Ok(_), Some(lifetime)) => {
            wait(Stage::Reaping(cause), lifetime, HoldReason::DeleteFailed, ctx.now + AGAIN, ctx)
        }
        (Ok(_), None) => rest(None, ctx),
    }
}

fn is_gone(ctx: Context<'_>) -> bool {
    ctx.seen.pod.as_ref().is_none_or(|pod| pod.terminating)
}

/// It was reaped indeed, and what is left of it follows.
fn gone<W>(cause: ReapReason, ctx: Context<'_>) -> Decision<W> {
    let service = Objects { pod: false, service: true };
    let (stage, mut actions) = remove::remove(service, 0, vec![], AfterDelete::Forget, ctx);
    actions.insert(0, Action::RecordReap(cause));
    (stage, actions)
}

/// Rests, and looks at this limit again then, and at the others when they are reached.
fn wait<W>(
    stage: Stage<W>,
    lifetime: &mut LifetimeState,
    reason: HoldReason,
    until: Instant,
    ctx: Context<'_>,
) -> Decision<W> {
    if let Stage::Reaping(cause) = stage {
        lifetime.held = Some(Hold { cause, reason, until: until.max(ctx.now + Duration::from_millis(1)) });
    }
    settle(stage, ctx)
}

fn settle<W>(stage: Stage<W>, ctx: Context<'_>) -> Decision<W> {
    match stage {
        Stage::Reaping(_) => rest(None, ctx),
        other => (other, vec![]),
    }
}
