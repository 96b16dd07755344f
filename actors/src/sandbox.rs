//! The actor of one sandbox. It executes what [`lifecycle::step`] decides.

use std::{future::Future, mem, sync::Arc};

use futures::future::OptionFuture;
use lifecycle::{
    budget,
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::SandboxId,
    lifetime::{Policy, ReapReason},
    observed::Expiry,
    reap_limiter::Admission,
    request::CreateRequest,
    step::{Action, Context, Event, Objects, Reply, step},
    traits::{Busy, Cluster, Lookup, Outcome, Preconditions},
};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{
    admission::{CreatePermit, Permit},
    reaper::Reaper,
    supervisor,
    timer::Timer,
    view::View,
};

/// The reply port of a request, and the permit that it holds until it is answered.
pub(crate) struct Waiter {
    port: RpcReplyPort<Result<Reply, SandboxError>>,
    _seat: Permit,
}

/// An event in the mailbox of a sandbox's actor.
pub(crate) struct Envelope {
    event: Event<Waiter>,
    /// The permit that bounds the mailbox. It is released when the actor takes the event.
    queued: Option<Permit>,
    /// The permit that bounds concurrent creates. It is held until everything that the event leads to is done, but
    /// not while the sandbox waits for an old Pod to terminate.
    creating: Option<CreatePermit>,
    /// The tracing span of the request.
    span: tracing::Span,
}

/// The state that all actors share.
pub(crate) struct Shared {
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) view: Arc<View>,
    pub(crate) timer: Timer,
    pub(crate) policy: Policy,
    pub(crate) reaper: Reaper,
}

/// The actor's behaviour. All state is in [`State`].
pub(crate) struct Sandbox;

/// The arguments of a new actor.
pub(crate) struct Arguments {
    pub(crate) id: SandboxId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) supervisor: ActorRef<supervisor::Message>,
}

/// The state of an actor.
pub(crate) struct State {
    id: SandboxId,
    shared: Arc<Shared>,
    supervisor: ActorRef<supervisor::Message>,
    sandbox: lifecycle::step::Sandbox<Waiter>,
    /// The expiry that the view has.
    expiry: Option<Expiry>,
    /// The number of events taken. The supervisor stops the actor only if it has sent no more than these.
    taken: u64,
}

// === impl Waiter ===

impl Waiter {
    pub(crate) fn new(port: RpcReplyPort<Result<Reply, SandboxError>>, permit: Permit) -> Self {
        Self { port, _seat: permit }
    }

    /// Sends the answer, unless the caller is gone.
    pub(crate) fn send(self, answer: Result<Reply, SandboxError>) {
        let _ = self.port.send(answer);
    }

    fn is_closed(&self) -> bool {
        self.port.is_closed()
    }
}

// === impl Envelope ===

impl Envelope {
    /// Wraps an event of a request, with the request's span.
    pub(crate) fn of_request(event: Event<Waiter>, creating: Option<CreatePermit>) -> Self {
        Self { event, queued: None, creating, span: tracing::Span::current() }
    }

    /// Wraps the use of a sandbox by a GET.
    pub(crate) fn of_view(queued: Permit) -> Self {
        let event = Event::Touch { waiter: None, owner: None };
        Self { queued: Some(queued), ..Self::from(event) }
    }

    /// Answers the request of an event that the actor could not take.
    pub(crate) fn refuse(self, id: SandboxId) {
        let (Event::Post { waiter, .. }
        | Event::Delete { waiter, .. }
        | Event::Change { waiter, .. }
        | Event::Touch { waiter: Some(waiter), .. }) = self.event
        else {
            return;
        };
        waiter.send(Err(SandboxError::Restarting { id }));
    }
}

impl From<Event<Waiter>> for Envelope {
    /// Wraps an event that does not belong to a request.
    fn from(event: Event<Waiter>) -> Self {
        Self { event, queued: None, creating: None, span: tracing::Span::none() }
    }
}

// === impl Sandbox ===

impl Actor for Sandbox {
    type Msg = Envelope;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Envelope>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { id, shared, supervisor } = arguments;
        // An earlier actor that failed may have left these set. From here on, only the cluster state counts.
        shared.view.set_unpublished(&id, false);
        shared.view.set_expiry(&id, None);
        let sandbox = lifecycle::step::Sandbox::default();
        Ok(State { id, shared, supervisor, sandbox, expiry: None, taken: 0 })
    }

    async fn handle(
        &self,
        myself: ActorRef<Envelope>,
        envelope: Envelope,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.taken += 1;
        let Envelope { event, queued, creating: _creating, span } = envelope;
        drop(queued);
        let event = match event {
            // The caller is gone. It retries if it still wants the sandbox.
            Event::Post { waiter, .. } if waiter.is_closed() => Event::Resync,
            event => event,
        };
        // Boxed, because the task of an actor reserves memory for its largest future, which an idle sandbox does not
        // need.
        Box::pin(state.run(event, &myself).instrument(span)).await;
        Ok(())
    }
}

// === impl State ===

impl State {
    /// Handles the event, and then the outcome of every call that it leads to.
    async fn run(&mut self, first: Event<Waiter>, myself: &ActorRef<Envelope>) {
        let mut next = Some(first);
        while let Some(event) = next.take() {
            let seen = self.shared.view.look(&self.id);
            let clocks = self.shared.reaper.clocks();
            let context = Context {
                id: &self.id,
                now: clocks.monotonic,
                wall: clocks.wall,
                policy: &self.shared.policy,
                seen: &seen,
                fresh: self.shared.view.is_fresh(),
            };
            let unpublished = self.sandbox.stage.is_unpublished();
            let (sandbox, actions) = step(mem::take(&mut self.sandbox), event, context);
            self.sandbox = sandbox;
            if self.sandbox.stage.is_unpublished() != unpublished {
                self.shared.view.set_unpublished(&self.id, !unpublished);
            }
            let expiry = self.sandbox.prospects(context);
            if expiry != self.expiry {
                self.expiry = expiry;
                self.shared.view.set_expiry(&self.id, expiry);
            }
            for action in actions {
                match action {
                    Action::Answer(waiter, answer) => waiter.send(answer),
                    Action::SetTimer(at) => {
                        self.shared.timer.set(self.id.clone(), Instant::from_std(at));
                    }
                    Action::Stop => {
                        let _ = self.supervisor.cast(supervisor::Message::Stop {
                            id: self.id.clone(),
                            actor: myself.get_id(),
                            taken: self.taken,
                        });
                    }
                    Action::Create { request, halves } => next = Some(self.create(request, halves).await),
                    Action::Delete { pod, service } => {
                        let only = |uid| Preconditions { uid, version: None };
                        next = Some(self.remove(pod.map(only), service.map(only)).await);
                    }
                    Action::Write { uid, annotations } => {
                        let call = self.shared.cluster.write_annotations(self.id.clone(), uid, annotations);
                        let outcome =
                            note(limited(call).await, |pod| self.shared.view.wrote_pod(&self.id, pod));
                        self.shared.reaper.note_write(&self.id, &outcome);
                        next = Some(Event::Written(outcome));
                    }
                    Action::Probe { url } => {
                        let call = self.shared.cluster.probe_activity(self.id.clone(), url);
                        let busy = tokio::time::timeout(budget::CALL, call).await;
                        let busy = busy.unwrap_or_else(|_| Busy::Unanswered("no answer in time".to_owned()));
                        tracing::debug!(sandbox_id = %self.id, ?busy, "asked whether it is busy");
                        next = Some(Event::Probed(busy));
                    }
                    Action::Reap { pod, service, cause } => next = Some(self.reap(pod, service, cause).await),
                    Action::RecordReap(cause) => self.shared.reaper.note(&self.id, cause),
                    Action::Read => {
                        let read =
                            tokio::time::timeout(budget::CALL, self.shared.cluster.read(self.id.clone()));
                        let result = match read.await {
                            Ok(Ok(Lookup { seen: now, foreign })) => {
                                self.shared.view.read(&self.id, &seen, now);
                                Ok(foreign)
                            }
                            Ok(Err(fault)) => Err(fault),
                            Err(_) => Err(too_late()),
                        };
                        next = Some(Event::Read(result));
                    }
                }
            }
        }
    }

    /// Deletes the sandbox if the reap limits allow it: first the Pod, and the Service only if the Pod met its
    /// preconditions. A sandbox that has changed since the decision stays complete.
    async fn reap(
        &self,
        pod: Preconditions,
        service: Option<Preconditions>,
        cause: ReapReason,
    ) -> Event<Waiter> {
        let Shared { cluster, view, reaper, .. } = &*self.shared;
        let clocks = reaper.clocks();
        let uid = pod.uid.clone();
        match reaper.ask(view, &self.id, cause, clocks) {
            Admission::Allow => {
                let pod = self.delete_pod(pod).await;
                let service = match &pod {
                    Outcome::Done(()) => {
                        cluster.record_event(&self.id, &uid, cause, false);
                        OptionFuture::from(service.map(|only| self.delete_service(only))).await
                    }
                    Outcome::Refused(fault) => {
                        reaper.not_done(&self.id, fault, clocks.monotonic);
                        None
                    }
                    Outcome::Unknown(fault) => {
                        tracing::warn!(sandbox_id = %self.id, %fault, "whether it was reaped is not known");
                        None
                    }
                };
                Event::Deleted { pod: Some(pod), service }
            }
            Admission::RetryAt(until) => Event::Deferred(until),
            Admission::DryRun => {
                cluster.record_event(&self.id, &uid, cause, true);
                Event::DryRun
            }
        }
    }

    async fn remove(&self, pod: Option<Preconditions>, service: Option<Preconditions>) -> Event<Waiter> {
        let pod = OptionFuture::from(pod.map(|only| self.delete_pod(only)));
        let service = OptionFuture::from(service.map(|only| self.delete_service(only)));
        let (pod, service) = futures::join!(pod, service);
        Event::Deleted { pod, service }
    }

    async fn delete_pod(&self, only: Preconditions) -> Outcome<()> {
        let Shared { cluster, view, .. } = &*self.shared;
        let uid = only.uid.clone();
        let outcome = limited(cluster.delete_pod(self.id.clone(), only)).await;
        note(outcome, |removal| view.removed_pod(&self.id, &uid, removal))
    }

    async fn delete_service(&self, only: Preconditions) -> Outcome<()> {
        let Shared { cluster, view, .. } = &*self.shared;
        let uid = only.uid.clone();
        let outcome = limited(cluster.delete_service(self.id.clone(), only)).await;
        note(outcome, |removal| view.removed_service(&self.id, &uid, removal))
    }

    /// Creates both objects in parallel. The node port is in the Service's answer, so neither write needs the other.
    async fn create(&self, request: Arc<CreateRequest>, halves: Objects) -> Event<Waiter> {
        let Shared { cluster, view, .. } = &*self.shared;
        let (pod, service) = futures::join!(
            async {
                if !halves.pod {
                    return None;
                }
                let outcome = limited(cluster.create_pod(request.clone())).await;
                Some(note(outcome, |pod| view.wrote_pod(&self.id, pod)))
            },
            async {
                if !halves.service {
                    return None;
                }
                let outcome = limited(cluster.create_service(request.clone())).await;
                Some(note(outcome, |service| view.wrote_service(&self.id, service)))
            },
        );
        Event::Created { pod, service }
    }
}

async fn limited<T>(call: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::time::timeout(budget::CALL, call).await.unwrap_or_else(|_| Outcome::Unknown(too_late()))
}

fn too_late() -> ClusterError {
    ClusterError::new(ClusterErrorKind::TimedOut, "the call to the cluster did not end in time")
}

/// Applies a successful outcome to the view. The next step depends only on whether the call succeeded.
fn note<T>(outcome: Outcome<T>, done: impl FnOnce(T)) -> Outcome<()> {
    match outcome {
        Outcome::Done(value) => {
            done(value);
            Outcome::Done(())
        }
        Outcome::Refused(fault) => Outcome::Refused(fault),
        Outcome::Unknown(fault) => Outcome::Unknown(fault),
    }
}
