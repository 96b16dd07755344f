//! What the cluster's people are told: Events about Pods that are reaped, as `kubectl describe pod` shows them.
//!
//! ```text
//!   tell ──▸ bounded queue ──▸ run: one POST at a time
//! ```
//!
//! An Event is a courtesy. It waits for nothing, is tried once, takes one connection at most, and no failure of
//! it is a failure of what it tells of.

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
};
use serde::de::IgnoredAny;
use tokio::sync::{Mutex, mpsc};

use crate::{
    connect::Connection,
    fault::{Verb, classify},
    names,
};

/// How many Events wait for their turn; one more is dropped. At about 10 ms each they are written in some 3 s.
pub const QUEUE_MAX: usize = 256;

/// When the write of one Event must have ended.
const DEADLINE: Duration = Duration::from_secs(5);

/// What stands before the cause in the reason of an Event about what a dry run only would have done.
pub const REHEARSED: &str = "WouldReap";

/// The Events that are still to be written.
pub struct Events {
    connection: Connection,
    queue: mpsc::Sender<Told>,
    /// Read by [`Events::run`] alone, which holds it for as long as it runs.
    waiting: Mutex<mpsc::Receiver<Told>>,
    /// Numbers the Events of this process, for their names.
    told: AtomicU64,
    /// How many found the queue full.
    dropped: AtomicU64,
}

/// One Event, as it was told.
#[derive(Debug, Clone)]
struct Told {
    id: SandboxId,
    pod: Uid,
    cause: ReapReason,
    rehearsed: bool,
    at: Timestamp,
    /// Which of this process' Events it is.
    number: u64,
}

// === impl Events ===

impl Events {
    /// Events in the connection's namespace. Nothing is written until [`Events::run`] runs.
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

    /// Tells why the Pod of this uid is reaped or, `rehearsed`, would be. Never waits: where too many Events
    /// wait already, this one is dropped.
    pub fn tell(&self, id: &SandboxId, pod: &Uid, cause: ReapReason, rehearsed: bool) {
        let at = self.connection.server_time().unwrap_or_else(Timestamp::now);
        let number = self.told.fetch_add(1, Ordering::Relaxed);
        let told = Told { id: id.clone(), pod: pod.clone(), cause, rehearsed, at, number };
        if self.queue.try_send(told).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            // Every doubling: a storm shall not fill the log too.
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "too many Events wait to be written; dropping those that do not fit");
            }
        }
    }

    /// How many Events were dropped because too many waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes what is told, one after the other, for as long as it is polled. It does not end by itself, and a
    /// second one waits for the first to be dropped.
    pub async fn run(&self) -> Infallible {
        let mut waiting = self.waiting.lock().await;
        let mut trouble = None;
        loop {
            // The sender lives as long as this does: there is always a next one.
            let Some(told) = waiting.recv().await else { std::future::pending().await };
            let fault = self.write(&told).await.err();
            // Said once, until an Event is written again or something else is wrong.
            let kind = fault.as_ref().map(|fault| fault.kind);
            if let Some(fault) = fault.filter(|_| kind != trouble) {
                self.warn(&fault);
            }
            trouble = kind;
        }
    }

    async fn write(&self, told: &Told) -> Result<(), ClusterError> {
        let Connection { calls, namespace, .. } = &self.connection;
        let event = event(told, namespace);
        let unbuilt = |why: &str| ClusterError::new(ClusterErrorKind::Invalid, why);
        let body = serde_json::to_vec(&event).map_err(|_| unbuilt("it could not be written as JSON"))?;
        let request = Request::new(Event::url_path(&(), Some(namespace)))
            .create(&PostParams::default(), body)
            .map_err(|error| unbuilt(&error.to_string()))?;
        match calls.request::<IgnoredAny>(request, DEADLINE).await {
            Ok(_) => Ok(()),
            Err(error) => Err(classify(Verb::Create, &error).fault),
        }
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

/// The Event in Kubernetes' older form, which `kubectl describe` asks for and every release takes.
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
            // As Kubernetes' own recorders have it; the number is for two of one moment.
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
