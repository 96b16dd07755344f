//! The state machine of the lifetime: handles each event while a sandbox is used, changed or reaped.

use std::time::Instant;

use super::{
    context::Context,
    decision::{Decision, Step, after, answer, failure_of, stale},
    reap::AGAIN,
    types::{Action, AfterDelete, Event, Lifetime, Objects, PendingDelete, Reply},
};
use crate::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    hold::{Hold, HoldReason},
    lifetime::{LimitsPatch, Owner},
    operation::Operation,
    traits::Outcome,
};

/// The next need of a steady sandbox's lifetime.
pub(super) enum Upkeep<W> {
    /// This call.
    Call(Lifetime<W>, Action<W>),
    /// Another step at this time.
    Wake(Option<Instant>),
}

impl Step<'_> {
    pub(super) fn lifetime<W>(&mut self, lifetime: Lifetime<W>, event: Event<W>) -> Decision<W> {
        match (lifetime, event) {
            (Lifetime::RecordingUse(waiters), Event::Written(outcome)) => self.recorded(waiters, &outcome),
            (Lifetime::Updating(waiter), Event::Written(outcome)) => self.updated(waiter, outcome),
            (Lifetime::Resizing(waiter), Event::Resized(outcome)) => self.resized(waiter, outcome),

            (Lifetime::Probing, Event::Probed(busy)) => self.probed(&busy),
            (Lifetime::Reaping(reason), Event::Reaped { pod, service }) => self.reaped(reason, pod, service),
            (Lifetime::Reaping(reason), Event::Deferred(until)) => {
                self.hold(Hold { limit: reason, reason: HoldReason::ReapLimits, until })
            }
            (Lifetime::Reaping(reason), Event::DryRun) => self.dry_run(reason),
            (Lifetime::ConfirmingReap(reason), Event::Read(result)) => self.confirm_reap(reason, &result),

            // Until the outcome is known, the sandbox is not returned. A DELETE does not have to wait.
            (stage @ Lifetime::ReapUnknown { .. }, Event::Post { waiter, .. }) => {
                (stage.into(), answer([waiter], &Err(self.still_terminating())))
            }
            (Lifetime::ReapUnknown { .. }, Event::Delete { waiter, .. }) => {
                let delete = PendingDelete { waiters: vec![waiter], ..PendingDelete::of(Objects::BOTH) };
                self.delete(delete, AfterDelete::Nothing)
            }
            (Lifetime::ReapUnknown { reason, retry_at }, Event::Resync | Event::Due | Event::Resumed) => {
                self.await_reap(reason, retry_at)
            }

            (
                stage @ (Lifetime::RecordingUse(_)
                | Lifetime::Updating(_)
                | Lifetime::Resizing(_)
                | Lifetime::Probing
                | Lifetime::Reaping(_)
                | Lifetime::ReapUnknown { .. }
                | Lifetime::ConfirmingReap(_)),
                event,
            ) => self.not_now(stage.into(), event),
        }
    }

    /// Handles a touch of a steady sandbox.
    pub(super) fn touch<W>(
        &mut self,
        orphan_since: Option<Instant>,
        waiter: Option<W>,
        owner: Option<Owner>,
    ) -> Decision<W> {
        match (waiter, self.reply()) {
            (Some(waiter), Ok(Reply::Made(_))) if self.ctx.fresh => self.provide(vec![waiter], owner),
            (waiter, reply) => {
                // A touch counts as activity even if the view is stale.
                self.record_use(owner);
                let reply = if self.ctx.fresh { reply } else { Err(stale()) };
                after(answer(waiter, &reply), self.settle(orphan_since))
            }
        }
    }

    /// Returns the write that changes the limits of a complete sandbox.
    pub(super) fn change<W>(&mut self, change: LimitsPatch, owner: Option<Owner>) -> Option<Action<W>> {
        let (lifetime, pod) = (self.lifetime.as_mut()?, self.ctx.pod_of_whole()?);
        lifetime.record_change(owner, self.ctx);
        let annotations = lifetime.patch(change, pod, self.ctx);
        Some(Action::Write { uid: pod.uid.clone(), annotations })
    }

    /// Gives the sandbox to these callers, and records the use, so that a reused Pod does not count as idle. An
    /// acknowledged use must survive a restart: if it has to be written, the answers wait for the write.
    pub(super) fn provide<W>(&mut self, waiters: Vec<W>, owner: Option<Owner>) -> Decision<W> {
        self.record_use(owner);
        if let (Some(lifetime), Some(pod)) = (&self.lifetime, self.ctx.pod_of_whole())
            && lifetime.is_written_first(pod)
            && let Some(write) = lifetime.due_write(pod, self.ctx)
        {
            return (Lifetime::RecordingUse(waiters).into(), vec![write]);
        }
        let decision = self.settle(None);
        after(answer(waiters, &self.reply()), decision)
    }

    pub(super) fn record_use(&mut self, owner: Option<Owner>) {
        if let (Some(lifetime), Some(pod)) = (&mut self.lifetime, self.ctx.pod_of_whole()) {
            lifetime.record_use(owner, pod, self.ctx);
        }
    }

    /// Returns the answer for a caller of a steady sandbox.
    pub(super) fn reply(&self) -> Result<Reply, SandboxError> {
        match self.status() {
            None => Ok(Reply::Gone),
            Some(_) if self.ctx.live_pod().is_none() => Err(self.still_terminating()),
            Some(status) => Ok(Reply::Made(Box::new(status))),
        }
    }

    fn recorded<W>(&mut self, waiters: Vec<W>, outcome: &Outcome<()>) -> Decision<W> {
        self.note_write(outcome);
        let decision = self.settle(None);
        let is_another = matches!(outcome, Outcome::Refused(fault) if is_about_another_pod(fault));
        let reply = if is_another { Err(self.still_terminating()) } else { self.reply() };
        after(answer(waiters, &reply), decision)
    }

    fn updated<W>(&mut self, waiter: W, outcome: Outcome<()>) -> Decision<W> {
        self.note_write(&outcome);
        let decision = self.settle(None);
        let reply = match outcome {
            Outcome::Done(()) => self.reply(),
            Outcome::Refused(fault) | Outcome::Unknown(fault) => {
                Err(self.write_failure(Operation::ChangeLimits, fault))
            }
        };
        after(answer([waiter], &reply), decision)
    }

    /// Returns the answer for the caller of a write to the Pod that failed.
    pub(super) fn write_failure(&self, operation: Operation, fault: ClusterError) -> SandboxError {
        if is_about_another_pod(&fault) { self.still_terminating() } else { failure_of(operation, fault) }
    }

    fn note_write(&mut self, outcome: &Outcome<()>) {
        if let (Some(lifetime), Some(pod)) = (&mut self.lifetime, &self.ctx.seen.pod) {
            lifetime.note_write(outcome, pod, self.ctx);
        }
    }

    /// Returns what the lifetime of a steady sandbox needs: activity to be written, a reap, or a later step.
    pub(super) fn upkeep<W>(&mut self) -> Upkeep<W> {
        let ctx @ Context { now, fresh, policy, .. } = self.ctx;
        let (Some(lifetime), Some(pod)) = (&mut self.lifetime, ctx.live_pod()) else {
            return Upkeep::Wake(None);
        };
        let write_at = match lifetime.wanted_write(pod, ctx) {
            Ok(Some(write)) if fresh => return Upkeep::Call(Lifetime::RecordingUse(vec![]), write),
            Ok(Some(_)) => Some(now + AGAIN),
            Ok(None) => None,
            Err(not_before) => Some(not_before),
        };
        let lower_at = match lifetime.lowering.wanted(pod, ctx) {
            Ok(Some(resize)) if fresh => return Upkeep::Call(Lifetime::Resizing(None), resize),
            Ok(Some(_)) => Some(now + AGAIN),
            Ok(None) => None,
            Err(not_before) => Some(not_before),
        };
        lifetime.hold = lifetime.hold.filter(|hold| hold.until > now);
        let limits = ctx.limits(pod);
        let ahead = lifetime.activity.ahead(limits, policy, now);
        let limit_at = match lifetime.activity.reached(limits, policy, now) {
            None => None,
            Some(limit) => match lifetime.hold.filter(|hold| hold.limit == limit) {
                Some(hold) => Some(hold.until),
                None if !fresh => Some(now + AGAIN),
                None => match lifetime.begin_reap(limit, pod, ctx) {
                    Ok((stage, call)) => return Upkeep::Call(stage, call),
                    Err(hold) => Some(lifetime.hold.insert(hold).until),
                },
            },
        };
        Upkeep::Wake([write_at, lower_at, limit_at, ahead].into_iter().flatten().min())
    }

    /// Returns whether the event is a deletion of another Pod than the present one.
    pub(super) fn is_about_another_pod<W>(&self, event: &Event<W>) -> bool {
        let Event::Delete { only: Some(only), .. } = event else { return false };
        self.ctx.seen.pod.as_ref().is_none_or(|pod| pod.uid != *only)
    }

    /// Returns the error if the event is a DELETE by an owner that may not delete the sandbox, because the lease of
    /// another owner has not ended.
    pub(super) fn check_owner<W>(&self, event: &Event<W>) -> Result<(), SandboxError> {
        match (event, &self.lifetime, self.ctx.pod_of_whole()) {
            (Event::Delete { owner: Some(asking), .. }, Some(lifetime), Some(pod)) => {
                lifetime.check_lease(asking, pod, self.ctx)
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether a write failed because the Pod is gone, or because the view does not show its replacement yet.
fn is_about_another_pod(fault: &ClusterError) -> bool {
    matches!(fault.kind, ClusterErrorKind::NotFound | ClusterErrorKind::Conflict)
}
