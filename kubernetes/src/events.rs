//! Writes Kubernetes Events for Pods that are reaped, as `kubectl describe pod` shows them.
//!
//! ```text
//!   tell ──▸ bounded queue ──▸ run: one POST at a time
//! ```
//!
//! Events are best effort. `tell` never waits, a write is tried once, and at most one connection is used. A failed
//! write does not affect the reap.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::core::{Request, Resource, params::PostParams};
use lifecycle::{
    error::{ClusterError, ClusterErrorKind},
    ids::SandboxId,
    lifetime::ReapReason,
    observed::Uid,
    traits::Clock as _,
};
use serde::de::IgnoredAny;
use tokio::sync::{Mutex, mpsc};

use crate::{
    connect::Connection,
    fault::{Verb, classify},
    names,
};

/// The maximum number of queued Events. Further ones are dropped. At about 10 ms each, a full queue is written in about
/// 3 s.
pub const QUEUE_MAX: usize = 256;

/// The deadline for the write of one Event.
const DEADLINE: Duration = Duration::from_secs(5);

/// The prefix of the Event's reason in a dry run.
pub const REHEARSED: &str = "WouldReap";

/// The queue of Events to write.
pub struct Events {
    connection: Connection,
    queue: mpsc::Sender<Told>,
    /// The receiver. [`Events::run`] holds the lock while it runs.
    waiting: Mutex<mpsc::Receiver<Told>>,
    /// The number of Events queued by this process. It makes their names unique.
    told: AtomicU64,
    /// The number of Events dropped because the queue was full.
    dropped: AtomicU64,
}

/// One queued Event.
#[derive(Debug, Clone)]
struct Told {
    id: SandboxId,
    pod: Uid,
    cause: ReapReason,
    rehearsed: bool,
    at: Timestamp,
    /// The number of this Event in this process.
    number: u64,
}

// === impl Events ===

impl Events {
    /// Creates the queue for the connection's namespace. Nothing is written until [`Events::run`] runs.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        Self {
            connection,
            queue,
            waiting: Mutex::new(waiting),
            told: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Queues an Event that says why the Pod with this uid is reaped or, if `rehearsed`, would be reaped. Never waits:
    /// if the queue is full, the Event is dropped.
    pub fn tell(&self, id: &SandboxId, pod: &Uid, cause: ReapReason, rehearsed: bool) {
        let at = self.connection.wall();
        let number = self.told.fetch_add(1, Ordering::Relaxed);
        let told = Told { id: id.clone(), pod: pod.clone(), cause, rehearsed, at, number };
        if self.queue.try_send(told).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            // Log only at powers of two, so that a burst does not fill the log.
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "too many Events wait to be written; dropping those that do not fit");
            }
        }
    }

    /// Returns the number of Events dropped because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes the queued Events one after the other. Never returns. A second call waits until the first is dropped.
    pub async fn run(&self) -> Infallible {
        let mut waiting = self.waiting.lock().await;
        let mut trouble = None;
        loop {
            // `self` owns a sender, so the queue is never closed.
            let Some(told) = waiting.recv().await else { std::future::pending().await };
            let fault = self.write(&told).await.err();
            // Log an error once, until a write succeeds or the kind of the error changes.
            let kind = fault.as_ref().map(|fault| fault.kind);
            if let Some(fault) = fault.filter(|_| kind != trouble) {
                self.warn(&fault);
            }
            trouble = kind;
        }
    }

    async fn write(&self, told: &Told) -> Result<(), ClusterError> {
        let namespace = self.connection.namespace();
        let event = event(told, namespace);
        let unbuilt = |why: &str| ClusterError::new(ClusterErrorKind::Invalid, why);
        let body = serde_json::to_vec(&event).map_err(|_| unbuilt("it could not be written as JSON"))?;
        let request = Request::new(Event::url_path(&(), Some(namespace)))
            .create(&PostParams::default(), body)
            .map_err(|error| unbuilt(&error.to_string()))?;
        let call = async { self.connection.calls()?.request::<IgnoredAny>(request, DEADLINE).await };
        call.await.map(drop).map_err(|error| classify(Verb::Create, &error).fault)
    }

    fn warn(&self, fault: &ClusterError) {
        let namespace = self.connection.namespace();
        if fault.kind == ClusterErrorKind::Forbidden {
            tracing::warn!(
                namespace, %fault,
                "not allowed to create events: nobody sees with kubectl why a sandbox is reaped; give the role \
                 the right \"create\" on \"events\", as config/rbac.yaml does"
            );
        } else {
            tracing::warn!(namespace, %fault, "an Event could not be written; it is dropped");
        }
    }
}

/// Builds the Event in the core/v1 form, which `kubectl describe` reads and every version of Kubernetes accepts.
fn event(told: &Told, namespace: &str) -> Event {
    let Told { id, pod: Uid(uid), cause, rehearsed, at, number } = told;
    let pod = names::pod(id);
    let (reason, message) = if *rehearsed {
        let message = format!("dry run, nothing is done: {}", cause.description());
        (format!("{REHEARSED}{}", cause.name()), message)
    } else {
        (cause.name().to_owned(), cause.description().to_owned())
    };
    Event {
        metadata: ObjectMeta {
            // The name follows Kubernetes' own recorders. The number distinguishes two Events of the same time.
            name: Some(format!("{pod}.{:x}.{number:x}", at.as_nanosecond())),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(pod),
            namespace: Some(namespace.to_owned()),
            uid: Some(uid.to_string()),
            ..ObjectReference::default()
        },
        reason: Some(reason),
        message: Some(message),
        type_: Some("Normal".to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(*at)),
        last_timestamp: Some(Time(*at)),
        source: Some(EventSource { component: Some(names::MANAGED_BY_VALUE.to_owned()), host: None }),
        reporting_component: Some(names::MANAGED_BY_VALUE.to_owned()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests;
