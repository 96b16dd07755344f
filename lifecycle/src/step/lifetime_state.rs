//! The lifetime of one Pod: its activity, and what of it is not yet written to the Pod.

use std::time::{Duration, Instant};

use super::{
    context::Context,
    resize::Lowering,
    types::{Action, Event, Existence, Stage},
};
use crate::{
    activity::{Activity, Deadline},
    error::SandboxError,
    hold::{Held, Hold, HoldReason},
    lifetime::{LIMIT_MAX, LifetimePatch, LimitsPatch, Owner, WRITE_STEP},
    observed::{Expiry, ObservedPod, Uid},
    traits::Outcome,
};

/// The first delay after a failed write of activity. It doubles until failed writes are as rare as successful ones
/// would be, or up to [`WRITE_WAIT_MAX`] without an idle timeout.
const WRITE_WAIT: Duration = Duration::from_secs(5);

/// The longest delay without an idle timeout, when only an owner is to be written.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(60);

/// The lifetime of one Pod, and the time at which it is evaluated next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LifetimeState {
    /// The Pod.
    uid: Uid,
    pub(super) activity: Activity,
    /// When [`Event::Due`] arrives. Activity does not move this time: the event then arrives early, and the timer is
    /// set again.
    timer: Option<Instant>,
    pub(super) hold: Option<Hold>,
    /// Since when activity probes have failed.
    pub(super) unanswered_since: Option<Instant>,
    pending_write: PendingWrite,
    pub(super) lowering: Lowering,
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

impl LifetimeState {
    /// Updates the lifetime from the observed Pod. A Pod with a new uid starts a new lifetime.
    pub(super) fn observe<W>(
        lifetime: Option<Self>,
        stage: &Stage<W>,
        event: &Event<W>,
        ctx: Context<'_>,
    ) -> Option<Self> {
        let pod = ctx.seen.pod.as_ref()?;
        let mut lifetime = match lifetime {
            Some(mut lifetime) if lifetime.uid == pod.uid => {
                lifetime.activity.see(pod, ctx.now);
                lifetime
            }
            Some(_) | None => {
                // A create with an unknown outcome also made a new Pod. Its age must not depend on the API server's
                // clock.
                let is_ours = matches!(
                    stage, Stage::Existence(existence)
                        if matches!(&**existence, Existence::Creating { create, .. } if create.made.pod)
                ) || matches!(
                    event,
                    Event::Created { pod: Some(Outcome::Done(_) | Outcome::Unknown(_)), .. }
                );
                let activity = if is_ours {
                    Activity::of_new_pod(pod, ctx.clocks())
                } else {
                    Activity::adopt(pod, ctx.limits(pod), ctx.clocks())
                };
                Self {
                    uid: pod.uid.clone(),
                    activity,
                    timer: None,
                    hold: None,
                    unanswered_since: None,
                    pending_write: PendingWrite::default(),
                    lowering: Lowering::default(),
                }
            }
        };
        lifetime.activity.see_pull(ctx.pull);
        // The timers of the other stages replace that of `Steady`.
        let is_steady = matches!(stage, Stage::Steady { .. });
        lifetime.timer = lifetime.timer.filter(|at| is_steady && *at > ctx.now);
        Some(lifetime)
    }

    /// Returns whether the timer must be set for this time, and records it: not if it is set for an earlier one.
    pub(super) fn set_timer_before(&mut self, at: Instant) -> bool {
        self.timer.is_none_or(|set| at < set) && self.set_timer(at)
    }

    /// Records that the timer is set for this time.
    pub(super) fn set_timer(&mut self, at: Instant) -> bool {
        self.timer = Some(at);
        true
    }

    /// Records activity.
    fn touch(&mut self, ctx: Context<'_>) {
        self.activity.touch(ctx.clocks());
        self.unanswered_since = None;
    }

    /// Records that the sandbox is busy.
    pub(super) fn record_busy(&mut self, pod: &ObservedPod, ctx: Context<'_>) {
        self.touch(ctx);
        self.pending_write.last_activity = self.activity.wants_writing(ctx.limits(pod));
    }

    /// Records a use by this owner.
    pub(super) fn record_use(&mut self, owner: Option<Owner>, pod: &ObservedPod, ctx: Context<'_>) {
        self.record_busy(pod, ctx);
        let pending = &mut self.pending_write;
        pending.owner = owner.or(pending.owner.take()).filter(|o| Some(o) != pod.annotations.owner.as_ref());
        // Without an idle timeout, the annotation is not kept up to date. Remove it: once there is a timeout again, an
        // outdated value would be believed.
        pending.last_activity |=
            ctx.limits(pod).idle_timeout.is_none() && pod.annotations.last_activity.is_some();
    }

    /// Records a use that is written together with a change of the limits.
    pub(super) fn record_change(&mut self, owner: Option<Owner>, ctx: Context<'_>) {
        self.touch(ctx);
        self.pending_write.owner = owner.or(self.pending_write.owner.take());
        self.pending_write.last_activity = true;
    }

    /// Returns whether a use must be written before it is acknowledged. A new Pod usually has no annotation. Its use
    /// is written after the answer: without the annotation, another process assumes that the last use was now.
    pub(super) fn is_written_first(&self, pod: &ObservedPod) -> bool {
        pod.annotations.last_activity.is_some() || self.pending_write.owner.is_some()
    }

    /// Returns the write that a complete sandbox needs now, or the time of the next one after a failure.
    pub(super) fn wanted_write<W>(
        &mut self,
        pod: &ObservedPod,
        ctx: Context<'_>,
    ) -> Result<Option<Action<W>>, Instant> {
        // The idle timeout is new, or the last use was unknown.
        self.pending_write.last_activity |=
            ctx.limits(pod).idle_timeout.is_some() && self.activity.written.is_none();
        if !ctx.seen.is_whole() || !self.pending_write.is_needed() {
            return Ok(None);
        }
        match (self.due_write(pod, ctx), self.pending_write.not_before) {
            (None, Some(not_before)) => Err(not_before),
            (write, _) => Ok(write),
        }
    }

    /// Returns the write of what a restart would lose, unless a write failed recently.
    pub(super) fn due_write<W>(&self, pod: &ObservedPod, ctx: Context<'_>) -> Option<Action<W>> {
        let pending = &self.pending_write;
        let is_due = pending.is_needed() && pending.not_before.is_none_or(|at| at <= ctx.now);
        is_due.then(|| Action::Write {
            uid: pod.uid.clone(),
            annotations: self.patch(LimitsPatch::default(), pod, ctx),
        })
    }

    /// Returns what is to be written to the Pod, together with this change of its limits.
    pub(super) fn patch(&self, limits: LimitsPatch, pod: &ObservedPod, ctx: Context<'_>) -> LifetimePatch {
        let asked = pod.annotations.limits.changed(limits);
        let keeps = ctx.policy.limits(asked).idle_timeout.is_some();
        LifetimePatch {
            limits,
            last_activity: keeps.then(|| ctx.clocks().wall_at(self.activity.last_activity)),
            owner: self.pending_write.owner.clone(),
        }
    }

    /// Records the outcome of a write. Activity that could not be written is written later.
    pub(super) fn note_write(&mut self, outcome: &Outcome<()>, pod: &ObservedPod, ctx: Context<'_>) {
        let idle = ctx.limits(pod).idle_timeout;
        if let Outcome::Done(()) = outcome {
            self.activity.written = idle.map(|_| self.activity.last_activity);
            self.pending_write = PendingWrite::default();
        } else {
            let longest = idle.map_or(WRITE_WAIT_MAX, |idle| (idle / WRITE_STEP).max(WRITE_WAIT));
            let pending = &mut self.pending_write;
            let wait = WRITE_WAIT.saturating_mul(2_u32.saturating_pow(pending.failures)).min(longest);
            pending.failures = pending.failures.saturating_add(1);
            pending.not_before = Some(ctx.now + wait);
        }
    }

    /// Returns the error if the lease of another owner has not ended.
    pub(super) fn check_lease(
        &self,
        asking: &Owner,
        pod: &ObservedPod,
        ctx: Context<'_>,
    ) -> Result<(), SandboxError> {
        let owner = self.pending_write.owner.as_ref().or(pod.annotations.owner.as_ref());
        let lease_ends = self.activity.last_activity + ctx.policy.owner_lease.min(LIMIT_MAX);
        match owner {
            Some(owner) if owner != asking && ctx.now < lease_ends => Err(SandboxError::Owned {
                id: ctx.id.clone(),
                owner: owner.as_str().to_owned(),
                retry_after: lease_ends - ctx.now,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Returns the expiry that callers are shown, if a limit applies.
    pub(super) fn expiry(&self, ctx: Context<'_>) -> Option<Expiry> {
        let pod = ctx.pod_of_whole()?;
        let deadline = self.activity.deadline(ctx.limits(pod), ctx.policy)?;
        Some(Expiry {
            idle_since: self.activity.last_activity_wall,
            expires_at: ctx.clocks().wall_at(deadline.at),
            reason: deadline.reason,
            held: self.held(deadline, ctx),
        })
    }

    /// Returns why a sandbox that has reached this limit is held.
    fn held(&self, deadline: Deadline, ctx: Context<'_>) -> Option<Held> {
        let hold = self.hold.filter(|hold| hold.limit == deadline.reason && deadline.at <= ctx.now)?;
        // Without a response the probe is repeated until `probe_patience` has passed.
        let unanswered_since = self.unanswered_since.filter(|_| hold.reason == HoldReason::ProbeUnanswered);
        let until =
            unanswered_since.map_or(hold.until, |since| hold.until.max(since + ctx.policy.probe_patience));
        Some(Held { reason: hold.reason, until: ctx.clocks().wall_at(until) })
    }
}

// === impl PendingWrite ===

impl PendingWrite {
    fn is_needed(&self) -> bool {
        self.last_activity || self.owner.is_some()
    }
}
