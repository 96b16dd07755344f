//! Reaping: probes an idle sandbox for activity first, and follows a reap until its outcome is known.

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

/// The retry delay after a reap that failed, or that could not be decided on because the view was stale.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// The retry delay after a reap that was refused permanently: only an operator can change that.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);

/// The interval at which a dry run reports the same sandbox. It is long, to keep the reports few.
const REHEARSE_AGAIN: Duration = Duration::from_secs(3600);

/// Starts a reap after a limit is reached. Returns the time of the next attempt if the sandbox has to wait.
pub(super) fn begin<W>(
    pod: &ObservedPod,
    lifetime: &mut LifetimeState,
    cause: ReapReason,
    ctx: Context<'_>,
) -> Result<Decision<W>, Instant> {
    let service = ctx.seen.service.as_ref().filter(|service| !service.terminating);
    let action = match (cause, service.and_then(|service| service.url.clone())) {
        (ReapReason::Idle, Some(url)) => Action::Probe { url },
        // Without an observed Service the sandbox cannot be probed. The Service may only have lost its label and
        // still work.
        (ReapReason::Idle, None) => {
            unanswered(lifetime, ctx)?;
            let_go(pod, cause, ctx)
        }
        _ => let_go(pod, cause, ctx),
    };
    Ok((Stage::Reaping(cause), vec![action]))
}

/// Records that the sandbox could not be probed. Returns when to probe again, until `probe_patience` has passed and
/// the sandbox counts as idle.
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

/// Handles the outcome of an activity probe.
pub(super) fn probed<W>(
    stage: Stage<W>,
    lifetime: &mut Option<LifetimeState>,
    busy: &Busy,
    ctx: Context<'_>,
) -> Decision<W> {
    // The Service may be gone since. The outcome counts nevertheless.
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
    // While the probe ran, the limits may have changed and the view may have become stale.
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

/// Holds a sandbox that the reap limits defer until a time, or that is reaped only as a dry run.
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

/// Ends the hold, so that the next step asks the reap limits again.
pub(super) fn resumed(lifetime: &mut Option<LifetimeState>) {
    if let Some(lifetime) = lifetime {
        lifetime.held = None;
    }
}

/// Handles the outcome of a reap: of the Pod's delete, and then of the Service's.
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
                // Without its Pod the sandbox is gone for callers. The Service is deleted later.
                Some(Outcome::Refused(_) | Outcome::Unknown(_)) => {
                    remove::later(Objects { pod: false, service: true }, 0, true, ctx)
                }
                Some(Outcome::Done(())) | None => settle(stage, ctx),
            };
            actions.insert(0, Action::RecordReap(cause));
            return (stage, actions);
        }
        // Until the outcome is known, the sandbox must not be returned, used or reported as reaped.
        Some(Outcome::Unknown(_)) => return (Stage::ReapUnknown { cause, at: None }, vec![Action::Read]),
        // The Pod has changed since, or the API server refuses the delete for now. The limits are evaluated again.
        Some(Outcome::Refused(fault)) if !fault.kind.is_passing() => REFUSED_AGAIN,
        Some(Outcome::Refused(_)) | None => AGAIN,
    };
    match lifetime {
        Some(lifetime) => wait(stage, lifetime, HoldReason::DeleteFailed, ctx.now + pause, ctx),
        None => settle(stage, ctx),
    }
}

/// Checks whether the watch has reported the deletion before the next read is due.
pub(super) fn look<W>(cause: ReapReason, at: Instant, ctx: Context<'_>) -> Decision<W> {
    if is_gone(ctx) {
        gone(cause, ctx)
    } else if ctx.now >= at {
        (Stage::ReapUnknown { cause, at: None }, vec![Action::Read])
    } else {
        (Stage::ReapUnknown { cause, at: Some(at) }, vec![Action::SetTimer(at)])
    }
}

/// Handles the outcome of a read after a reap with an unknown outcome.
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

/// Records the reap and deletes the Service.
fn gone<W>(cause: ReapReason, ctx: Context<'_>) -> Decision<W> {
    let service = Objects { pod: false, service: true };
    let (stage, mut actions) = remove::remove(service, 0, vec![], AfterDelete::Forget, ctx);
    actions.insert(0, Action::RecordReap(cause));
    (stage, actions)
}

/// Returns to `Steady` and holds this limit until the given time. Other limits still apply when they are reached.
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
