//! Deleting objects, and retrying until they are gone.

use std::time::Duration;

use super::{Action, AfterDelete, Context, Decision, Objects, Reply, Stage, create, failure_of, rest};
use crate::{
    error::{ClusterError, SandboxError},
    traits::Outcome,
};

/// The delay before the first retry. It doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest delay between two attempts. Deletions complete within about a minute of the cluster's return, and a
/// cluster that refuses for hours receives one call a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Handles a DELETE.
pub(super) fn delete<W>(stage: Stage<W>, waiter: W, ctx: Context<'_>) -> Decision<W> {
    match stage {
        Stage::Steady { .. } => {
            if ctx.seen.is_empty() && !ctx.fresh {
                let failure = SandboxError::Stale {
                    why: "whether the sandbox exists cannot be told".to_owned(),
                    retry_after: Duration::from_secs(5),
                };
                let (stage, mut actions) = rest(None, ctx);
                actions.push(Action::Answer(waiter, Err(failure)));
                return (stage, actions);
            }
            if !ctx.fresh && !ctx.seen.is_whole() {
                // A stale view may not show the other object.
                let stage = Stage::DeleteBackoff {
                    targets: Objects::BOTH,
                    attempt: 0,
                    at: None,
                    waiters: vec![waiter],
                    unpublished: false,
                };
                return (stage, vec![Action::Read]);
            }
            remove(Objects::BOTH, 0, vec![waiter], AfterDelete::Rest, ctx)
        }
        Stage::ReapUnknown { at: Some(_), .. } => {
            remove(Objects::BOTH, 0, vec![waiter], AfterDelete::Rest, ctx)
        }
        Stage::Waiting(order) => {
            // The POST came first, and this DELETE would have removed its sandbox.
            let retry_after = Duration::from_secs(1);
            let mut actions = order.fail(&SandboxError::StillTerminating { id: ctx.id.clone(), retry_after });
            let (stage, more) = remove(Objects::BOTH, 0, vec![waiter], AfterDelete::Rest, ctx);
            actions.extend(more);
            (stage, actions)
        }
        // The outcome of the earlier attempt is unknown, so read before answering.
        Stage::DeleteBackoff { targets: _, attempt, at: _, mut waiters, unpublished } => {
            waiters.push(waiter);
            let targets = Objects::BOTH;
            (Stage::DeleteBackoff { targets, attempt, at: None, waiters, unpublished }, vec![Action::Read])
        }
        Stage::Deleting { attempt, mut waiters, next: AfterDelete::Rest, targets: Objects::BOTH } => {
            waiters.push(waiter);
            (Stage::Deleting { targets: Objects::BOTH, attempt, waiters, next: AfterDelete::Rest }, vec![])
        }
        busy @ (Stage::Creating { .. }
        | Stage::ConfirmingOrphan
        | Stage::Deleting { .. }
        | Stage::Reaping(_)
        | Stage::ReapUnknown { at: None, .. }
        | Stage::RecordingUse { .. }
        | Stage::Updating { .. }) => {
            let failure = SandboxError::Busy { retry_after: Duration::from_secs(1) };
            (busy, vec![Action::Answer(waiter, Err(failure))])
        }
    }
}

/// Deletes the targets that exist and are not terminating, or continues immediately if there are none.
pub(super) fn remove<W>(
    targets: Objects,
    attempt: u32,
    waiters: Vec<W>,
    next: AfterDelete<W>,
    ctx: Context<'_>,
) -> Decision<W> {
    let pod = ctx.seen.pod.as_ref().filter(|p| targets.pod && !p.terminating).map(|p| p.uid.clone());
    let service =
        ctx.seen.service.as_ref().filter(|s| targets.service && !s.terminating).map(|s| s.uid.clone());
    if pod.is_none() && service.is_none() {
        return gone(waiters, next, ctx);
    }
    (Stage::Deleting { targets, attempt, waiters, next }, vec![Action::Delete { pod, service }])
}

/// Answers the callers and continues: all targets are gone or terminating.
fn gone<W>(waiters: Vec<W>, next: AfterDelete<W>, ctx: Context<'_>) -> Decision<W> {
    let mut actions: Vec<_> = waiters.into_iter().map(|w| Action::Answer(w, Ok(Reply::Gone))).collect();
    let (stage, more) = match next {
        AfterDelete::Rest | AfterDelete::Forget => rest(None, ctx),
        AfterDelete::Fail(order, failure) => {
            actions.extend(order.fail(&failure));
            rest(None, ctx)
        }
        AfterDelete::Make { order, unpublished: _ } => create::make(order, Objects::NONE, ctx),
    };
    actions.extend(more);
    (stage, actions)
}

/// Handles the outcome of the deletes.
pub(super) fn removed<W>(
    targets: Objects,
    attempt: u32,
    waiters: Vec<W>,
    next: AfterDelete<W>,
    outcomes: [Option<Outcome<()>>; 2],
    ctx: Context<'_>,
) -> Decision<W> {
    let refusal =
        ["Pod deletion", "Service deletion"].into_iter().zip(outcomes).find_map(|(operation, outcome)| {
            match outcome {
                None | Some(Outcome::Done(())) => None,
                Some(Outcome::Refused(fault) | Outcome::Unknown(fault)) => Some(failure_of(operation, fault)),
            }
        });
    let Some(failure) = refusal else {
        return gone(waiters, next, ctx);
    };
    let unpublished = matches!(
        next,
        AfterDelete::Forget | AfterDelete::Fail(..) | AfterDelete::Make { unpublished: true, .. }
    );
    let mut actions: Vec<_> = waiters.into_iter().map(|w| Action::Answer(w, Err(failure.clone()))).collect();
    match next {
        AfterDelete::Rest | AfterDelete::Forget => {}
        AfterDelete::Fail(order, why) => actions.extend(order.fail(&why)),
        AfterDelete::Make { order, unpublished: _ } => actions.extend(order.fail(&failure)),
    }
    let (stage, more) = later(targets, attempt + 1, unpublished, ctx);
    actions.extend(more);
    (stage, actions)
}

/// Schedules a retry.
pub(super) fn later<W>(targets: Objects, attempt: u32, unpublished: bool, ctx: Context<'_>) -> Decision<W> {
    let at = ctx.now + back_off(attempt);
    let stage = Stage::DeleteBackoff { targets, attempt, at: Some(at), waiters: vec![], unpublished };
    (stage, vec![Action::SetTimer(at)])
}

fn back_off(attempt: u32) -> Duration {
    FIRST_WAIT.saturating_mul(2_u32.saturating_pow(attempt)).min(LONGEST_WAIT)
}

/// Handles the outcome of the read before a retry.
pub(super) fn read<W>(
    targets: Objects,
    attempt: u32,
    waiters: Vec<W>,
    unpublished: bool,
    result: Result<Option<String>, ClusterError>,
    ctx: Context<'_>,
) -> Decision<W> {
    match result {
        // One of the names may belong to a foreign object. Our object with the other name is deleted nevertheless.
        Ok(_) => {
            let next = if unpublished { AfterDelete::Forget } else { AfterDelete::Rest };
            remove(targets, attempt, waiters, next, ctx)
        }
        Err(fault) => {
            let failure = failure_of("Sandbox deletion", fault);
            let mut actions: Vec<_> =
                waiters.into_iter().map(|w| Action::Answer(w, Err(failure.clone()))).collect();
            let (stage, more) = later(targets, attempt + 1, unpublished, ctx);
            actions.extend(more);
            (stage, actions)
        }
    }
}

/// Handles the outcome of the read that confirms an orphan. Deletes only a confirmed orphan.
///
/// A Service selects only Pods with our labels, so a foreign Pod does not count as its Pod. A Pod may still be
/// reachable through a Service that has lost its labels, so the Pod is kept.
pub(super) fn judge_orphan<W>(
    result: &Result<Option<String>, ClusterError>,
    ctx: Context<'_>,
) -> Decision<W> {
    let alone = super::alone(ctx.seen);
    let sure = match result {
        Ok(None) => alone.any(),
        Ok(Some(_stranger)) => alone.service,
        Err(_) => false,
    };
    if sure { remove(alone, 0, vec![], AfterDelete::Rest, ctx) } else { rest(None, ctx) }
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
