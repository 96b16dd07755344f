//! Creating a sandbox: compares the request with the observed objects, writes what is missing, and undoes a create
//! that cannot succeed.

use std::{mem, time::Instant};

use super::{
    decision::{Decision, Step, after, answer, failure_of, stale},
    types::{Action, AfterDelete, Existence, Objects, PendingCreate, PendingDelete, PostWaiter},
};
use crate::{
    budget::POST_PATIENCE,
    error::{ClusterError, ClusterErrorKind, SandboxError},
    observed::Observed,
    operation::Operation,
    request::CreateRequest,
    spec::{ObservedSpec, Requirements},
    traits::{Creation, Foreign, Manifests, Outcome},
};

/// The maximum number of write attempts of one POST: the first, one after a read, and one after a replacement.
pub(super) const MAX_ATTEMPTS: u8 = 3;

/// The difference between the observed objects and a complete sandbox.
enum Missing {
    /// The sandbox is complete.
    Nothing,
    /// An object of an earlier sandbox is still terminating.
    Termination,
    /// The Service exists without a URL: it was created manually, or under another service type.
    Url,
    /// These objects are missing.
    Objects(Objects),
}

impl Missing {
    fn in_state(seen: &Observed) -> Self {
        let (pod, service) = (seen.pod.as_ref(), seen.service.as_ref());
        if pod.is_some_and(|p| p.terminating) || service.is_some_and(|s| s.terminating) {
            Self::Termination
        } else if service.is_some_and(|s| s.url.is_none()) {
            Self::Url
        } else if seen.is_whole() {
            Self::Nothing
        } else {
            Self::Objects(Objects { pod: pod.is_none(), service: service.is_none() })
        }
    }
}

impl Step<'_> {
    /// Continues a create from the observed objects.
    pub(super) fn create<W>(&mut self, mut create: PendingCreate<W>) -> Decision<W> {
        let rejected = self.reject_mismatches(&mut create);
        let decision = if rejected.is_empty() || !create.waiters.is_empty() {
            self.create_missing(create)
        } else {
            self.delete(PendingDelete::unpublished(create.made), AfterDelete::Nothing)
        };
        after(rejected, decision)
    }

    /// Rejects the callers whose requirements the existing Pod does not meet.
    ///
    /// A terminating Pod is not compared, because the callers wait for a new one. In a stale view the Pod may already
    /// be gone.
    pub(super) fn reject_mismatches<W>(&self, create: &mut PendingCreate<W>) -> Vec<Action<W>> {
        match self.ctx.live_pod() {
            Some(pod) if self.knows_objects(create) => create.reject_mismatches(&pod.spec),
            Some(_) | None => vec![],
        }
    }

    /// Returns whether the observed objects are those of the cluster. An object that a stale view does not show may
    /// exist and be in use.
    fn knows_objects<W>(&self, create: &PendingCreate<W>) -> bool {
        self.ctx.fresh || create.verified || create.made.any()
    }

    /// Continues a create whose callers all accept the existing Pod, if there is one.
    pub(super) fn create_missing<W>(&mut self, mut create: PendingCreate<W>) -> Decision<W> {
        match Missing::in_state(self.ctx.seen) {
            Missing::Nothing if self.ctx.fresh || create.made.any() => {
                let waiters = create.waiters.into_iter().map(|w| w.waiter).collect();
                self.provide(waiters, create.pending_owner)
            }
            Missing::Nothing => after(create.fail(&stale()), self.settle(None)),
            Missing::Termination if create.made.any() => {
                // A Service that was just created must not select a terminating Pod, so delete the new objects first.
                let made = mem::take(&mut create.made);
                self.delete(PendingDelete::unpublished(made), AfterDelete::Create(create))
            }
            Missing::Termination => self.wait(create),
            Missing::Url if create.made.service => {
                let fault =
                    ClusterError::new(ClusterErrorKind::Other, "the cluster gave the Service no node port");
                self.undo(create, SandboxError::Refused { operation: Operation::CreateService, fault })
            }
            Missing::Url if create.attempts < MAX_ATTEMPTS => {
                create.attempts += 1;
                self.delete(PendingDelete::of(Objects::SERVICE), AfterDelete::Create(create))
            }
            // A later undo must not delete an object that was in use, so read first.
            Missing::Objects(_) if !self.knows_objects(&create) => {
                create.verified = true;
                (Existence::Creating { create, failure: None }.into(), vec![Action::Read])
            }
            Missing::Objects(missing) if create.attempts < MAX_ATTEMPTS => {
                create.attempts += 1;
                let pod = match missing.pod.then(|| create.manifests.pod.clone()).transpose() {
                    Ok(pod) => pod,
                    Err(failure) => return self.undo(create, failure),
                };
                let service = missing.service.then(|| create.manifests.service.clone());
                let until = create.waiters.iter().map(|w| w.until).max().unwrap_or(self.ctx.now);
                let action = Action::Create { pod, service, received: create.received, until };
                (Existence::Creating { create, failure: None }.into(), vec![action])
            }
            Missing::Url | Missing::Objects(_) => {
                let failure = create.last_unknown.take().unwrap_or_else(|| {
                    let why = "another client is changing its objects";
                    failure_of(Operation::CreateSandbox, ClusterError::new(ClusterErrorKind::Conflict, why))
                });
                self.undo(create, failure)
            }
        }
    }

    /// Parks a create until the old objects are gone, and answers the callers whose deadline has passed.
    fn wait<W>(&mut self, mut create: PendingCreate<W>) -> Decision<W> {
        (create.attempts, create.verified) = (0, false);
        let expired = create.take_expired(self.ctx.now);
        let failed = answer(expired, &Err(self.still_terminating()));
        let decision = match create.waiters.iter().map(|w| w.until).min() {
            Some(next) => (Existence::Waiting(create).into(), vec![Action::SetTimer(next)]),
            None => self.settle(None),
        };
        after(failed, decision)
    }

    /// Handles the outcome of the writes: continues on success, undoes a refused create, and reads after an unknown
    /// outcome.
    pub(super) fn created<W>(
        &mut self,
        mut create: PendingCreate<W>,
        pod: Option<Outcome<Creation<()>>>,
        service: Option<Outcome<Creation<()>>>,
    ) -> Decision<W> {
        let may_exist = |outcome: &Option<Outcome<Creation<()>>>| {
            matches!(outcome, Some(Outcome::Done(_) | Outcome::Unknown(_)))
        };
        create.made.pod |= may_exist(&pod);
        create.made.service |= may_exist(&service);

        let mut failure = None;
        let mut is_unknown = false;
        create.last_unknown = None;
        for (operation, outcome) in [(Operation::CreatePod, pod), (Operation::CreateService, service)] {
            match outcome {
                None | Some(Outcome::Done(Creation::AsSent(()))) => {}
                Some(Outcome::Unknown(fault)) => {
                    is_unknown = true;
                    create.last_unknown.get_or_insert_with(|| failure_of(operation, fault));
                }
                Some(Outcome::Refused(fault))
                    if matches!(
                        fault.kind,
                        ClusterErrorKind::AlreadyExists | ClusterErrorKind::Terminating
                    ) =>
                {
                    is_unknown = true;
                }
                Some(Outcome::Refused(fault) | Outcome::Done(Creation::Altered((), fault))) => {
                    failure.get_or_insert_with(|| failure_of(operation, fault));
                }
            }
        }
        match failure {
            failure if is_unknown => (Existence::Creating { create, failure }.into(), vec![Action::Read]),
            Some(failure) => self.undo(create, failure),
            None => self.create(create),
        }
    }

    /// Handles the outcome of a read during a create.
    pub(super) fn read_after_create<W>(
        &mut self,
        create: PendingCreate<W>,
        failure: Option<SandboxError>,
        result: Result<Option<Foreign>, ClusterError>,
    ) -> Decision<W> {
        match (result, failure) {
            (Ok(None), None) if create.waiters.iter().all(|w| w.until <= self.ctx.now) => {
                let operation = create.unanswered();
                self.give_up(create, &SandboxError::Unanswered { operation, after: POST_PATIENCE })
            }
            (Ok(None), None) => self.create(create),
            (Ok(None), Some(failure)) => self.undo(create, failure),
            (Ok(Some(foreign)), _) => {
                let (id, what) = (self.ctx.id.clone(), foreign.to_string());
                self.undo(create, SandboxError::NotOurs { id, what })
            }
            (Err(fault), failure) => {
                let failure = failure.unwrap_or_else(|| failure_of(Operation::CreateSandbox, fault));
                self.give_up(create, &failure)
            }
        }
    }

    /// Fails a create whose outcome is not known, and undoes it later: a write may still take effect.
    fn give_up<W>(&mut self, create: PendingCreate<W>, failure: &SandboxError) -> Decision<W> {
        let (made, orphan_since) = (create.made, create.orphan_since);
        let failed = create.fail(failure);
        let decision = if made.any() {
            self.back_off(PendingDelete::unpublished(made))
        } else {
            self.settle(orphan_since)
        };
        after(failed, decision)
    }

    /// Deletes what the create has written, then fails it.
    fn undo<W>(&mut self, create: PendingCreate<W>, failure: SandboxError) -> Decision<W> {
        self.delete(PendingDelete::unpublished(create.made), AfterDelete::Fail(create, failure))
    }
}

// === impl PendingCreate ===

impl<W> PendingCreate<W> {
    pub(super) fn new(
        request: &CreateRequest,
        manifests: Manifests,
        waiter: W,
        received: Instant,
        until: Instant,
    ) -> Self {
        let requirements = Requirements::of(request);
        Self {
            manifests,
            expected: ObservedSpec::expected(request),
            waiters: vec![PostWaiter { waiter, until, requirements }],
            received,
            pending_owner: request.owner.clone(),
            attempts: 0,
            verified: false,
            made: Objects::NONE,
            orphan_since: None,
            last_unknown: None,
        }
    }

    /// Returns the write whose outcome is not known.
    fn unanswered(&self) -> Operation {
        match self.last_unknown {
            Some(SandboxError::Unavailable { operation, .. }) => operation,
            _ => Operation::CreateSandbox,
        }
    }

    /// Answers all callers with the failure.
    pub(super) fn fail(self, failure: &SandboxError) -> Vec<Action<W>> {
        answer(self.waiters.into_iter().map(|w| w.waiter), &Err(failure.clone()))
    }

    /// Removes and returns the callers whose deadline has passed.
    fn take_expired(&mut self, now: Instant) -> Vec<W> {
        self.waiters.extract_if(.., |w| w.until <= now).map(|w| w.waiter).collect()
    }

    /// Removes the callers whose requirements an existing Pod with this spec does not meet. Returns their answers.
    fn reject_mismatches(&mut self, spec: &ObservedSpec) -> Vec<Action<W>> {
        let mut rejected = vec![];
        for waiting in mem::take(&mut self.waiters) {
            match waiting.requirements.check(spec) {
                Ok(()) => self.waiters.push(waiting),
                Err(mismatch) => rejected.push(Action::Answer(waiting.waiter, Err(mismatch.into()))),
            }
        }
        rejected
    }
}
