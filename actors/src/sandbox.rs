//! The actor of one sandbox: a thin shell around [`lifecycle::step`].

use std::{future::Future, mem, sync::Arc, time::Duration};

use futures::future::OptionFuture;
use lifecycle::{
    belt::Verdict,
    failure::{Failure, Fault, FaultKind},
    ids::SandboxId,
    lifetime::{Cause, Owner, Policy, TermsChange},
    ports::{Busy, Cluster, Look, Only, Outcome},
    request::CreateRequest,
    seen::Life,
    step::{Action, Context, Event, Halves, Reply, step},
};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{
    admission::{Pass, Seat},
    reaper::Reaper,
    sleeper::Sleeper,
    supervisor,
    view::View,
};

/// Where an answer goes, and the seat that is taken until then.
pub(crate) struct Waiter {
    port: RpcReplyPort<Result<Reply, Failure>>,
    _seat: Seat,
}

/// The longest that a call to the cluster may take here. The cluster's side keeps a deadline of its own, of
/// 8 s; this one is there so that no mailbox is ever held for good.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(10);

/// What is said to a sandbox's actor.
pub(crate) enum Message {
    /// Somebody wants the sandbox.
    Post { request: Arc<CreateRequest>, waiter: Waiter, pass: Option<Pass>, span: tracing::Span },
    /// Somebody wants it gone.
    Delete { waiter: Waiter, owner: Option<Owner>, span: tracing::Span },
    /// Somebody uses it.
    Touch { waiter: Waiter, owner: Option<Owner> },
    /// Somebody looked at it, which counts as use.
    Sign { seat: Seat },
    /// Somebody wants its limits changed.
    Change { change: TermsChange, waiter: Waiter, owner: Option<Owner>, span: tracing::Span },
    /// What is seen may have changed.
    Look,
    /// Its time has come.
    Due,
    /// The reaper goes on after a stop.
    Released,
}

/// What all actors share.
pub(crate) struct Shared {
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) view: Arc<View>,
    pub(crate) sleeper: Sleeper,
    pub(crate) policy: Policy,
    pub(crate) reaper: Reaper,
}

/// The behaviour; all state is in [`State`].
pub(crate) struct Sandbox;

/// What an actor starts with.
pub(crate) struct Arguments {
    pub(crate) id: SandboxId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) supervisor: ActorRef<supervisor::Message>,
}

/// What an actor keeps.
pub(crate) struct State {
    id: SandboxId,
    shared: Arc<Shared>,
    supervisor: ActorRef<supervisor::Message>,
    sandbox: lifecycle::step::Sandbox<Waiter>,
    /// What the view was last told of its life.
    life: Option<Life>,
    /// How many messages were taken; the supervisor lets the actor go only when that is all it sent.
    taken: u64,
}

// === impl Waiter ===

impl Waiter {
    pub(crate) fn new(port: RpcReplyPort<Result<Reply, Failure>>, seat: Seat) -> Self {
        Self { port, _seat: seat }
    }

    /// Answers; a caller who has gone does not hear it.
    pub(crate) fn send(self, answer: Result<Reply, Failure>) {
        let _ = self.port.send(answer);
    }

    fn is_closed(&self) -> bool {
        self.port.is_closed()
    }
}

// === impl Sandbox ===

impl Actor for Sandbox {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { id, shared, supervisor } = arguments;
        // A former life that failed may have left this set; from here on the cluster's word counts.
        shared.view.set_unheard_of(&id, false);
        shared.view.set_life(&id, None);
        let sandbox = lifecycle::step::Sandbox::default();
        Ok(State { id, shared, supervisor, sandbox, life: None, taken: 0 })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.taken += 1;
        // Held until all has been done that the request leads to now; not while it waits for a Pod to end.
        let mut _pass = None;
        let (event, span) = match message {
            Message::Post { waiter, .. } if waiter.is_closed() => {
                // Nobody waits for it any more; the client that gave up asks again if it still wants it.
                (Event::Look, tracing::Span::none())
            }
            Message::Post { request, waiter, pass, span } => {
                _pass = pass;
                (Event::Post { request, waiter }, span)
            }
            Message::Delete { waiter, owner, span } => (Event::Delete { waiter, owner }, span),
            Message::Touch { waiter, owner } => {
                (Event::Touch { waiter: Some(waiter), owner }, tracing::Span::none())
            }
            Message::Sign { seat } => {
                // A later GET may be a later sign.
                drop(seat);
                (Event::Touch { waiter: None, owner: None }, tracing::Span::none())
            }
            Message::Change { change, waiter, owner, span } => {
                (Event::Change { change, waiter, owner }, span)
            }
            Message::Look => (Event::Look, tracing::Span::none()),
            Message::Due => (Event::Due, tracing::Span::none()),
            Message::Released => (Event::Released, tracing::Span::none()),
        };
        // Boxed, because an actor's task reserves room for whatever it may await: an idle sandbox needs none of it.
        Box::pin(state.run(event, &myself).instrument(span)).await;
        Ok(())
    }
}

// === impl State ===

impl State {
    /// Feeds the event, and then the outcome of every call that it leads to.
    async fn run(&mut self, first: Event<Waiter>, myself: &ActorRef<Message>) {
        let mut next = Some(first);
        while let Some(event) = next.take() {
            let seen = self.shared.view.look(&self.id);
            let moment = self.shared.reaper.moment();
            let context = Context {
                id: &self.id,
                now: moment.now,
                wall: moment.wall,
                policy: &self.shared.policy,
                seen: &seen,
                fresh: self.shared.view.is_fresh(),
            };
            let unheard_of = self.sandbox.stage.is_unheard_of();
            let (sandbox, actions) = step(mem::take(&mut self.sandbox), event, context);
            self.sandbox = sandbox;
            if self.sandbox.stage.is_unheard_of() != unheard_of {
                self.shared.view.set_unheard_of(&self.id, !unheard_of);
            }
            let life = self.sandbox.prospects(context);
            if life != self.life {
                self.life = life;
                self.shared.view.set_life(&self.id, life);
            }
            for action in actions {
                match action {
                    Action::Answer(waiter, answer) => waiter.send(answer),
                    Action::WakeAt(at) => {
                        self.shared.sleeper.wake_at(self.id.clone(), Instant::from_std(at));
                    }
                    Action::Retire => {
                        let _ = self.supervisor.cast(supervisor::Message::Retire {
                            id: self.id.clone(),
                            actor: myself.get_id(),
                            taken: self.taken,
                        });
                    }
                    Action::Create { request, halves } => next = Some(self.create(request, halves).await),
                    Action::Remove { pod, service } => {
                        let only = |uid| Only { uid, version: None };
                        next = Some(self.remove(pod.map(only), service.map(only)).await);
                    }
                    Action::Write { uid, marks } => {
                        let call = self.shared.cluster.write_marks(self.id.clone(), uid, marks);
                        let outcome =
                            note(limited(call).await, |pod| self.shared.view.wrote_pod(&self.id, pod));
                        self.shared.reaper.note_write(&self.id, &outcome);
                        next = Some(Event::Written(outcome));
                    }
                    Action::AskWhetherBusy { url } => {
                        let call = self.shared.cluster.ask_whether_busy(self.id.clone(), url);
                        let busy = tokio::time::timeout(CALL_LIMIT, call).await;
                        let busy = busy.unwrap_or_else(|_| Busy::Unanswered("no answer in time".to_owned()));
                        tracing::debug!(sandbox_id = %self.id, ?busy, "asked whether it is busy");
                        next = Some(Event::Asked(busy));
                    }
                    Action::Reap { pod, service, cause } => next = Some(self.reap(pod, service, cause).await),
                    Action::Record(cause) => self.shared.reaper.note(&self.id, cause),
                    Action::Read => {
                        let read =
                            tokio::time::timeout(CALL_LIMIT, self.shared.cluster.read(self.id.clone()));
                        let result = match read.await {
                            Ok(Ok(Look { seen: now, stranger })) => {
                                self.shared.view.read(&self.id, &seen, now);
                                Ok(stranger)
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

    /// Deletes it, if the belt lets it go: the Pod, and only if that was the one that was judged, the Service. A
    /// sandbox that has changed since is left whole.
    async fn reap(&self, pod: Only, service: Option<Only>, cause: Cause) -> Event<Waiter> {
        let Shared { cluster, view, reaper, .. } = &*self.shared;
        let moment = reaper.moment();
        let uid = pod.uid.clone();
        match reaper.ask(view, &self.id, cause, moment) {
            Verdict::Go => {
                let pod = self.delete_pod(pod).await;
                let service = match &pod {
                    Outcome::Done(()) => {
                        cluster.tell_reaped(&self.id, &uid, cause, false);
                        OptionFuture::from(service.map(|only| self.delete_service(only))).await
                    }
                    Outcome::Refused(fault) => {
                        reaper.not_done(&self.id, fault, moment.now);
                        None
                    }
                    Outcome::Unknown(fault) => {
                        tracing::warn!(sandbox_id = %self.id, %fault, "whether it was reaped is not known");
                        None
                    }
                };
                Event::Removed { pod: Some(pod), service }
            }
            Verdict::NotBefore(until) => Event::Held(until),
            Verdict::Rehearsed => {
                cluster.tell_reaped(&self.id, &uid, cause, true);
                Event::Rehearsed
            }
        }
    }

    async fn remove(&self, pod: Option<Only>, service: Option<Only>) -> Event<Waiter> {
        let pod = OptionFuture::from(pod.map(|only| self.delete_pod(only)));
        let service = OptionFuture::from(service.map(|only| self.delete_service(only)));
        let (pod, service) = futures::join!(pod, service);
        Event::Removed { pod, service }
    }

    async fn delete_pod(&self, only: Only) -> Outcome<()> {
        let Shared { cluster, view, .. } = &*self.shared;
        let uid = only.uid.clone();
        let outcome = limited(cluster.delete_pod(self.id.clone(), only)).await;
        note(outcome, |removal| view.removed_pod(&self.id, &uid, removal))
    }

    async fn delete_service(&self, only: Only) -> Outcome<()> {
        let Shared { cluster, view, .. } = &*self.shared;
        let uid = only.uid.clone();
        let outcome = limited(cluster.delete_service(self.id.clone(), only)).await;
        note(outcome, |removal| view.removed_service(&self.id, &uid, removal))
    }

    /// Both writes at once: the NodePort is in the Service's own answer, so neither needs the other.
    async fn create(&self, request: Arc<CreateRequest>, halves: Halves) -> Event<Waiter> {
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
    tokio::time::timeout(CALL_LIMIT, call).await.unwrap_or_else(|_| Outcome::Unknown(too_late()))
}

fn too_late() -> Fault {
    Fault::new(FaultKind::TimedOut, "the call to the cluster did not end in time")
}

/// Puts what was done into the view; what happens next depends only on whether it was.
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
