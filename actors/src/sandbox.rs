//! The actor of one sandbox. It executes what [`lifecycle::step`] decides.

use std::{future::Future, mem, sync::Arc, time::Duration};

use futures::future::OptionFuture;
use jiff::Timestamp;
use lifecycle::{
    budget,
    error::{ClusterError, ClusterErrorKind},
    ids::SandboxId,
    lifetime::{Clocks, Policy, ReapReason},
    observed::{Expiry, Observed, Uid},
    reap_limiter::Admission,
    step::{self, Action, Context, Event, Reply},
    timeline::DeleteReason,
    traits::{Busy, Clock, Cluster, Lookup, Manifest, Outcome, Preconditions},
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, Span};

use crate::{
    limiter::Limiter,
    mailbox::{Mail, Mailbox},
    messages::{Envelope, Message, Waiter},
    reap_log::{ReapLog, Reaped},
    timer::Timer,
    view::View,
    write_log::WriteLog,
};

/// The state that all actors share.
pub(crate) struct Shared {
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) view: Arc<View>,
    pub(crate) timer: Timer,
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limiter: Limiter,
    pub(crate) reap_log: ReapLog,
    pub(crate) write_log: WriteLog,
    pub(crate) resize_log: WriteLog,
}

/// The actor's behaviour. All state is in [`State`].
pub(crate) struct Sandbox;

/// The arguments of a new actor.
pub(crate) struct Arguments {
    pub(crate) id: SandboxId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) supervisor: Mailbox<Message>,
}

/// The state of an actor.
pub(crate) struct State {
    id: SandboxId,
    shared: Arc<Shared>,
    supervisor: Mailbox<Message>,
    sandbox: step::Sandbox<Waiter>,
    /// The expiry that the view has.
    expiry: Option<Expiry>,
    /// The reap in progress.
    reaping: Option<Reaping>,
    /// The number of events taken. The supervisor stops the actor only if it has sent no more than these.
    handled: u64,
}

/// A reap that was sent.
#[derive(Debug, Clone, Copy)]
struct Reaping {
    since: Timestamp,
    /// The expiry that callers were shown. The view has none once the Pod terminates.
    expires_at: Option<Timestamp>,
}

/// Why an actor does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// A request that uses the sandbox.
    Use,
    /// A DELETE.
    Delete,
    /// The observed objects, or a limit.
    Other,
}

// === impl Cause ===

impl Cause {
    fn of(event: &Event<Waiter>) -> Self {
        match event {
            Event::Post { .. } | Event::Touch { .. } | Event::Change { .. } | Event::Resize { .. } => {
                Self::Use
            }
            Event::Delete { .. } => Self::Delete,
            _ => Self::Other,
        }
    }

    /// Returns why the actor deletes a sandbox that callers have seen. One that they have not seen has failed to start.
    const fn of_delete(self) -> DeleteReason {
        match self {
            Self::Delete => DeleteReason::Requested,
            Self::Use | Self::Other => DeleteReason::Orphan,
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Returns both clocks.
    pub(crate) fn clocks(&self) -> Clocks {
        Clocks { monotonic: Instant::now().into_std(), wall: self.clock.wall() }
    }
}

// === impl Sandbox ===

impl Actor for Sandbox {
    type Msg = Mail<Envelope>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Mail<Envelope>>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { id, shared, supervisor } = arguments;
        // An earlier actor that failed may have left these set. From here on, only the cluster state counts.
        shared.view.set_unpublished(&id, false);
        shared.view.set_being_deleted(&id, false);
        shared.view.set_expiry(&id, None);
        let sandbox = step::Sandbox::default();
        Ok(State { id, shared, supervisor, sandbox, expiry: None, reaping: None, handled: 0 })
    }

    async fn handle(
        &self,
        myself: ActorRef<Mail<Envelope>>,
        mail: Mail<Envelope>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.handled += 1;
        let Envelope { event, queued, creating: _creating, span } = mail.open();
        drop(queued);
        let event = match event {
            // The caller is gone. It retries if it still wants the sandbox.
            Event::Post { waiter, .. } if waiter.is_closed() => Event::Resync,
            event => event,
        };
        // Created in the span of the request, of which it is a part.
        let exported = span.in_scope(|| exported_span(&state.id, &event, span.is_none()));
        // Boxed, because the task of an actor reserves memory for its largest future, which an idle sandbox does not
        // need.
        Box::pin(state.run(event, &myself).instrument(exported).instrument(span)).await;
        Ok(())
    }
}

/// Returns the span of an event, which is only exported. Changes of the observed objects are too many to be traces of their
/// own.
fn exported_span(id: &SandboxId, event: &Event<Waiter>, is_first: bool) -> Span {
    let name = match event {
        Event::Post { .. } => "create",
        Event::Delete { .. } => "delete",
        Event::Touch { .. } => "touch",
        Event::Change { .. } => "change limits",
        Event::Resize { .. } => "resize",
        Event::Due => "deadline",
        _ => "resync",
    };
    if is_first && !matches!(event, Event::Due) {
        return Span::none();
    }
    tracing::info_span!(target: "spans", "sandbox event", otel.name = name, sandbox.id = id.as_str())
}

// === impl State ===

impl State {
    /// Handles the event, and then the outcome of every call that it leads to.
    async fn run(&mut self, first: Event<Waiter>, myself: &ActorRef<Mail<Envelope>>) {
        let mut cause = Cause::of(&first);
        if matches!(first, Event::Touch { waiter: None, .. }) {
            self.shared.view.touched(&self.id);
        }
        let mut next = Some(first);
        while let Some(event) = next.take() {
            let seen = self.shared.view.snapshot(&self.id);
            for action in self.decide(event, &seen) {
                match action {
                    Action::Answer(waiter, answer) => {
                        if cause == Cause::Use && matches!(answer, Ok(Reply::Made(_))) {
                            self.shared.view.touched(&self.id);
                        }
                        waiter.send(answer);
                    }
                    Action::SetTimer(at) => self.shared.timer.set(self.id.clone(), Instant::from_std(at)),
                    Action::RecordReap(reason) => {
                        let Reaping { since: at, expires_at } =
                            self.reaping.take().unwrap_or_else(|| self.reaping());
                        let reaped = Reaped { reason, at };
                        let late = expires_at.and_then(|time| at.duration_since(time).try_into().ok());
                        self.shared.view.metrics.reaped(reason, late.unwrap_or_default());
                        self.shared.reap_log.note(&self.id, reaped);
                        self.shared.view.reaped(&self.id, reaped);
                        self.shared.view.note_reap(&self.id, reason);
                    }
                    Action::Stop => {
                        let (id, actor) = (self.id.clone(), myself.get_id());
                        self.supervisor.send(Message::Stop { id, actor, handled: self.handled });
                    }
                    Action::Create { pod, service, received, until } => {
                        // The answer that follows is the begin of the sandbox, and not a use.
                        cause = Cause::Other;
                        if pod.is_some() {
                            self.shared.view.creating(&self.id, received);
                        }
                        next = Some(self.create(pod, service, until).await);
                    }
                    Action::Delete { pod, service } => {
                        if pod.is_some() {
                            self.shared.view.deleting(&self.id, cause.of_delete());
                        }
                        next = Some(self.delete(pod, service).await);
                    }
                    Action::Read => next = Some(self.read(&seen).await),
                    Action::Write { uid, annotations } => {
                        let call = self.shared.cluster.write_annotations(self.id.clone(), uid, annotations);
                        let outcome = limited(call, budget::UNATTENDED_WRITE).await;
                        let outcome = outcome.map(|pod| self.shared.view.wrote(&self.id, pod));
                        self.shared.write_log.note(&self.id, &outcome);
                        next = Some(Event::Written(outcome));
                    }
                    Action::Resize { uid, resources, after_start } => {
                        let call = self.shared.cluster.resize(self.id.clone(), uid, resources);
                        let outcome = limited(call, budget::UNATTENDED_WRITE).await;
                        let outcome = outcome.map(|pod| self.shared.view.wrote(&self.id, pod));
                        if after_start {
                            self.shared.resize_log.note(&self.id, &outcome);
                        }
                        next = Some(Event::Resized(outcome));
                    }
                    Action::Probe { url } => {
                        let call = self.shared.cluster.probe_activity(self.id.clone(), url);
                        let busy = timeout(budget::PROBE, call).await;
                        let busy = busy.unwrap_or_else(|_| Busy::Unanswered("no answer in time".to_owned()));
                        next = Some(Event::Probed(busy));
                    }
                    Action::Reap { pod, service, reason } => {
                        next = Some(self.reap(pod, service, reason).await);
                    }
                }
            }
        }
    }

    /// Decides what to do, and updates what the view shows of the decision.
    fn decide(&mut self, event: Event<Waiter>, seen: &Observed) -> Vec<Action<Waiter>> {
        let Shared { view, policy, .. } = &*self.shared;
        let Clocks { monotonic: now, wall } = self.shared.clocks();
        let pull = view.pull_time(&self.id);
        let context = Context { id: &self.id, now, wall, policy, seen, pull, fresh: view.is_fresh() };
        let was_unpublished = self.sandbox.is_unpublished();
        let was_being_deleted = self.sandbox.is_being_deleted();
        let (sandbox, actions) = step::step(mem::take(&mut self.sandbox), event, context);
        self.sandbox = sandbox;
        let is_unpublished = self.sandbox.is_unpublished();
        // In this order no caller sees a sandbox without its expiry.
        if is_unpublished && !was_unpublished {
            view.set_unpublished(&self.id, true);
        }
        let is_being_deleted = self.sandbox.is_being_deleted();
        // Meanwhile the first list of the cluster may have added the row.
        if is_being_deleted || was_being_deleted {
            view.set_being_deleted(&self.id, is_being_deleted);
        }
        let expiry = self.sandbox.expiry(context);
        if expiry != self.expiry {
            self.expiry = expiry;
            view.set_expiry(&self.id, expiry);
        }
        if was_unpublished && !is_unpublished {
            view.set_unpublished(&self.id, false);
        }
        actions
    }

    /// Creates the objects in parallel. The node port is in the Service's answer, so neither write needs the other.
    async fn create(
        &self,
        pod: Option<Manifest>,
        service: Option<Manifest>,
        until: std::time::Instant,
    ) -> Event<Waiter> {
        let Shared { cluster, view, .. } = &*self.shared;
        let patience = Instant::from_std(until).saturating_duration_since(Instant::now());
        let pod = OptionFuture::from(pod.map(async |manifest| {
            let outcome = limited(cluster.create_pod(self.id.clone(), manifest, until), patience).await;
            outcome.map(|pod| pod.map(|pod| view.wrote(&self.id, pod)))
        }));
        let service = OptionFuture::from(service.map(async |manifest| {
            let outcome = limited(cluster.create_service(self.id.clone(), manifest, until), patience).await;
            outcome.map(|service| service.map(|service| view.wrote(&self.id, service)))
        }));
        let (pod, service) = futures::join!(pod, service);
        Event::Created { pod, service }
    }

    /// Deletes the objects in parallel.
    async fn delete(&self, pod: Option<Uid>, service: Option<Uid>) -> Event<Waiter> {
        let only = |uid| Preconditions { uid, version: None };
        let pod = OptionFuture::from(pod.map(|uid| self.delete_pod(only(uid))));
        let service = OptionFuture::from(service.map(|uid| self.delete_service(only(uid))));
        let (pod, service) = futures::join!(pod, service);
        Event::Deleted { pod, service }
    }

    /// Reads the objects, of which the view showed these before.
    async fn read(&self, before: &Observed) -> Event<Waiter> {
        let Shared { cluster, view, .. } = &*self.shared;
        Event::Read(
            match timeout(budget::READ + budget::CALL_GRACE, cluster.read(self.id.clone(), before.into()))
                .await
            {
                Ok(Ok(Lookup { seen, foreign })) => {
                    view.record_lookup(&self.id, before, seen);
                    Ok(foreign)
                }
                Ok(Err(fault)) => Err(fault),
                Err(_) => Err(too_late()),
            },
        )
    }

    /// Returns the reap that is sent now.
    fn reaping(&self) -> Reaping {
        let expires_at = self.expiry.map(|expiry| expiry.expires_at);
        Reaping { since: self.shared.clock.wall(), expires_at }
    }

    /// Deletes the sandbox if the reap limits allow it: first the Pod, and the Service only if the Pod met its
    /// preconditions. A sandbox that has changed since the decision stays complete.
    async fn reap(
        &mut self,
        pod: Preconditions,
        service: Option<Preconditions>,
        reason: ReapReason,
    ) -> Event<Waiter> {
        let Shared { cluster, view, limiter, .. } = &*self.shared;
        let clocks = self.shared.clocks();
        let uid = pod.uid.clone();
        match limiter.ask(view, &self.id, reason, clocks) {
            Admission::Allow => {
                let reaping = *self.reaping.insert(self.reaping());
                view.reap_started(&self.id, Reaped { reason, at: reaping.since });
                let pod = self.delete_pod(pod).await;
                if !matches!(pod, Outcome::Done(())) {
                    view.reap_failed(&self.id);
                }
                let service = match &pod {
                    Outcome::Done(()) => {
                        cluster.record_event(&self.id, &uid, reason, false);
                        OptionFuture::from(service.map(|only| self.delete_service(only))).await
                    }
                    Outcome::Refused(fault) => {
                        limiter.give_back(&self.id, fault, clocks.monotonic);
                        None
                    }
                    Outcome::Unknown(fault) => {
                        tracing::warn!(sandbox_id = %self.id, %fault, "whether it was reaped is not known");
                        None
                    }
                };
                Event::Reaped { pod, service }
            }
            Admission::RetryAt(until) => Event::Deferred(until),
            Admission::DryRun => {
                view.metrics.dry_run();
                cluster.record_event(&self.id, &uid, reason, true);
                Event::DryRun
            }
        }
    }

    async fn delete_pod(&self, only: Preconditions) -> Outcome<()> {
        let Shared { cluster, view, .. } = &*self.shared;
        let uid = only.uid.clone();
        let outcome = limited(cluster.delete_pod(self.id.clone(), only), budget::UNATTENDED_WRITE).await;
        outcome.map(|deletion| view.deleted(&self.id, &uid, deletion))
    }

    async fn delete_service(&self, only: Preconditions) -> Outcome<()> {
        let Shared { cluster, view, .. } = &*self.shared;
        let uid = only.uid.clone();
        let outcome = limited(cluster.delete_service(self.id.clone(), only), budget::UNATTENDED_WRITE).await;
        outcome.map(|deletion| view.deleted(&self.id, &uid, deletion))
    }
}

/// Waits for a write, and a little longer than its own deadline.
async fn limited<T>(call: impl Future<Output = Outcome<T>>, deadline: Duration) -> Outcome<T> {
    let call = timeout(deadline + budget::CALL_GRACE, call);
    call.await.unwrap_or_else(|_| Outcome::Unknown(too_late()))
}

fn too_late() -> ClusterError {
    ClusterError::new(ClusterErrorKind::TimedOut, "the call to the cluster did not end in time")
}
