//! Reaping: probes an idle sandbox for activity first, and follows a reap until its outcome is known.

use std::time::{Duration, Instant};

use super::{
    context::Context,
    decision::{Decision, Step, after},
    lifetime_state::LifetimeState,
    types::{Action, AfterDelete, Lifetime, Objects, PendingDelete},
};
use crate::{
    error::ClusterError,
    hold::{Hold, HoldReason},
    lifetime::ReapReason,
    observed::{ObservedPod, ResourceVersion, Uid},
    traits::{Busy, Foreign, Outcome, Preconditions},
};

/// The retry delay after a reap that failed, or that could not be decided on because the view was stale.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// The retry delay after a reap that was refused permanently: only an operator can change that.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);

/// The interval at which a dry run reports the same sandbox. It is long, to keep the reports few.
const DRY_RUN_AGAIN: Duration = Duration::from_secs(3600);

impl LifetimeState {
    /// Starts a reap after a limit is reached. Returns a hold if the sandbox has to wait.
    pub(super) fn begin_reap<W>(
        &mut self,
        limit: ReapReason,
        pod: &ObservedPod,
        ctx: Context<'_>,
    ) -> Result<(Lifetime<W>, Action<W>), Hold> {
        if limit == ReapReason::Idle {
            let service = ctx.seen.service.as_ref().filter(|service| !service.terminating);
            if let Some(url) = service.and_then(|service| service.any_url().cloned()) {
                return Ok((Lifetime::Probing, Action::Probe { url }));
            }
            // Without an observed Service the sandbox cannot be probed. The Service may only have lost its label and
            // still work.
            self.note_unanswered(ctx)?;
        }
        Ok((Lifetime::Reaping(limit), reap(limit, pod, ctx)))
    }

    /// Records that the sandbox could not be probed. Returns a hold until `probe_patience` has passed and the sandbox
    /// counts as idle.
    fn note_unanswered(&mut self, ctx: Context<'_>) -> Result<(), Hold> {
        let since = *self.unanswered_since.get_or_insert(ctx.now);
        if ctx.now.saturating_duration_since(since) >= ctx.policy.probe_patience {
            return Ok(());
        }
        let until = ctx.now + ctx.policy.probe_interval;
        Err(Hold { limit: ReapReason::Idle, reason: HoldReason::ProbeUnanswered, until })
    }

    /// Evaluates an activity probe of an idle sandbox. Returns a hold if the sandbox may be busy.
    fn evaluate_probe(&mut self, busy: &Busy, ctx: Context<'_>) -> Result<(), Hold> {
        match busy {
            Busy::Unasked(_) => {
                let until = ctx.now + ctx.policy.probe_interval;
                Err(Hold { limit: ReapReason::Idle, reason: HoldReason::ProbeNotSent, until })
            }
            Busy::Unanswered(_) => self.note_unanswered(ctx),
            Busy::No | Busy::Yes(_) => {
                self.unanswered_since = None;
                Ok(())
            }
        }
    }
}

impl Step<'_> {
    /// Handles the outcome of an activity probe.
    pub(super) fn probed<W>(&mut self, busy: &Busy) -> Decision<W> {
        let ctx = self.ctx;
        // The Service may be gone since. The outcome counts nevertheless.
        let (Some(lifetime), Some(pod)) = (&mut self.lifetime, ctx.live_pod()) else {
            return self.settle(None);
        };
        if let Busy::Yes(_) = busy {
            lifetime.record_busy(pod, ctx);
            return match lifetime.due_write(pod, ctx) {
                Some(write) => (Lifetime::RecordingUse(vec![]).into(), vec![write]),
                None => self.settle(None),
            };
        }
        // While the probe ran, the limits may have changed and the view may have become stale.
        let reached = lifetime.activity.reached(ctx.limits(pod), ctx.policy, ctx.now).filter(|_| ctx.fresh);
        let Some(limit) = reached else { return self.settle(None) };
        if limit == ReapReason::Idle
            && let Err(hold) = lifetime.evaluate_probe(busy, ctx)
        {
            return self.hold(hold);
        }
        (Lifetime::Reaping(limit).into(), vec![reap(limit, pod, ctx)])
    }

    /// Handles the outcome of a reap.
    pub(super) fn reaped<W>(
        &mut self,
        limit: ReapReason,
        pod: Outcome<()>,
        service: Option<Outcome<()>>,
    ) -> Decision<W> {
        let pause = match (pod, service) {
            // Without its Pod the sandbox is gone for callers. The Service is deleted later.
            (Outcome::Done(()), Some(Outcome::Refused(_) | Outcome::Unknown(_))) => {
                let decision = self.back_off(PendingDelete::unpublished(Objects::SERVICE));
                return after(vec![Action::RecordReap(limit)], decision);
            }
            (Outcome::Done(()), Some(Outcome::Done(())) | None) => {
                return after(vec![Action::RecordReap(limit)], self.settle(None));
            }
            // Until the outcome is known, the sandbox must not be returned, used or reported as reaped.
            (Outcome::Unknown(_), _) => {
                return (Lifetime::ConfirmingReap(limit).into(), vec![Action::Read]);
            }
            // The Pod has changed since, or the API server refuses the delete for now. The limits are evaluated again.
            (Outcome::Refused(fault), _) if fault.kind.is_passing() => AGAIN,
            (Outcome::Refused(_), _) => REFUSED_AGAIN,
        };
        self.hold(Hold { limit, reason: HoldReason::DeleteFailed, until: self.ctx.now + pause })
    }

    /// Handles a reap that was only a dry run.
    pub(super) fn dry_run<W>(&mut self, limit: ReapReason) -> Decision<W> {
        self.hold(Hold { limit, reason: HoldReason::DryRun, until: self.ctx.now + DRY_RUN_AGAIN })
    }

    /// Checks whether the watch has reported the deletion before the next read is due.
    pub(super) fn await_reap<W>(&mut self, reason: ReapReason, retry_at: Instant) -> Decision<W> {
        if self.ctx.live_pod().is_none() {
            self.finish_reap(reason)
        } else if self.ctx.now >= retry_at {
            (Lifetime::ConfirmingReap(reason).into(), vec![Action::Read])
        } else {
            (Lifetime::ReapUnknown { reason, retry_at }.into(), vec![Action::SetTimer(retry_at)])
        }
    }

    /// Handles the outcome of a read after a reap with an unknown outcome.
    pub(super) fn confirm_reap<W>(
        &mut self,
        reason: ReapReason,
        result: &Result<Option<Foreign>, ClusterError>,
    ) -> Decision<W> {
        let again = self.ctx.now + AGAIN;
        if self.ctx.live_pod().is_none() {
            self.finish_reap(reason)
        } else if result.is_err() {
            let stage = Lifetime::ReapUnknown { reason, retry_at: again };
            (stage.into(), vec![Action::SetTimer(again)])
        } else {
            self.hold(Hold { limit: reason, reason: HoldReason::DeleteFailed, until: again })
        }
    }

    /// Records the reap and deletes the Service.
    fn finish_reap<W>(&mut self, reason: ReapReason) -> Decision<W> {
        let decision = self.delete(PendingDelete::unpublished(Objects::SERVICE), AfterDelete::Nothing);
        after(vec![Action::RecordReap(reason)], decision)
    }

    /// Returns to `Steady` and holds this limit for a while. Other limits still apply when they are reached.
    pub(super) fn hold<W>(&mut self, hold: Hold) -> Decision<W> {
        if let Some(lifetime) = &mut self.lifetime {
            let until = hold.until.max(self.ctx.now + Duration::from_millis(1));
            lifetime.hold = Some(Hold { until, ..hold });
        }
        self.settle(None)
    }
}

/// Returns the reap of exactly the observed objects.
fn reap<W>(reason: ReapReason, pod: &ObservedPod, ctx: Context<'_>) -> Action<W> {
    let exactly = |uid: &Uid, version: ResourceVersion| Preconditions {
        uid: uid.clone(),
        version: (version != ResourceVersion::UNKNOWN).then_some(version),
    };
    let service = ctx.seen.service.as_ref().filter(|service| !service.terminating);
    Action::Reap {
        pod: exactly(&pod.uid, pod.version),
        service: service.map(|service| exactly(&service.uid, service.version)),
        reason,
    }
}
