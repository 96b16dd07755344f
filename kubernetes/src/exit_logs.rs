//! Reads the last lines of the logs of containers that have ended, for the reasons of their sandboxes.
//!
//! ```text
//!   watch on Pods ──▸ Tap ──▸ the view
//!                      └──▸ bounded queue ──▸ run: GET …/log, one call at a time ──▸ the view
//! ```
//!
//! It is optional and best effort. Each end of a container is asked for once, a call is tried once, and at most one call a
//! second is made, so a crash loop costs the API server little (invariant 10). An end that does not fit into the queue has no
//! lines.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use kube::{
    api::LogParams,
    core::{Request, Resource as _},
};
use lifecycle::{
    error::{ClusterError, ClusterErrorKind},
    exit::{Exit, ExitLog},
    ids::SandboxId,
    observed::{ObservedPod, ObservedService, Uid},
    pod_event::PodEvent,
    traits::{Kind, WatchEvent, WatchSink},
};
use parking_lot::Mutex;
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    time::sleep,
};

use crate::{
    connect::Connection,
    fault::{CallError, Verb, classify},
    names,
    types::Pod,
};

/// The most ends that wait for their log.
const QUEUE_MAX: usize = 64;

/// The wait after each call.
const PAUSE: Duration = Duration::from_secs(1);

/// The wait after a call that has failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);

/// The wait after a refusal for lack of a right.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(300);

/// The deadline of a call.
const DEADLINE: Duration = Duration::from_secs(5);

/// The most bytes of a log that are read.
const BYTES_MAX: usize = 16 << 10;

/// The ends of containers whose logs are to be read.
pub struct ExitLogs {
    connection: Connection,
    /// The number of lines of each log. With zero, none is read.
    lines: u16,
    queue: mpsc::Sender<Job>,
    /// [`ExitLogs::run`] holds the lock while it runs.
    receiver: AsyncMutex<mpsc::Receiver<Job>>,
    /// The last end of each sandbox that was queued.
    queued: Mutex<HashMap<SandboxId, (Uid, Exit)>>,
    /// Why the last call has failed.
    failure: Mutex<Option<String>>,
}

/// An end of a container whose log is to be read.
struct Job {
    id: SandboxId,
    pod: Uid,
    exit: Exit,
}

/// A sink that also queues the ends that it sees.
struct Tap {
    logs: Arc<ExitLogs>,
    sink: Arc<dyn WatchSink>,
}

// === impl ExitLogs ===

impl ExitLogs {
    /// Creates the queue. With zero lines nothing is ever read.
    pub fn new(connection: Connection, lines: u16) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE_MAX);
        Self {
            connection,
            lines,
            queue,
            receiver: AsyncMutex::new(receiver),
            queued: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// Returns whether logs are to be read.
    pub const fn is_on(&self) -> bool {
        self.lines > 0
    }

    /// Returns why the last log could not be read.
    pub fn why_not(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    /// Returns a sink that also queues the ends of containers, if logs are to be read.
    pub fn tap(self: &Arc<Self>, sink: Arc<dyn WatchSink>) -> Arc<dyn WatchSink> {
        if self.is_on() { Arc::new(Tap { logs: self.clone(), sink }) } else { sink }
    }

    /// Queues the end of a container that the Pod's reason is about, unless it was queued before. Never waits.
    fn see(&self, id: &SandboxId, pod: &ObservedPod) {
        let Some(exit) = pod.reason.as_ref().and_then(|reason| reason.exit.as_deref()) else { return };
        let mut queued = self.queued.lock();
        let is_known = queued.get(id).is_some_and(|(uid, known)| *uid == pod.uid && known.is_same(exit));
        if is_known || pod.terminating {
            return;
        }
        queued.insert(id.clone(), (pod.uid.clone(), exit.clone()));
        drop(queued);
        let _ = self.queue.try_send(Job { id: id.clone(), pod: pod.uid.clone(), exit: exit.clone() });
    }

    /// Reads the logs of the queued ends, and passes them to the sink. Never returns. Must run once: a second call waits
    /// until the first is dropped.
    pub async fn run(&self, sink: Arc<dyn WatchSink>) -> Infallible {
        let mut receiver = self.receiver.lock().await;
        loop {
            // `self` owns a sender, so the queue is never closed.
            let Some(Job { id, pod, exit }) = receiver.recv().await else { std::future::pending().await };
            let pause = match self.read(&id, &exit).await {
                Ok(text) => {
                    *self.failure.lock() = None;
                    if let Some(log) = ExitLog::new(exit, &text, self.lines.into()) {
                        sink.exit_log(&id, &pod, log);
                    }
                    PAUSE
                }
                // The Pod is gone, or the container runs again and its kubelet has dropped the log.
                Err(fault)
                    if matches!(
                        fault.kind,
                        ClusterErrorKind::NotFound
                            | ClusterErrorKind::Invalid
                            | ClusterErrorKind::ContainerWaiting
                            | ClusterErrorKind::NoPreviousContainer
                    ) =>
                {
                    PAUSE
                }
                Err(fault) => self.failed(&fault),
            };
            sleep(pause).await;
            // By then the queued ends are old.
            while pause == FORBIDDEN_PAUSE && receiver.try_recv().is_ok() {}
        }
    }

    /// Logs a failure that is news. Returns the wait after it.
    fn failed(&self, fault: &ClusterError) -> Duration {
        let why = Some(fault.to_string());
        let before = std::mem::replace(&mut *self.failure.lock(), why.clone());
        let is_forbidden = fault.kind == ClusterErrorKind::Forbidden;
        if is_forbidden && before != why {
            tracing::warn!(
                %fault,
                "not allowed to read logs of containers: reasons have no lines of them; give the role the right \"get\" \
                 on \"pods/log\", as a comment in config/rbac.yaml shows"
            );
        } else if before != why {
            tracing::info!(%fault, "the log of a container that has ended could not be read");
        }
        if is_forbidden { FORBIDDEN_PAUSE } else { FAILURE_PAUSE }
    }

    /// Reads the end of the log.
    async fn read(&self, id: &SandboxId, exit: &Exit) -> Result<String, ClusterError> {
        let fault = |error: CallError| classify(Verb::Get, &error).fault;
        let params = LogParams {
            container: Some(exit.container.to_string()),
            previous: exit.is_previous,
            tail_lines: Some(self.lines.into()),
            limit_bytes: i64::try_from(BYTES_MAX).ok(),
            ..LogParams::default()
        };
        let path = Pod::url_path(&(), Some(self.connection.namespace()));
        let request = Request::new(path).logs(&names::pod(id), &params);
        let request = request.map_err(|_| fault(CallError::Unreadable))?;
        let calls = self.connection.calls().map_err(fault)?;
        calls.text(request.map(Into::into), BYTES_MAX, DEADLINE).await.map_err(fault)
    }
}

// === impl Tap ===

impl WatchSink for Tap {
    fn relist_started(&self, kind: Kind) {
        self.sink.relist_started(kind);
    }

    fn pods(&self, event: WatchEvent<ObservedPod>) {
        match &event {
            WatchEvent::Applied(id, pod) => self.logs.see(id, pod),
            WatchEvent::Deleted(id, ..) => {
                self.logs.queued.lock().remove(id);
            }
            WatchEvent::Listed { objects, .. } => {
                let mut before = std::mem::take(&mut *self.logs.queued.lock());
                let known = objects.iter().filter_map(|(id, _)| before.remove_entry(id)).collect();
                *self.logs.queued.lock() = known;
                for (id, pod) in objects {
                    self.logs.see(id, pod);
                }
            }
        }
        self.sink.pods(event);
    }

    fn services(&self, event: WatchEvent<ObservedService>) {
        self.sink.services(event);
    }

    fn pod_event(&self, id: &SandboxId, pod: &Uid, event: PodEvent) {
        self.sink.pod_event(id, pod, event);
    }

    fn exit_log(&self, id: &SandboxId, pod: &Uid, log: ExitLog) {
        self.sink.exit_log(id, pod, log);
    }

    fn synced(&self, kind: Kind) {
        self.sink.synced(kind);
    }

    fn failing(&self, kind: Kind, why: &str) {
        self.sink.failing(kind, why);
    }
}

#[cfg(test)]
mod tests;
