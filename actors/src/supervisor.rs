//! The supervisor: spawns one actor per sandbox, passes on what concerns it, and brings it back after a panic.
//!
//! Its handlers await nothing slow and never fail: if it ended, all its children would be killed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use lifecycle::{
    failure::Failure,
    ids::SandboxId,
    lifetime::{Owner, TermsChange},
    request::CreateRequest,
};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::Instant;

use crate::{
    admission::{Pass, Seat},
    sandbox::{self, Sandbox, Shared, Waiter},
};

/// The first wait before a failed sandbox's actor is brought back without anybody asking; doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// After this long without a failure, the next one counts as the first.
const FORGIVEN_AFTER: Duration = Duration::from_secs(120);

/// What is said to the supervisor.
pub(crate) enum Message {
    /// Somebody wants a sandbox.
    Post { request: Arc<CreateRequest>, waiter: Waiter, pass: Option<Pass>, span: tracing::Span },
    /// Somebody wants a sandbox gone.
    Delete { id: SandboxId, waiter: Waiter, owner: Option<Owner>, span: tracing::Span },
    /// Somebody uses a sandbox.
    Touch { id: SandboxId, waiter: Waiter, owner: Option<Owner> },
    /// Somebody looked at a sandbox, which counts as use.
    Sign { id: SandboxId, seat: Seat },
    /// Somebody wants a sandbox's limits changed.
    Change { id: SandboxId, change: TermsChange, waiter: Waiter, owner: Option<Owner>, span: tracing::Span },
    /// The view tells something new of a sandbox.
    Changed(SandboxId),
    /// A sandbox's time has come.
    Due(SandboxId),
    /// The reaper goes on after a stop: whoever waits for it asks anew.
    Released,
    /// A failed sandbox's actor is to come back.
    Revive(SandboxId),
    /// An actor has nothing left to look after, as of its `taken`th message.
    Retire { id: SandboxId, actor: ActorId, taken: u64 },
}

/// The behaviour; all state is in [`State`].
pub(crate) struct Supervisor;

/// What the supervisor keeps.
pub(crate) struct State {
    shared: Arc<Shared>,
    children: HashMap<SandboxId, Child>,
    /// Whose actor it was: an obituary only carries the actor's own id.
    names: HashMap<ActorId, SandboxId>,
    failures: HashMap<SandboxId, Failures>,
}

struct Child {
    actor: ActorRef<sandbox::Message>,
    /// How many messages it was sent.
    sent: u64,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

// === impl Supervisor ===

impl Actor for Supervisor {
    type Msg = Message;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        shared: Arc<Shared>,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { shared, children: HashMap::new(), names: HashMap::new(), failures: HashMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Post { request, waiter, pass, span } => {
                let id = request.sandbox_id.clone();
                let message = sandbox::Message::Post { request, waiter, pass, span };
                state.send_or_spawn(&myself, id, message).await;
            }
            Message::Delete { id, waiter, owner, span } => {
                state.send_or_spawn(&myself, id, sandbox::Message::Delete { waiter, owner, span }).await;
            }
            Message::Touch { id, waiter, owner } => {
                state.send_or_spawn(&myself, id, sandbox::Message::Touch { waiter, owner }).await;
            }
            Message::Sign { id, seat } => {
                state.send_or_spawn(&myself, id, sandbox::Message::Sign { seat }).await;
            }
            Message::Change { id, change, waiter, owner, span } => {
                let message = sandbox::Message::Change { change, waiter, owner, span };
                state.send_or_spawn(&myself, id, message).await;
            }
            Message::Changed(id) => state.send_or_spawn(&myself, id, sandbox::Message::Look).await,
            Message::Revive(id) => {
                if !state.children.contains_key(&id) && state.shared.view.contains(&id) {
                    state.send_or_spawn(&myself, id, sandbox::Message::Look).await;
                }
            }
            Message::Due(id) => state.send(&id, sandbox::Message::Due),
            Message::Released => {
                // In an order that is the same each time.
                let ids: BTreeSet<_> = state.children.keys().cloned().collect();
                for id in ids {
                    state.send(&id, sandbox::Message::Released);
                }
            }
            Message::Retire { id, actor, taken } => state.retire(&id, actor, taken),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
            SupervisionEvent::ActorTerminated(cell, _, _) => state.forget(cell.get_id()),
            SupervisionEvent::ActorFailed(cell, error) => {
                let Some(id) = state.names.get(&cell.get_id()).cloned() else { return Ok(()) };
                state.forget(cell.get_id());
                let wait = state.note_failure(&id);
                tracing::error!(sandbox_id = %id, %error, wait_ms = wait.as_millis(),
                    "a sandbox's actor failed; it comes back from what the cluster says");
                myself.send_after(wait, move || Message::Revive(id));
            }
        }
        Ok(())
    }
}

// === impl State ===

impl State {
    /// Passes the message on to the sandbox's actor, which is spawned if there is none.
    async fn send_or_spawn(&mut self, myself: &ActorRef<Message>, id: SandboxId, message: sandbox::Message) {
        if !self.children.contains_key(&id) {
            let arguments = sandbox::Arguments {
                id: id.clone(),
                shared: self.shared.clone(),
                supervisor: myself.clone(),
            };
            match Actor::spawn_linked(None, Sandbox, arguments, myself.get_cell()).await {
                Ok((actor, _)) => {
                    self.names.insert(actor.get_id(), id.clone());
                    self.children.insert(id.clone(), Child { actor, sent: 0 });
                }
                Err(error) => {
                    tracing::error!(sandbox_id = %id, %error, "a sandbox's actor could not be started");
                    refuse(id, message);
                    return;
                }
            }
        }
        self.send(&id, message);
    }

    fn send(&mut self, id: &SandboxId, message: sandbox::Message) {
        if let Some(child) = self.children.get_mut(id) {
            child.send(message);
        }
    }

    /// Lets an actor go that has nothing left to do, unless it was sent more meanwhile. Nothing else sends to
    /// it, so no message is lost and no second actor of the same sandbox is ever at work beside it.
    fn retire(&mut self, id: &SandboxId, actor: ActorId, taken: u64) {
        let done = self.children.get(id).is_some_and(|c| c.actor.get_id() == actor && c.sent == taken);
        if !done {
            return;
        }
        if let Some(child) = self.children.remove(id) {
            self.names.remove(&actor);
            self.failures.remove(id);
            self.shared.sleeper.forget(id.clone());
            let _ = child.actor.drain();
        }
    }

    /// Forgets an actor that has ended, but not a later one of the same sandbox.
    fn forget(&mut self, actor: ActorId) {
        if let Some(id) = self.names.remove(&actor)
            && self.children.get(&id).is_some_and(|child| child.actor.get_id() == actor)
        {
            self.children.remove(&id);
        }
    }

    /// Counts a failure; says how long to wait before the actor comes back by itself.
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
    fn send(&mut self, message: sandbox::Message) {
        self.sent += 1;
        // It can only have failed a moment ago, its obituary on the way here: the port is dropped with the
        // message, and whoever waits is told to ask again.
        let _ = self.actor.cast(message);
    }
}

fn refuse(id: SandboxId, message: sandbox::Message) {
    match message {
        sandbox::Message::Post { waiter, .. }
        | sandbox::Message::Delete { waiter, .. }
        | sandbox::Message::Change { waiter, .. }
        | sandbox::Message::Touch { waiter, .. } => waiter.send(Err(Failure::Restarting { id })),
        sandbox::Message::Sign { .. }
        | sandbox::Message::Look
        | sandbox::Message::Due
        | sandbox::Message::Released => {}
    }
}
