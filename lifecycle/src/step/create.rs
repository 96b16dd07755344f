//! Making a pair: compare what is wanted with what is seen, write what is missing, undo what cannot be whole.

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

/// When to ask again about a sandbox that is still terminating: about half of the grace its Pod is given.
const TERMINATING_RETRY: Duration = Duration::from_secs(5);

/// When to ask again while the view is old.
const STALE_RETRY: Duration = Duration::from_secs(5);

/// What what is seen lacks of a whole pair.
enum Lack {
    /// Nothing.
    Nothing(Status),
    /// An earlier life has not ended.
    EarlierLifeGone,
    /// The Service is there but leads nowhere (made by hand, or under another service type).
    ServiceWithUrl,
    /// These objects.
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

/// What is answered while something of the sandbox is on its way out.
pub(super) fn still_terminating(ctx: Context<'_>) -> SandboxError {
    SandboxError::StillTerminating { id: ctx.id.clone(), retry_after: TERMINATING_RETRY }
}

/// What is answered while what is seen is too old to be told.
pub(super) fn stale() -> SandboxError {
    SandboxError::Stale { why: "the watch on the cluster is behind".to_owned(), retry_after: STALE_RETRY }
}

/// Goes on with an order from what is seen now.
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
/// A terminating Pod is nobody's answer: the callers wait for a new one. An old view may show a Pod that has gone.
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

/// Goes on with an order whose callers all accept the existing Pod, if there is one.
fn make_missing<W>(mut order: PendingCreate<W>, made: Objects, ctx: Context<'_>) -> Decision<W> {
    match lack(ctx.seen) {
        Lack::Nothing(status) => {
            let answer = if ctx.fresh || made.any() { Ok(Reply::Made(status)) } else { Err(stale()) };
            let (stage, mut actions) = rest(None, ctx);
            actions.extend(order.waiters.into_iter().map(|w| Action::Answer(w.waiter, answer.clone())));
            (stage, actions)
        }
        Lack::EarlierLifeGone if made.any() => {
            // What was just written must not be joined to a dying Pod.
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
        // What an old view lacks may be there, given to somebody: it is not to be taken for what this order makes.
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

/// Parks an order until the earlier life has gone, and sends off those whose time is up.
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

/// After the writes: done, or refused and to be undone, or in doubt and to be looked at.
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

/// After a look at the cluster.
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

/// Removes what the order has made, then fails it.
fn undo<W>(order: PendingCreate<W>, made: Objects, failure: SandboxError, ctx: Context<'_>) -> Decision<W> {
    remove::remove(made, 0, vec![], AfterDelete::Fail(order, failure), ctx)
}
