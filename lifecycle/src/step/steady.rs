//! The stage in which no request is pending and no call is in flight.

use std::time::{Duration, Instant};

use super::{
    context::Context,
    decision::{BUSY_RETRY, Decision, Step, after, answer, stale},
    lifetime::Upkeep,
    types::{Action, Event, Existence, Lifetime, Objects, PendingCreate, Reply, Stage},
};
use crate::{error::SandboxError, observed::Observed};

/// The time after which an orphan is deleted. It is longer than any create takes, so an object is not deleted while an
/// earlier process or another replica still creates its counterpart.
pub const ORPHAN_GRACE: Duration = Duration::from_secs(60);

impl Step<'_> {
    /// Handles an event while no request is pending. Every request starts here.
    pub(super) fn steady<W>(&mut self, orphan_since: Option<Instant>, event: Event<W>) -> Decision<W> {
        match event {
            Event::Post { request, manifests, waiter, received, until } => {
                let create = PendingCreate::new(&request, manifests, waiter, received, until);
                let mut create = PendingCreate { orphan_since, ..create };
                let rejected = self.reject_mismatches(&mut create);
                let decision = if create.waiters.is_empty() {
                    self.settle(orphan_since)
                } else {
                    self.create_missing(create)
                };
                after(rejected, decision)
            }
            Event::Delete { waiter, .. } => self.delete_steady(waiter),
            Event::Touch { waiter, owner } => self.touch(orphan_since, waiter, owner),
            Event::Change { change, waiter, owner } => {
                if let Some(write) = self.change(change, owner) {
                    return (Lifetime::Updating(waiter).into(), vec![write]);
                }
                // An incomplete sandbox cannot keep limits.
                let reply = self.reply().map(|_| Reply::Gone);
                after(answer([waiter], &reply), self.settle(orphan_since))
            }
            Event::Resize { resources, waiter, owner } => {
                if let Some(resize) = self.resize(resources, owner) {
                    return (Lifetime::Resizing(Some(waiter)).into(), vec![resize]);
                }
                let reply = self.reply().map(|_| Reply::Gone);
                after(answer([waiter], &reply), self.settle(orphan_since))
            }
            Event::Resumed => {
                if let Some(lifetime) = &mut self.lifetime {
                    lifetime.hold = None;
                }
                self.settle(orphan_since)
            }
            Event::Resync | Event::Due => self.settle(orphan_since),
            event @ (Event::Created { .. }
            | Event::Deleted { .. }
            | Event::Read(_)
            | Event::Written(_)
            | Event::Resized(_)
            | Event::Probed(_)
            | Event::Reaped { .. }
            | Event::Deferred(_)
            | Event::DryRun) => self.not_now(Stage::Steady { orphan_since }, event),
        }
    }

    /// Ends a step in `Steady`, unless the observed objects or their limits call for something: an orphan whose grace
    /// is over is confirmed, activity is written, and a sandbox that has reached a limit is reaped.
    pub(super) fn settle<W>(&mut self, orphan_since: Option<Instant>) -> Decision<W> {
        let Context { now, fresh, seen, .. } = self.ctx;
        if seen.is_empty() {
            return (Stage::default(), vec![Action::Stop]);
        }
        // A stale view may not show the other object yet, so the grace starts when the view is fresh.
        let orphan_since = orphaned(seen).any().then(|| orphan_since.filter(|_| fresh).unwrap_or(now));
        let orphan_until = orphan_since.map(|since| since + ORPHAN_GRACE);
        if orphan_until.is_some_and(|until| until <= now) {
            // The watch shows only objects with our labels. The other object may exist without them, so read by name.
            return (Existence::ConfirmingOrphan.into(), vec![Action::Read]);
        }
        match self.upkeep() {
            Upkeep::Call(stage, call) => (stage.into(), vec![call]),
            Upkeep::Wake(next) => {
                let wake = [orphan_until, next].into_iter().flatten().min();
                let timer = wake.filter(|at| match &mut self.lifetime {
                    Some(lifetime) if orphan_until.is_none() => lifetime.set_timer_before(*at),
                    Some(lifetime) => lifetime.set_timer(*at),
                    None => true,
                });
                (Stage::Steady { orphan_since }, timer.map(Action::SetTimer).into_iter().collect())
            }
        }
    }

    /// Handles an event that this stage does not expect: a request waits for a call or gets a retryable error.
    pub(super) fn not_now<W>(&self, stage: Stage<W>, event: Event<W>) -> Decision<W> {
        let reply = match &event {
            Event::Post { .. } | Event::Delete { .. } => Err(SandboxError::Busy { retry_after: BUSY_RETRY }),
            Event::Touch { .. } if !self.ctx.fresh => Err(stale()),
            Event::Touch { .. } | Event::Change { .. } | Event::Resize { .. } => {
                let is_shown = self.ctx.seen.status().is_some() && !stage.is_unpublished();
                if is_shown { Err(self.still_terminating()) } else { Ok(Reply::Gone) }
            }
            Event::Resync
            | Event::Due
            | Event::Resumed
            | Event::Created { .. }
            | Event::Deleted { .. }
            | Event::Read(_)
            | Event::Written(_)
            | Event::Resized(_)
            | Event::Probed(_)
            | Event::Reaped { .. }
            | Event::Deferred(_)
            | Event::DryRun => return (stage, vec![]),
        };
        (stage, answer(event.into_waiter(), &reply))
    }
}

/// Returns the object that exists without its counterpart and is not terminating.
pub(super) fn orphaned(seen: &Observed) -> Objects {
    Objects {
        pod: seen.pod.as_ref().is_some_and(|p| !p.terminating) && seen.service.is_none(),
        service: seen.service.as_ref().is_some_and(|s| !s.terminating) && seen.pod.is_none(),
    }
}
