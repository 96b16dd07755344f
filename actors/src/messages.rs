//! The messages of the supervisor and of the sandboxes' actors.

use lifecycle::{
    error::SandboxError,
    ids::SandboxId,
    step::{Event, Reply},
};
use ractor::{ActorId, RpcReplyPort};

use crate::admission::{CreatePermit, Permit};

/// A message to the supervisor.
#[expect(clippy::large_enum_variant, reason = "ractor boxes every message")]
pub(crate) enum Message {
    /// Delivers an event to a sandbox's actor, which is spawned if there is none.
    Deliver(SandboxId, Envelope),
    /// The observed objects of this sandbox have changed.
    Changed(SandboxId),
    /// The deadline of this sandbox is reached.
    Due(SandboxId),
    /// Reaping was resumed after a stop, so every held sandbox asks the reap limits again.
    Resumed,
    /// Restarts the actor of this sandbox after a failure.
    Revive(SandboxId),
    /// An actor has no objects left, as of its `handled`th event.
    Stop { id: SandboxId, actor: ActorId, handled: u64 },
}

/// An event in the mailbox of a sandbox's actor.
pub(crate) struct Envelope {
    pub(crate) event: Event<Waiter>,
    /// The permit that bounds the mailbox. It is released when the actor takes the event.
    pub(crate) queued: Option<Permit>,
    /// The permit that bounds concurrent creates. It is held until everything that the event leads to is done, but
    /// not while the sandbox waits for an old Pod to terminate.
    pub(crate) creating: Option<CreatePermit>,
    /// The tracing span of the request.
    pub(crate) span: tracing::Span,
}

/// The reply port of a request, and the permit that it holds until it is answered.
pub(crate) struct Waiter {
    port: RpcReplyPort<Result<Reply, SandboxError>>,
    _permit: Permit,
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
        if let Some(waiter) = self.event.into_waiter() {
            waiter.send(Err(SandboxError::Restarting { id }));
        }
    }
}

impl From<Event<Waiter>> for Envelope {
    /// Wraps an event that does not belong to a request.
    fn from(event: Event<Waiter>) -> Self {
        Self { event, queued: None, creating: None, span: tracing::Span::none() }
    }
}

// === impl Waiter ===

impl Waiter {
    pub(crate) fn new(port: RpcReplyPort<Result<Reply, SandboxError>>, permit: Permit) -> Self {
        Self { port, _permit: permit }
    }

    /// Sends the answer, unless the caller is gone.
    pub(crate) fn send(self, answer: Result<Reply, SandboxError>) {
        let _ = self.port.send(answer);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.port.is_closed()
    }
}
