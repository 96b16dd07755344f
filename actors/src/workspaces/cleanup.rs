//! Deletes workspaces that are not kept any longer, and records since when a kept one is not used.
//!
//! Level-triggered: each pass decides about all claims from the observed state. `lifecycle::workspace::retention`
//! decides; this file makes the calls.

use std::{convert::Infallible, sync::atomic::Ordering, time::Duration};

use futures::{StreamExt as _, stream};
use lifecycle::{
    budget,
    error::{ClusterError, ClusterErrorKind},
    reap_limiter::Admission,
    traits::Outcome,
    workspace::{
        WorkspaceId,
        claim::ObservedClaim,
        retention::{Decision, DeleteReason, Usage},
    },
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Workspaces, exactly};

/// The pause between two passes, in which changes are collected.
const PAUSE: Duration = Duration::from_millis(200);

/// The time until the next pass if nothing happens, or if nothing can be decided on.
const IDLE: Duration = Duration::from_secs(60);
const STALE: Duration = Duration::from_secs(5);

/// The retry delay after a call that failed.
const AGAIN: Duration = Duration::from_secs(5);

/// The retry delay after a permanent refusal: only an operator can change that.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);

/// The interval at which a dry run reports the same workspace.
const DRY_RUN_AGAIN: Duration = Duration::from_secs(3600);

/// The number of calls at once, and of calls before the next decision.
const AT_ONCE: usize = 4;
const CALLS_MAX: usize = 64;

impl Workspaces {
    /// Deletes and marks workspaces, and shows their state in the answers about sandboxes. Ends only when it is dropped.
    pub async fn clean_up(&self) -> Infallible {
        let (never, _) = futures::join!(self.repeat(), self.0.view.publish_claims());
        never
    }

    async fn repeat(&self) -> Infallible {
        loop {
            let next = self.pass().await;
            sleep(PAUSE).await;
            tokio::select! {
                biased;
                () = self.0.changed.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    /// Decides about every claim, and makes the calls that are due. Returns when to decide again.
    async fn pass(&self) -> Instant {
        let now = Instant::now();
        let Some(known_since) = self.0.view.known_since().filter(|_| self.fresh().is_ok()) else {
            return now + STALE;
        };
        self.0.limiter.lock().start_grace(known_since.into_std());
        let (due, next) = self.decide();
        stream::iter(due)
            .for_each_concurrent(AT_ONCE, |(id, claim, decision)| async move {
                match decision {
                    Decision::Keep(_) => {}
                    Decision::MarkUnused => self.mark(&id, &claim).await,
                    Decision::Delete(reason) => self.delete_claim(&id, &claim, reason).await,
                }
            })
            .await;
        next
    }

    /// Returns the claims for which a call is due, and when to decide again.
    fn decide(&self) -> (Vec<(WorkspaceId, ObservedClaim, Decision)>, Instant) {
        let in_use = self.0.view.workspaces_in_use();
        let clocks = self.clocks();
        let now = Instant::from_std(clocks.monotonic);
        let (mut due, mut next) = (vec![], now + IDLE);
        let mut table = self.0.table.lock();
        for (id, entry) in &mut table.claims {
            let usage = Usage::observe(entry.usage, &entry.claim, in_use.contains_key(id), clocks);
            entry.usage = Some(usage);
            let decision = usage.decide(&entry.claim, clocks.monotonic);
            match (decision, entry.retry_at) {
                (Decision::Keep(at), _) => next = at.map_or(next, |at| next.min(Instant::from_std(at))),
                (_, Some(at)) if at > now => next = next.min(at),
                _ if due.len() < CALLS_MAX => due.push((id.clone(), entry.claim.clone(), decision)),
                _ => next = now,
            }
        }
        if !due.is_empty() {
            // The outcomes change what is due.
            next = now;
        }
        (due, next)
    }

    /// Writes to a claim that no Pod uses it.
    async fn mark(&self, id: &WorkspaceId, claim: &ObservedClaim) {
        let since = self.0.clock.wall();
        let call = self.0.cluster.mark_unused(id.clone(), exactly(claim), since);
        match timeout(budget::UNATTENDED_WRITE + budget::CALL_GRACE, call).await {
            Ok(Outcome::Done(claim)) => {
                tracing::debug!(workspace = %id, "no sandbox uses the workspace any more");
                self.0.update(id, |table| table.wrote(id, claim));
            }
            Ok(Outcome::Refused(fault) | Outcome::Unknown(fault)) => {
                self.failed(id, &fault, "marked as unused");
            }
            Err(_) => self.retry(id, AGAIN),
        }
    }

    /// Deletes a claim in exactly the observed state, if the reap limits allow it.
    async fn delete_claim(&self, id: &WorkspaceId, claim: &ObservedClaim, reason: DeleteReason) {
        let clocks = self.clocks();
        match self.admit(id, reason) {
            Admission::Allow => {}
            Admission::RetryAt(at) => return self.0.table.lock().retry_at(id, Instant::from_std(at)),
            Admission::DryRun => {
                self.0.dry_runs.fetch_add(1, Ordering::Relaxed);
                tracing::info!(workspace = %id, reason = reason.name(), "would be deleted: {}", reason.description());
                self.0.cluster.record_claim_event(id, &claim.uid, reason, true);
                return self.retry(id, DRY_RUN_AGAIN);
            }
        }
        let call = self.0.cluster.delete_claim(id.clone(), exactly(claim));
        match timeout(budget::UNATTENDED_WRITE + budget::CALL_GRACE, call).await {
            Ok(Outcome::Done(deletion)) => {
                tracing::info!(workspace = %id, reason = reason.name(), "deleted: {}", reason.description());
                self.0.cluster.record_claim_event(id, &claim.uid, reason, false);
                self.deleted(id, &claim.uid, deletion);
            }
            Ok(Outcome::Refused(fault)) => {
                self.0.limiter.lock().give_back(clocks.monotonic);
                self.failed(id, &fault, "deleted");
            }
            Ok(Outcome::Unknown(fault)) => self.failed(id, &fault, "deleted"),
            Err(_) => self.retry(id, AGAIN),
        }
    }

    /// Asks the reap limits.
    fn admit(&self, id: &WorkspaceId, reason: DeleteReason) -> Admission {
        let total = self.0.table.lock().claims.len();
        let clocks = self.clocks();
        let mut limiter = self.0.limiter.lock();
        let was_stopped = limiter.stopped_until(clocks.monotonic).is_some();
        let admission = match reason {
            DeleteReason::SandboxGone => limiter.ask_uncounted(id, clocks),
            DeleteReason::Unused | DeleteReason::Expired | DeleteReason::Requested => {
                limiter.ask(id, total, clocks)
            }
        };
        if !was_stopped && let Some(until) = limiter.stopped_until(clocks.monotonic) {
            tracing::error!(until = %clocks.wall_at(until), total,
                "the deletion of workspaces has stopped: too large a share of them was about to go within a minute; \
                 look why, then POST /api/reaper/resume or restart");
        }
        admission
    }

    fn failed(&self, id: &WorkspaceId, fault: &ClusterError, what: &str) {
        let wait = match fault.kind {
            // Expected: it has changed, and the watch shows how.
            ClusterErrorKind::Conflict | ClusterErrorKind::NotFound | ClusterErrorKind::WorkspaceInUse => {
                tracing::debug!(workspace = %id, %fault, "it has changed, and is not {what}");
                AGAIN
            }
            kind if kind.is_passing() => {
                tracing::warn!(workspace = %id, %fault, "the workspace cannot be {what}");
                AGAIN
            }
            _ => {
                tracing::warn!(workspace = %id, %fault, "the workspace cannot be {what}");
                REFUSED_AGAIN
            }
        };
        self.retry(id, wait);
    }

    fn retry(&self, id: &WorkspaceId, wait: Duration) {
        self.0.table.lock().retry_at(id, Instant::now() + wait);
    }
}
