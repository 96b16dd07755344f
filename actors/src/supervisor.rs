//! The supervisor: spawns one actor per sandbox, delivers its events, and restarts it after a panic.
//!
//! Its handlers never wait for anything slow and never fail: if it ended, all its children would be killed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use lifecycle::{ids::SandboxId, step::Event};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::Instant;

use crate::{
    mailbox::{Mail, Mailbox},
    messages::{Envelope, Message},
    sandbox::{self, Sandbox, Shared},
};

/// The delay before a failed actor is restarted without a request. It doubles with each failure.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest such delay.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The time without a failure after which the failure count is reset.
const FORGIVEN_AFTER: Duration = Duration::from_secs(120);

/// The actor's behaviour. All state is in [`State`].
pub(crate) struct Supervisor;

/// The state of the supervisor.
pub(crate) struct State {
    shared: Arc<Shared>,
    children: HashMap<SandboxId, Child>,
    /// The sandbox of each actor. A termination event contains only the actor's own id.
    names: HashMap<ActorId, SandboxId>,
    failures: HashMap<SandboxId, Failures>,
}

struct Child {
    mailbox: Mailbox<Envelope>,
    /// The number of events sent to the actor.
    sent: u64,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

// === impl Supervisor ===

impl Actor for Supervisor {
    type Msg = Mail<Message>;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        _myself: ActorRef<Mail<Message>>,
        shared: Arc<Shared>,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { shared, children: HashMap::new(), names: HashMap::new(), failures: HashMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Mail<Message>>,
        mail: Mail<Message>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let myself = state.mailbox_of(myself);
        match mail.open() {
            Message::Deliver(id, envelope) => state.send_or_spawn(&myself, id, envelope).await,
            Message::Changed(id) => state.send_or_spawn(&myself, id, Event::Resync.into()).await,
            Message::Revive(id) => {
                if !state.shared.view.contains(&id) {
                    state.failures.remove(&id);
                } else if !state.children.contains_key(&id) {
                    state.send_or_spawn(&myself, id, Event::Resync.into()).await;
                }
            }
            Message::Due(id) => state.send(&id, Event::Due.into()),
            Message::Resumed => {
                // A fixed order, so that simulations are reproducible.
                let ids: BTreeSet<_> = state.children.keys().cloned().collect();
                for id in ids {
                    state.send(&id, Event::Resumed.into());
                }
            }
            Message::Stop { id, actor, handled } => state.stop(&id, actor, handled),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Mail<Message>>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
            SupervisionEvent::ActorTerminated(cell, _, _) => {
                state.shared.view.metrics.actors.dec();
                state.forget(cell.get_id());
            }
            SupervisionEvent::ActorFailed(cell, error) => {
                state.shared.view.metrics.actors.dec();
                state.shared.view.metrics.actor_restarts.inc();
                let Some(id) = state.names.get(&cell.get_id()).cloned() else { return Ok(()) };
                state.forget(cell.get_id());
                let wait = state.note_failure(&id);
                tracing::error!(sandbox_id = %id, %error, wait_ms = wait.as_millis(),
                    "sandbox actor failed; restarting it from cluster state");
                state.mailbox_of(myself).send_after(wait, Message::Revive(id));
            }
        }
        Ok(())
    }
}

// === impl State ===

impl State {
    fn mailbox_of(&self, myself: ActorRef<Mail<Message>>) -> Mailbox<Message> {
        Mailbox::new(myself, &self.shared.view.metrics.mailboxes.supervisor)
    }

    /// Delivers the event to the sandbox's actor, which is spawned if there is none.
    async fn send_or_spawn(&mut self, myself: &Mailbox<Message>, id: SandboxId, envelope: Envelope) {
        if !self.children.contains_key(&id) {
            let arguments = sandbox::Arguments {
                id: id.clone(),
                shared: self.shared.clone(),
                supervisor: myself.clone(),
            };
            match Actor::spawn_linked(None, Sandbox, arguments, myself.actor.get_cell()).await {
                Ok((actor, _)) => {
                    let metrics = &self.shared.view.metrics;
                    metrics.actors.inc();
                    self.names.insert(actor.get_id(), id.clone());
                    let mailbox = Mailbox::new(actor, &metrics.mailboxes.sandboxes);
                    self.children.insert(id.clone(), Child { mailbox, sent: 0 });
                }
                Err(error) => {
                    tracing::error!(sandbox_id = %id, %error, "sandbox actor could not be started");
                    envelope.refuse(id);
                    return;
                }
            }
        }
        self.send(&id, envelope);
    }

    fn send(&mut self, id: &SandboxId, envelope: Envelope) {
        if let Some(child) = self.children.get_mut(id) {
            child.send(envelope);
        }
    }

    /// Stops an actor that has no objects left, unless it was sent further events since. Only the supervisor sends to
    /// it, so no event is lost and no second actor of the same sandbox runs at the same time.
    fn stop(&mut self, id: &SandboxId, actor: ActorId, handled: u64) {
        let done =
            self.children.get(id).is_some_and(|c| c.mailbox.actor.get_id() == actor && c.sent == handled);
        if !done {
            return;
        }
        if let Some(child) = self.children.remove(id) {
            self.names.remove(&actor);
            self.failures.remove(id);
            self.shared.timer.forget(id.clone());
            let _ = child.mailbox.actor.drain();
        }
    }

    /// Removes an actor that has ended, but not a later actor of the same sandbox.
    fn forget(&mut self, actor: ActorId) {
        if let Some(id) = self.names.remove(&actor)
            && self.children.get(&id).is_some_and(|child| child.mailbox.actor.get_id() == actor)
        {
            self.children.remove(&id);
        }
    }

    /// Counts a failure. Returns the delay before the restart.
    fn note_failure(&mut self, id: &SandboxId) -> Duration {
        let now = Instant::now();
        let failures = self.failures.entry(id.clone()).or_insert(Failures { count: 0, last: now });
        if now.saturating_duration_since(failures.last) > FORGIVEN_AFTER {
            failures.count = 0;
        }
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failures.count)).min(LONGEST_WAIT);
        *failures = Failures { count: failures.count.saturating_add(1), last: now };
        wait
    }
}

// === impl Child ===

impl Child {
    fn send(&mut self, envelope: Envelope) {
        self.sent += 1;
        // The send fails only if the actor failed just before, and its termination event is on the way. The reply port
        // is dropped with the envelope, so the caller gets a retryable error.
        self.mailbox.send(envelope);
    }
}
