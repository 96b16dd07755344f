//! Writes Kubernetes Events for Pods that are reaped and claims that are deleted, as `kubectl describe` shows them.
//!
//! ```text
//!   record ──▸ bounded queue ──▸ run: kube_runtime's Recorder, one call at a time
//! ```
//!
//! Events are best effort. `record` never waits, a write is tried once, and at most one connection is used. A failed
//! write does not affect the reap.
//!
//! The recorder counts an Event that is repeated within minutes with a PATCH of the first one. A Pod is reaped once, and
//! a dry run repeats its report after an hour, so the right to create Events is enough.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Client, client::Body};
use kube_runtime::events::{Event, EventType, Recorder, Reporter};
use lifecycle::{
    error::{ClusterError, ClusterErrorKind},
    ids::SandboxId,
    lifetime::ReapReason,
    observed::Uid,
    workspace::{WorkspaceId, retention::DeleteReason},
};
use tokio::sync::{Mutex, mpsc};
use tower::service_fn;

use crate::{
    connect::Connection,
    fault::{CallError, Verb, classify},
    names,
};

/// The maximum number of queued Events. Further ones are dropped. At about 10 ms each, a full queue is written in about
/// 3 s.
const QUEUE_MAX: usize = 256;

/// The deadline for the write of one Event.
const DEADLINE: Duration = Duration::from_secs(5);

/// The queue of Events to write.
pub struct Events {
    connection: Connection,
    queue: mpsc::Sender<(Event, ObjectReference)>,
    /// [`Events::run`] holds the lock while it runs.
    receiver: Mutex<mpsc::Receiver<(Event, ObjectReference)>>,
    /// The number of Events dropped because the queue was full.
    dropped: AtomicU64,
}

// === impl Events ===

impl Events {
    /// Creates the queue for the connection's namespace. Nothing is written until [`Events::run`] runs.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE_MAX);
        Self { connection, queue, receiver: Mutex::new(receiver), dropped: AtomicU64::new(0) }
    }

    /// Queues an Event that says why the Pod with this uid is reaped or, in a dry run, would be reaped. Never waits: if
    /// the queue is full, the Event is dropped.
    pub fn record(&self, id: &SandboxId, pod: &Uid, reason: ReapReason, dry_run: bool) {
        let event = event(reason.name(), reason.description(), dry_run);
        self.enqueue(event, "Pod", names::pod(id), pod);
    }

    /// Queues an Event that says why the claim with this uid is deleted or, in a dry run, would be deleted.
    pub fn record_claim(&self, id: &WorkspaceId, claim: &Uid, reason: DeleteReason, dry_run: bool) {
        let event = event(reason.name(), reason.description(), dry_run);
        self.enqueue(event, "PersistentVolumeClaim", names::claim(id), claim);
    }

    fn enqueue(&self, event: Event, kind: &str, name: String, Uid(uid): &Uid) {
        let object = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some(kind.to_owned()),
            name: Some(name),
            namespace: Some(self.connection.namespace().to_owned()),
            uid: Some(uid.to_string()),
            ..ObjectReference::default()
        };
        if self.queue.try_send((event, object)).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            // Log only at powers of two, so that a burst does not fill the log.
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "too many Events wait to be written; dropping those that do not fit");
            }
        }
    }

    /// Writes the queued Events. Never returns. Must run once: a second call waits until the first is dropped.
    pub async fn run(&self) -> Infallible {
        let mut receiver = self.receiver.lock().await;
        let reporter = Reporter { controller: names::MANAGED_BY_VALUE.to_owned(), instance: None };
        let recorder = Recorder::new(client(&self.connection), reporter);
        let mut failing = None;
        loop {
            // `self` owns a sender, so the queue is never closed.
            let Some((event, pod)) = receiver.recv().await else { std::future::pending().await };
            let result = recorder.publish(&event, &pod).await;
            let error = result.err().map(|error| classify(Verb::Create, &error.into()).fault);
            // Log an error once, until a write succeeds or the kind of the error changes.
            let kind = error.as_ref().map(|error| error.kind);
            if let Some(error) = error.filter(|_| kind != failing) {
                self.warn(&error);
            }
            failing = kind;
        }
    }

    fn warn(&self, fault: &ClusterError) {
        let namespace = self.connection.namespace();
        if fault.kind == ClusterErrorKind::Forbidden {
            tracing::warn!(
                namespace, %fault,
                "not allowed to write Events: kubectl does not show why a sandbox is reaped; give the role the right \
                 \"create\" on \"events\" of events.k8s.io, as config/rbac.yaml does"
            );
        } else {
            tracing::warn!(namespace, %fault, "an Event could not be written; it is dropped");
        }
    }
}

fn event(reason: &str, description: &str, dry_run: bool) -> Event {
    let (reason, note) = if dry_run {
        (format!("WouldReap{reason}"), format!("dry run, nothing is done: {description}"))
    } else {
        (reason.to_owned(), description.to_owned())
    };
    Event { type_: EventType::Normal, reason, note: Some(note), action: "Reap".to_owned(), secondary: None }
}

/// Makes the client of the recorder: our own calls, with their deadline and bounds.
///
/// The recorder does not use the answers. They are not passed on, because `kube` logs one that it cannot parse.
fn client(connection: &Connection) -> Client {
    let (namespace, connection) = (connection.namespace().to_owned(), connection.clone());
    let service = service_fn(move |request: Request<Body>| {
        let calls = connection.calls();
        async move {
            calls?.read(request, DEADLINE).await?;
            Ok::<_, CallError>(Response::new(Full::new(Bytes::from_static(b"{}"))))
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests;
