//! Deleting objects, and retrying until they are gone.

use std::time::Duration;

use super::{
    decision::{Decision, STALE_RETRY, Step, after, answer, failure_of},
    steady::orphaned,
    types::{Action, AfterDelete, Existence, Objects, PendingDelete, Reply},
};
use crate::{
    error::{ClusterError, SandboxError},
    operation::Operation,
    traits::{Foreign, Outcome},
};

/// The delay before the first retry. It doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest delay between two attempts. Deletions complete within about a minute of the cluster's return, and a
/// cluster that refuses for hours receives one call a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Step<'_> {
    /// Handles a DELETE while no request is pending.
    pub(super) fn delete_steady<W>(&mut self, waiter: W) -> Decision<W> {
        let is_fresh = self.ctx.fresh;
        if self.ctx.seen.is_empty() && !is_fresh {
            let why = "whether the sandbox exists cannot be told".to_owned();
            let failure = SandboxError::Stale { why, retry_after: STALE_RETRY };
            return after(answer([waiter], &Err(failure)), self.settle(None));
        }
        let delete = PendingDelete { waiters: vec![waiter], ..PendingDelete::of(Objects::BOTH) };
        if !is_fresh && !self.ctx.seen.is_whole() {
            // A stale view may not show the other object.
            return (Existence::ConfirmingDelete(delete).into(), vec![Action::Read]);
        }
        self.delete(delete, AfterDelete::Nothing)
    }

    /// Deletes the targets that exist and are not terminating, or continues immediately if there are none.
    pub(super) fn delete<W>(&mut self, delete: PendingDelete<W>, next: AfterDelete<W>) -> Decision<W> {
        let (targets, seen) = (delete.targets, self.ctx.seen);
        let pod = self.ctx.live_pod().filter(|_| targets.pod).map(|p| p.uid.clone());
        let service =
            seen.service.as_ref().filter(|s| targets.service && !s.terminating).map(|s| s.uid.clone());
        if pod.is_none() && service.is_none() {
            return self.finish_delete(delete.waiters, next);
        }
        (Existence::Deleting { delete, next }.into(), vec![Action::Delete { pod, service }])
    }

    /// Answers the callers and continues: all targets are gone or terminating.
    fn finish_delete<W>(&mut self, waiters: Vec<W>, next: AfterDelete<W>) -> Decision<W> {
        let mut actions = answer(waiters, &Ok(Reply::Gone));
        let decision = match next {
            AfterDelete::Nothing => self.settle(None),
            AfterDelete::Fail(create, failure) => {
                let orphan_since = create.orphan_since.filter(|_| !create.made.any());
                actions.extend(create.fail(&failure));
                self.settle(orphan_since)
            }
            AfterDelete::Create(create) => self.create(create),
        };
        after(actions, decision)
    }

    /// Handles the outcome of the deletes.
    pub(super) fn deleted<W>(
        &mut self,
        delete: PendingDelete<W>,
        next: AfterDelete<W>,
        outcomes: [Option<Outcome<()>>; 2],
    ) -> Decision<W> {
        let refusal = [Operation::DeletePod, Operation::DeleteService].into_iter().zip(outcomes).find_map(
            |(operation, outcome)| match outcome {
                None | Some(Outcome::Done(())) => None,
                Some(Outcome::Refused(fault) | Outcome::Unknown(fault)) => Some(failure_of(operation, fault)),
            },
        );
        let Some(failure) = refusal else {
            return self.finish_delete(delete.waiters, next);
        };
        let failed = match next {
            AfterDelete::Nothing => vec![],
            AfterDelete::Fail(create, why) => create.fail(&why),
            AfterDelete::Create(create) => create.fail(&failure),
        };
        after(failed, self.retry_delete(delete, &failure))
    }

    /// Handles the outcome of the read before a deletion.
    pub(super) fn read_before_delete<W>(
        &mut self,
        delete: PendingDelete<W>,
        result: Result<Option<Foreign>, ClusterError>,
    ) -> Decision<W> {
        match result {
            // One of the names may belong to a foreign object. Our object with the other name is deleted nevertheless.
            Ok(_) => self.delete(delete, AfterDelete::Nothing),
            Err(fault) => self.retry_delete(delete, &failure_of(Operation::DeleteSandbox, fault)),
        }
    }

    /// Answers the callers with the failure, and schedules another attempt.
    fn retry_delete<W>(&self, delete: PendingDelete<W>, failure: &SandboxError) -> Decision<W> {
        let failed = answer(delete.waiters, &Err(failure.clone()));
        let delete = PendingDelete { attempts: delete.attempts + 1, waiters: vec![], ..delete };
        after(failed, self.back_off(delete))
    }

    /// Schedules a deletion.
    pub(super) fn back_off<W>(&self, delete: PendingDelete<W>) -> Decision<W> {
        let retry_at = self.ctx.now + back_off(delete.attempts);
        (Existence::DeleteBackoff { delete, retry_at }.into(), vec![Action::SetTimer(retry_at)])
    }

    /// Handles the outcome of the read that confirms an orphan. Deletes only a confirmed orphan.
    ///
    /// A Service selects only Pods with our labels, so a foreign Pod does not count as its Pod. An object whose
    /// counterpart has lost its labels may be in use, so it is kept.
    pub(super) fn confirm_orphan<W>(
        &mut self,
        result: &Result<Option<Foreign>, ClusterError>,
    ) -> Decision<W> {
        let orphaned = orphaned(self.ctx.seen);
        let is_confirmed = match result {
            Ok(None) => orphaned.any(),
            Ok(Some(foreign)) => orphaned.service && !foreign.is_relabelled,
            Err(_) => false,
        };
        if is_confirmed {
            self.delete(PendingDelete::of(orphaned), AfterDelete::Nothing)
        } else {
            self.settle(None)
        }
    }
}

fn back_off(attempts: u32) -> Duration {
    FIRST_WAIT.saturating_mul(2_u32.saturating_pow(attempts)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that the delay grows and stays bounded for any number of attempts.
    #[test]
    fn waits_double_up_to_a_minute() {
        let waits: Vec<u64> = (0..8).map(|n| back_off(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(back_off(u32::MAX), LONGEST_WAIT);
    }
}
