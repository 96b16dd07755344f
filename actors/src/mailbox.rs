//! Mailboxes that count their messages. Those of ractor are unbounded and do not tell their length.

use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use ractor::{ActorRef, MessagingErr, RpcReplyPort, rpc::CallResult};

/// The sender of an actor's messages. Clones send to the same actor.
pub(crate) struct Mailbox<M: Send + 'static> {
    pub(crate) actor: ActorRef<Mail<M>>,
    depth: Gauge,
}

/// A message in a mailbox. It counts until the actor takes it, or until it is dropped with its actor.
pub(crate) struct Mail<M> {
    message: M,
    _counted: Counted,
}

struct Counted(Gauge);

// === impl Mailbox ===

impl<M: Send + 'static> Mailbox<M> {
    /// Creates the sender of an actor's messages. Actors may share the gauge.
    pub(crate) fn new(actor: ActorRef<Mail<M>>, depth: &Gauge) -> Self {
        Self { actor, depth: depth.clone() }
    }

    /// Sends a message, which is dropped if the actor has ended.
    pub(crate) fn send(&self, message: M) {
        let _ = self.actor.cast(self.mail(message));
    }

    /// Sends a message later. It does not count before that.
    pub(crate) fn send_after(&self, wait: Duration, message: M) {
        let mailbox = self.clone();
        self.actor.send_after(wait, move || mailbox.mail(message));
    }

    /// Sends a message with a reply port, and waits for the reply.
    ///
    /// # Errors
    /// If the actor has ended.
    pub(crate) async fn call<R: Send + 'static>(
        &self,
        message: impl FnOnce(RpcReplyPort<R>) -> M,
    ) -> Result<CallResult<R>, MessagingErr<Mail<M>>> {
        self.actor.call(|port| self.mail(message(port)), None).await
    }

    fn mail(&self, message: M) -> Mail<M> {
        self.depth.inc();
        Mail { message, _counted: Counted(self.depth.clone()) }
    }
}

impl<M: Send + 'static> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), depth: self.depth.clone() }
    }
}

// === impl Mail ===

impl<M> Mail<M> {
    /// Takes the message, which counts no longer.
    pub(crate) fn open(self) -> M {
        self.message
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
