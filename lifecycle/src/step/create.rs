//! Creating a sandbox: compares the request with the observed objects, writes what is missing, and undoes a create
//! that cannot succeed.

use std::time::Duration;

use super::{
    Action, AfterDelete, Context, Decision, MAX_ROUNDS, Objects, PendingCreate, Reply, Stage, failure_of,
    remove, rest,
};
use crate::{
    budget::POST_PATIENCE,
    error::{ClusterError, ClusterErrorKind, SandboxError},
    observed::{Observed, Status},
    traits::Outcome,
};

/// The retry delay while a sandbox is terminating: about half of its Pod's grace period.
const TERMINATING_RETRY: Duration = Duration::from_secs(5);

/// The retry delay while the view is stale.
const STALE_RETRY: Duration = Duration::from_secs(5);

/// The difference between the observed objects and a complete sandbox.
enum Lack {
    /// The sandbox is complete.
    Nothing(Status),
    /// An object of an earlier sandbox is still terminating.
    EarlierLifeGone,
    /// The Service exists without a URL: it was created manually, or under another service type.
    ServiceWithUrl,
    /// These objects are missing.
    Objects(Objects),
}

fn lack(seen: &Observed) -> Lack {
    let pod_leaves = seen.pod.as_ref().is_some_and(|p| p.terminating);
    let service_leaves = seen.service.as_ref().is_some_and(|s| s.terminating);
    if pod_leaves || service_leaves {
        return Lack::EarlierLifeGone;
    }
    if seen.service.as_ref().is_some_and(|s| s.url.is_none()) {
        return Lack::ServiceWithUrl;
    }
    match seen.status() {
        Some(status) if seen.pod.is_some() => Lack::Nothing(status),
        _ => Lack::Objects(Objects { pod: seen.pod.is_none(), service: seen.service.is_none() }),
    }
}

/// Returns the error for a sandbox with a terminating object.
pub(super) fn still_terminating(ctx: Context<'_>) -> SandboxError {
    SandboxError::StillTerminating { id: ctx.id.clone(), retry_after: TERMINATING_RETRY }
}

/// Returns the error for a stale view.
pub(super) fn stale() -> SandboxError {
    SandboxError::Stale { why: "the watch on the cluster is behind".to_owned(), retry_after: STALE_RETRY }
}

/// Continues a create from the observed objects.
pub(super) fn make<W>(mut order: PendingCreate<W>, made: Objects, ctx: Context<'_>) -> Decision<W> {
    let mut rejected = reject_mismatches(&mut order, made, ctx);
    let (stage, actions) = if rejected.is_empty() || !order.waiters.is_empty() {
        make_missing(order, made, ctx)
    } else if made.any() {
        remove::remove(made, 0, vec![], AfterDelete::Forget, ctx)
    } else {
        rest(None, ctx)
    };
    rejected.extend(actions);
    (stage, rejected)
}

/// Rejects the callers whose requirements the existing Pod does not meet.
///
/// A terminating Pod is not compared, because the callers wait for a new one. In a stale view the Pod may already be
/// gone.
pub(super) fn reject_mismatches<W>(
    order: &mut PendingCreate<W>,
    made: Objects,
    ctx: Context<'_>,
) -> Vec<Action<W>> {
    match &ctx.seen.pod {
        Some(pod) if !pod.terminating && (ctx.fresh || order.looked || made.any()) => {
            order.reject_mismatches(&pod.spec)
        }
        Some(_) | None => vec![],
    }
}

/// Continues a create whose callers all accept the existing Pod, if there is one.
fn make_missing<W>(mut order: PendingCreate<W>, made: Objects, ctx: Context<'_>) -> Decision<W> {
    match lack(ctx.seen) {
        Lack::Nothing(status) => {
            let answer = if ctx.fresh || made.any() { Ok(Reply::Made(status)) } else { Err(stale()) };
            let (stage, mut actions) = rest(None, ctx);
            actions.extend(order.waiters.into_iter().map(|w| Action::Answer(w.waiter, answer.clone())));
            (stage, actions)
        }
        Lack::EarlierLifeGone if made.any() => {
            // A Service that was just created must not select a terminating Pod, so delete the new objects first.
            remove::remove(made, 0, vec![], AfterDelete::Make { order, unpublished: true }, ctx)
        }
        Lack::EarlierLifeGone => wait(order, ctx),
        Lack::ServiceWithUrl if made.service => {
            let fault =
                ClusterError::new(ClusterErrorKind::Other, "the cluster gave the Service no node port");
            undo(order, made, SandboxError::Refused { operation: "Service creation", fault }, ctx)
        }
        Lack::ServiceWithUrl if order.rounds < MAX_ROUNDS => {
            order.rounds += 1;
            let service = Objects { pod: false, service: true };
            remove::remove(service, 0, vec![], AfterDelete::Make { order, unpublished: false }, ctx)
        }
        // An object that a stale view does not show may exist and be in use. A later undo must not delete it, so read
        // first.
        Lack::Objects(_) if !(ctx.fresh || order.looked || made.any()) => {
            order.looked = true;
            (Stage::Creating { order, made, verdict: None }, vec![Action::Read])
        }
        Lack::Objects(halves) if order.rounds < MAX_ROUNDS => {
            order.rounds += 1;
            let create = Action::Create { request: order.request.clone(), halves };
            (Stage::Creating { order, made, verdict: None }, vec![create])
        }
        Lack::ServiceWithUrl | Lack::Objects(_) => {
            let failure = order.doubt.take().unwrap_or_else(|| {
                let why = "its objects are being changed by somebody else";
                failure_of("Sandbox creation", ClusterError::new(ClusterErrorKind::Conflict, why))
            });
            undo(order, made, failure, ctx)
        }
    }
}

/// Parks a create until the old objects are gone, and answers the callers whose deadline has passed.
fn wait<W>(mut order: PendingCreate<W>, ctx: Context<'_>) -> Decision<W> {
    (order.rounds, order.looked) = (0, false);
    let expired = order.take_expired(ctx.now);
    let failure = still_terminating(ctx);
    let mut actions: Vec<_> = expired.into_iter().map(|w| Action::Answer(w, Err(failure.clone()))).collect();
    match order.waiters.iter().map(|w| w.until).min() {
        Some(next) => {
            actions.push(Action::SetTimer(next));
            (Stage::Waiting(order), actions)
        }
        None => (Stage::default(), actions),
    }
}

/// Handles the outcome of the writes: continues on success, undoes a refused create, and reads after an unknown
/// outcome.
pub(super) fn created<W>(
    mut order: PendingCreate<W>,
    made: Objects,
    pod: Option<Outcome<()>>,
    service: Option<Outcome<()>>,
    ctx: Context<'_>,
) -> Decision<W> {
    let may_be =
        |outcome: &Option<Outcome<()>>| matches!(outcome, Some(Outcome::Done(()) | Outcome::Unknown(_)));
    let made = Objects { pod: made.pod || may_be(&pod), service: made.service || may_be(&service) };

    let mut verdict = None;
    let mut in_doubt = false;
    order.doubt = None;
    for (operation, outcome) in [("Pod creation", pod), ("Service creation", service)] {
        match outcome {
            None | Some(Outcome::Done(())) => {}
            Some(Outcome::Unknown(fault)) => {
                in_doubt = true;
                order.doubt.get_or_insert_with(|| failure_of(operation, fault));
            }
            Some(Outcome::Refused(fault))
                if matches!(fault.kind, ClusterErrorKind::AlreadyExists | ClusterErrorKind::Terminating) =>
            {
                in_doubt = true;
            }
            Some(Outcome::Refused(fault)) => {
                verdict.get_or_insert_with(|| failure_of(operation, fault));
            }
        }
    }
    match verdict {
        verdict if in_doubt => (Stage::Creating { order, made, verdict }, vec![Action::Read]),
        Some(failure) => undo(order, made, failure, ctx),
        None => make(order, made, ctx),
    }
}

/// Handles the outcome of a read.
pub(super) fn read<W>(
    order: PendingCreate<W>,
    made: Objects,
    verdict: Option<SandboxError>,
    result: Result<Option<String>, ClusterError>,
    ctx: Context<'_>,
) -> Decision<W> {
    match (result, verdict) {
        (Ok(None), None) if order.waiters.iter().all(|w| w.until <= ctx.now) => {
            let failure = SandboxError::TimedOut { operation: "Sandbox creation", after: POST_PATIENCE };
            undo(order, made, failure, ctx)
        }
        (Ok(None), None) => make(order, made, ctx),
        (Ok(None), Some(failure)) => undo(order, made, failure, ctx),
        (Ok(Some(what)), _) => {
            let failure = SandboxError::NotOurs { id: ctx.id.clone(), what };
            undo(order, made, failure, ctx)
        }
        (Err(fault), verdict) => {
            let failure = verdict.unwrap_or_else(|| failure_of("Sandbox creation", fault));
            let mut actions = order.fail(&failure);
            if !made.any() {
                let (stage, more) = rest(None, ctx);
                actions.extend(more);
                return (stage, actions);
            }
            let (stage, more) = remove::later(made, 0, true, ctx);
            actions.extend(more);
            (stage, actions)
        }
    }
}

/// Deletes what the create has written, then fails it.
fn undo<W>(order: PendingCreate<W>, made: Objects, failure: SandboxError, ctx: Context<'_>) -> Decision<W> {
    remove::remove(made, 0, vec![], AfterDelete::Fail(order, failure), ctx)
}
