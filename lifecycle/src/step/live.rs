//! The lifetime of a sandbox: records activity, writes it to the Pod, and watches the limits.

use std::time::Duration;

use super::{
    Action, Context, Decision, Event, LifetimeState, ORPHAN_GRACE, PendingWrite, Reply, Sandbox, Stage,
    create::{stale, still_terminating},
    failure_of, reap, rest,
};
use crate::{
    error::{ClusterErrorKind, SandboxError},
    hold::{Held, Hold, HoldReason},
    lifetime::{
        Activity, Clocks, Deadline, LIMIT_MAX, LifetimeAnnotations, Limits, LimitsPatch, Owner, WRITE_STEP,
    },
    observed::{Expiry, ObservedPod},
    traits::Outcome,
};

/// The first delay after a failed write of activity. It doubles until failed writes are as rare as successful ones
/// would be, or up to [`WRITE_WAIT_MAX`] without an idle timeout.
const WRITE_WAIT: Duration = Duration::from_secs(5);

/// The longest delay without an idle timeout, when only an owner is to be written.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(60);

/// Updates the lifetime from the observed Pod. A Pod with a new uid starts a new lifetime.
pub(super) fn meet<W>(sandbox: &mut Sandbox<W>, event: &Event<W>, ctx: Context<'_>) {
    let Some(pod) = &ctx.seen.pod else {
        sandbox.lifetime = None;
        return;
    };
    match &mut sandbox.lifetime {
        Some(lifetime) if lifetime.uid == pod.uid => lifetime.activity.see(pod, ctx.now),
        lifetime => {
            // A create with an unknown outcome also made a new Pod. Its age must not depend on the API server's
            // clock.
            let may_be_ours = matches!(&sandbox.stage, Stage::Creating { made, .. } if made.pod);
            let just_made = may_be_ours
                || matches!(event, Event::Created { pod: Some(Outcome::Done(()) | Outcome::Unknown(_)), .. });
            let activity = if just_made {
                Activity::of_new_pod(pod, ctx.clocks())
            } else {
                Activity::adopt(pod, limits(pod, ctx), ctx.clocks())
            };
            *lifetime = Some(LifetimeState {
                uid: pod.uid.clone(),
                activity,
                armed: None,
                held: None,
                unanswered_since: None,
                pending_write: PendingWrite::default(),
            });
        }
    }
}

/// Handles a touch.
pub(super) fn touch<W>(
    stage: Stage<W>,
    lifetime: &mut Option<LifetimeState>,
    waiter: Option<W>,
    owner: Option<Owner>,
    ctx: Context<'_>,
) -> Decision<W> {
    let write = if let Stage::Steady { .. } = stage { used(lifetime, owner, ctx) } else { None };
    let Some(waiter) = waiter else { return (stage, write.into_iter().collect()) };
    // A touch counts as activity even if the view is stale.
    let answer = if ctx.fresh { how_it_is(&stage, ctx) } else { Err(stale()) };
    (stage, vec![Action::Answer(waiter, answer)])
}

/// Records the use of a sandbox that is about to be returned, so that a reused Pod does not count as idle. An
/// acknowledged use must survive a restart: if it has to be written, the answers wait for the write.
pub(super) fn give<W>(
    stage: Stage<W>,
    mut actions: Vec<Action<W>>,
    lifetime: &mut Option<LifetimeState>,
    claim: Option<Owner>,
    ctx: Context<'_>,
) -> Decision<W> {
    let is_given = |action: &Action<W>| matches!(action, Action::Answer(_, Ok(Reply::Made(_))));
    if !actions.iter().any(is_given) || actions.iter().any(Action::is_call) {
        return (stage, actions);
    }
    let write = used(lifetime, claim, ctx);
    // A new Pod usually has no annotation. Its use is written after the answer: without the annotation, another
    // process assumes that the last use was now.
    let is_marked = ctx.seen.pod.as_ref().is_some_and(|pod| pod.annotations.last_activity.is_some())
        || lifetime.as_ref().is_some_and(|lifetime| lifetime.pending_write.owner.is_some());
    let Some(write) = write.filter(|_| is_marked) else { return (stage, actions) };
    let waiters = actions
        .extract_if(.., |action| is_given(action))
        .filter_map(|action| if let Action::Answer(waiter, _) = action { Some(waiter) } else { None })
        .collect();
    actions.push(write);
    (Stage::RecordingUse { waiters }, actions)
}

/// Records a use of an existing sandbox, and writes it if a restart would lose it.
pub(super) fn used<W>(
    lifetime: &mut Option<LifetimeState>,
    owner: Option<Owner>,
    ctx: Context<'_>,
) -> Option<Action<W>> {
    let (lifetime, pod) = (lifetime.as_mut()?, there(ctx)?);
    lifetime.activity.touch(ctx.clocks());
    lifetime.unanswered_since = None;
    lifetime.pending_write.owner = owner
        .or(lifetime.pending_write.owner.take())
        .filter(|owner| Some(owner) != pod.annotations.owner.as_ref());
    let limits = limits(pod, ctx);
    // Without an idle timeout, the annotation is not kept up to date. Remove it: once there is a timeout again, an
    // outdated value would be believed.
    let outdated = limits.idle_timeout.is_none() && pod.annotations.last_activity.is_some();
    lifetime.pending_write.last_activity = outdated || lifetime.activity.wants_writing(limits);
    write(lifetime, pod, ctx)
}

/// Writes what a restart would lose, unless a write failed recently.
pub(super) fn write<W>(lifetime: &LifetimeState, pod: &ObservedPod, ctx: Context<'_>) -> Option<Action<W>> {
    let PendingWrite { last_activity, owner, failures: _, not_before } = &lifetime.pending_write;
    let due = (*last_activity || owner.is_some()) && not_before.is_none_or(|at| at <= ctx.now);
    due.then(|| Action::Write {
        uid: pod.uid.clone(),
        annotations: annotations(lifetime, pod.annotations.limits, pod, ctx),
    })
}

/// Returns the annotations for the Pod with these limits.
fn annotations(
    lifetime: &LifetimeState,
    asked: Limits,
    pod: &ObservedPod,
    ctx: Context<'_>,
) -> LifetimeAnnotations {
    let keeps = ctx.policy.limits(asked).idle_timeout.is_some();
    LifetimeAnnotations {
        limits: asked,
        last_activity: keeps.then(|| ctx.clocks().wall_at(lifetime.activity.last_activity)),
        owner: lifetime.pending_write.owner.clone().or(pod.annotations.owner.clone()),
    }
}

/// Handles a change of the limits.
pub(super) fn change<W>(
    stage: Stage<W>,
    lifetime: &mut Option<LifetimeState>,
    change: LimitsPatch,
    waiter: W,
    owner: Option<Owner>,
    ctx: Context<'_>,
) -> Decision<W> {
    let (Stage::Steady { .. }, Some(lifetime), Some(pod)) = (&stage, lifetime.as_mut(), there(ctx)) else {
        // An incomplete sandbox cannot keep limits.
        let answer = how_it_is(&stage, ctx).map(|_| Reply::Gone);
        return (stage, vec![Action::Answer(waiter, answer)]);
    };
    lifetime.activity.touch(ctx.clocks());
    lifetime.unanswered_since = None;
    lifetime.pending_write.owner = owner.or(lifetime.pending_write.owner.take());
    lifetime.pending_write.last_activity = true;
    let annotations = annotations(lifetime, pod.annotations.limits.changed(change), pod, ctx);
    (Stage::Updating { waiter }, vec![Action::Write { uid: pod.uid.clone(), annotations }])
}

/// Handles the outcome of a write.
pub(super) fn written<W>(
    stage: Stage<W>,
    lifetime: &mut Option<LifetimeState>,
    outcome: Outcome<()>,
    ctx: Context<'_>,
) -> Decision<W> {
    if let (Some(lifetime), Some(pod)) = (lifetime.as_mut(), &ctx.seen.pod) {
        let idle = limits(pod, ctx).idle_timeout;
        if let Outcome::Done(()) = outcome {
            lifetime.activity.written = idle.map(|_| lifetime.activity.last_activity);
            lifetime.pending_write = PendingWrite::default();
        } else {
            let longest = idle.map_or(WRITE_WAIT_MAX, |idle| (idle / WRITE_STEP).max(WRITE_WAIT));
            let wait =
                WRITE_WAIT.saturating_mul(2_u32.saturating_pow(lifetime.pending_write.failures)).min(longest);
            lifetime.pending_write.failures = lifetime.pending_write.failures.saturating_add(1);
            lifetime.pending_write.not_before = Some(ctx.now + wait);
        }
    }
    match (stage, outcome) {
        (Stage::RecordingUse { waiters }, outcome) => {
            let (stage, mut actions) = rest(None, ctx);
            // The Pod is gone, or the view does not show its replacement yet.
            let is_another = matches!(
                outcome,
                Outcome::Refused(fault) if matches!(fault.kind, ClusterErrorKind::NotFound | ClusterErrorKind::Conflict)
            );
            let answer = if is_another { Err(still_terminating(ctx)) } else { how_it_is(&stage, ctx) };
            actions.extend(waiters.into_iter().map(|waiter| Action::Answer(waiter, answer.clone())));
            (stage, actions)
        }
        (Stage::Updating { waiter }, Outcome::Done(())) => {
            let (stage, mut actions) = rest(None, ctx);
            let reply = how_it_is(&stage, ctx);
            actions.push(Action::Answer(waiter, reply));
            (stage, actions)
        }
        (Stage::Updating { waiter }, Outcome::Refused(fault) | Outcome::Unknown(fault)) => {
            let (stage, mut actions) = rest(None, ctx);
            actions.push(Action::Answer(waiter, Err(failure_of("Change of the limits", fault))));
            (stage, actions)
        }
        // Activity that could not be written is written later.
        (stage, _) => (stage, vec![]),
    }
}

/// Watches the limits of a steady sandbox, and starts a reap when one is reached. `before` are the actions of this
/// step so far: if one of them calls the cluster, nothing is added.
pub(super) fn attend<W>(
    stage: Stage<W>,
    lifetime: &mut Option<LifetimeState>,
    ctx: Context<'_>,
    before: &[Action<W>],
) -> Decision<W> {
    let Stage::Steady { alone_since } = stage else {
        if let Some(lifetime) = lifetime {
            // The timers of the other stages replace this one.
            lifetime.armed = None;
        }
        return (stage, vec![]);
    };
    let resting = Stage::Steady { alone_since };
    let (Some(lifetime), Some(pod)) = (lifetime, ctx.seen.pod.as_ref().filter(|pod| !pod.terminating)) else {
        return (resting, vec![]);
    };
    if before.iter().any(Action::is_call) {
        return (resting, vec![]);
    }
    // An orphan's timer, set for the end of its grace, has replaced this one.
    let alone_until = alone_since.map(|since| since + ORPHAN_GRACE);
    if alone_until.is_some() || lifetime.armed.is_some_and(|at| at <= ctx.now) {
        lifetime.armed = None;
    }
    lifetime.held = lifetime.held.filter(|hold| hold.until > ctx.now);
    let limits = limits(pod, ctx);
    // The idle timeout is new, or the last use was unknown.
    lifetime.pending_write.last_activity |=
        limits.idle_timeout.is_some() && lifetime.activity.written.is_none();
    let pending = ctx.seen.is_whole()
        && (lifetime.pending_write.last_activity || lifetime.pending_write.owner.is_some());
    let again = match write(lifetime, pod, ctx).filter(|_| pending) {
        Some(write) if ctx.fresh => return (resting, vec![write]),
        Some(_) => Some(ctx.now + reap::AGAIN),
        None => lifetime.pending_write.not_before.filter(|_| pending),
    };
    let ahead = lifetime.activity.ahead(limits, ctx.policy, ctx.now);
    let next = match lifetime.activity.reached(limits, ctx.policy, ctx.now) {
        Some(cause) => match lifetime.held.filter(|hold| hold.cause == cause) {
            Some(Hold { until, .. }) => Some(ahead.map_or(until, |ahead| ahead.min(until))),
            None if ctx.fresh => match reap::begin(pod, lifetime, cause, ctx) {
                Ok(decision) => return decision,
                Err(until) => {
                    lifetime.held = Some(Hold { cause, reason: HoldReason::ProbeUnanswered, until });
                    Some(ahead.map_or(until, |ahead| ahead.min(until)))
                }
            },
            None => Some(ctx.now + reap::AGAIN),
        },
        None => ahead,
    };
    let Some(next) = [next, again].into_iter().flatten().min() else { return (resting, vec![]) };
    let wake = alone_until.map_or(next, |alone| alone.min(next));
    if lifetime.armed.is_some_and(|at| at <= wake) {
        return (resting, vec![]);
    }
    lifetime.armed = Some(wake);
    (resting, vec![Action::SetTimer(wake)])
}

/// Returns the error if this owner may not delete the sandbox, because the lease of another owner has not ended.
pub(super) fn other_owner(
    lifetime: Option<&LifetimeState>,
    asking: Option<&Owner>,
    ctx: Context<'_>,
) -> Option<SandboxError> {
    let (lifetime, asking, pod) = (lifetime?, asking?, there(ctx)?);
    let owner = lifetime.pending_write.owner.as_ref().or(pod.annotations.owner.as_ref())?;
    let lease_ends = lifetime.activity.last_activity + ctx.policy.owner_lease.min(LIMIT_MAX);
    (asking != owner && ctx.now < lease_ends).then(|| SandboxError::Owned {
        id: ctx.id.clone(),
        owner: owner.as_str().to_owned(),
        retry_after: lease_ends - ctx.now,
    })
}

/// Returns the expiry that callers are shown.
pub(super) fn prospects(lifetime: Option<&LifetimeState>, ctx: Context<'_>) -> Option<Expiry> {
    let (lifetime, pod) = (lifetime?, there(ctx)?);
    let deadline = lifetime.activity.deadline(limits(pod, ctx), ctx.policy)?;
    Some(Expiry {
        idle_since: lifetime.activity.last_activity_wall,
        expires_at: ctx.clocks().wall_at(deadline.at),
        cause: deadline.cause,
        held: held(lifetime, deadline, ctx),
    })
}

/// Returns why a sandbox that has reached this limit is held.
fn held(lifetime: &LifetimeState, deadline: Deadline, ctx: Context<'_>) -> Option<Held> {
    let hold = lifetime.held.filter(|hold| hold.cause == deadline.cause && deadline.at <= ctx.now)?;
    // Without a response the probe is repeated until `probe_patience` has passed.
    let unanswered_since = lifetime.unanswered_since.filter(|_| hold.reason == HoldReason::ProbeUnanswered);
    let until =
        unanswered_since.map_or(hold.until, |since| hold.until.max(since + ctx.policy.probe_patience));
    Some(Held { reason: hold.reason, until: ctx.clocks().wall_at(until) })
}

/// Returns the answer to a touch: the status that a GET would show, or an error while the sandbox is terminating or
/// busy.
fn how_it_is<W>(stage: &Stage<W>, ctx: Context<'_>) -> Result<Reply, SandboxError> {
    let Some(status) = ctx.seen.status().filter(|_| !stage.is_unpublished()) else { return Ok(Reply::Gone) };
    let going = ctx.seen.pod.as_ref().is_some_and(|pod| pod.terminating);
    if going || !matches!(stage, Stage::Steady { .. }) {
        return Err(still_terminating(ctx));
    }
    Ok(Reply::Made(status))
}

/// Adds the expiry to every answer that contains a status.
pub(super) fn complete<W>(actions: &mut [Action<W>], lifetime: Option<&LifetimeState>, ctx: Context<'_>) {
    for action in actions {
        if let Action::Answer(_, Ok(Reply::Made(status))) = action {
            status.expiry = prospects(lifetime, ctx);
        }
    }
}

/// Returns the Pod of a complete sandbox.
fn there(ctx: Context<'_>) -> Option<&ObservedPod> {
    ctx.seen.pod.as_ref().filter(|_| ctx.seen.is_whole())
}

pub(super) fn limits(pod: &ObservedPod, ctx: Context<'_>) -> Limits {
    ctx.policy.limits(pod.annotations.limits)
}

// === impl Action ===

impl<W> Action<W> {
    /// Returns whether the action calls the cluster and so produces an event.
    pub(super) fn is_call(&self) -> bool {
        match self {
            Self::Create { .. }
            | Self::Delete { .. }
            | Self::Read
            | Self::Write { .. }
            | Self::Probe { .. }
            | Self::Reap { .. } => true,
            Self::Answer(..) | Self::SetTimer(_) | Self::Stop | Self::RecordReap(_) => false,
        }
    }
}

// === impl Context ===

impl Context<'_> {
    /// Returns both clocks.
    pub(super) fn clocks(self) -> Clocks {
        Clocks { monotonic: self.now, wall: self.wall }
    }
}
