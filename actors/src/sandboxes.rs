//! The handle through which the sandboxes of one cluster are accessed.

mod logs;
mod placement;
mod reads;
mod writes;

use std::{sync::Arc, time::Duration};

use lifecycle::{
    budget,
    error::SandboxError,
    ids::{ClusterName, SandboxId},
    lifetime::{Clocks, Policy},
    reap_limiter::ReapLimits,
    traits::{self, Clock, Cluster},
};
use prometheus_client::registry::Registry;
use ractor::Actor;
pub use ractor::SpawnErr;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tokio_util::sync::CancellationToken;

pub use crate::{admission::Permit, reap_log::Reaped, state::ReaperState};
use crate::{
    admission::{AdmissionQueue, Creates, QueueLimits, RETRY},
    limiter::Limiter,
    mailbox::Mailbox,
    messages::Message,
    metrics::gauges::Gauges,
    reap_log::ReapLog,
    sandbox::Shared,
    streams::Streams,
    supervisor::Supervisor,
    timer::{self, Timer},
    view::{View, unreadable},
    workspaces::Workspaces,
    write_log::WriteLog,
};

/// The maximum number of creates in flight, including waiting ones, and of all other changes. It equals the default
/// maximum of connections. One sandbox can have a quarter of it, so that a stuck sandbox leaves permits for the
/// others.
const QUEUE_LIMITS: QueueLimits = QueueLimits { all: 1024, per_sandbox: 256 };

/// The maximum number of queued GETs that count as activity: one for each sandbox is enough.
const VIEW_LIMITS: QueueLimits = QueueLimits { all: usize::MAX, per_sandbox: 1 };

/// The maximum number of requests that wait for a sandbox to be ready. Half of the default maximum of connections stays
/// for requests that are answered at once.
const WAIT_LIMITS: QueueLimits = QueueLimits { all: 512, per_sandbox: 64 };

/// The settings of the actors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The staleness limit of the view.
    pub staleness: Duration,
    /// The lifetime settings.
    pub policy: Policy,
    /// The reap limits.
    pub reap_limits: ReapLimits,
    /// The number of creates that are executed concurrently. Others wait.
    pub creates_at_once: usize,
}

/// A handle to the supervisor and the view. Every request clones it, which only increments a reference count.
#[derive(Clone)]
pub struct Sandboxes {
    shared: Arc<Inner>,
    /// `None` if no profile has a workspace.
    workspaces: Option<Workspaces>,
}

/// A guard that stops the supervisor when the timer's task ends: without timers no failure would be repaired.
struct StopOnDrop(Mailbox<Message>);

struct Inner {
    /// The state that the actors share.
    common: Arc<Shared>,
    supervisor: Mailbox<Message>,
    creates: Creates,
    /// The queue of DELETE, PATCH and touch. It is separate, so that creates cannot use up its permits.
    changes: Arc<AdmissionQueue>,
    /// The queue of GETs that count as activity.
    views: Arc<AdmissionQueue>,
    /// The requests that wait for a sandbox to be ready.
    waits: Arc<AdmissionQueue>,
    streams: Streams,
    /// Is cancelled when nothing waits any more, because the daemon drains.
    draining: CancellationToken,
}

// === impl Sandboxes ===

impl Sandboxes {
    /// Starts the supervisor and its tasks for the cluster of this name, on the current `tokio` runtime.
    ///
    /// The shared watch must feed [`Sandboxes::view`]. Reads are answered until `staleness` has passed since its last
    /// update.
    ///
    /// # Errors
    /// The error of the supervisor if it cannot be spawned.
    pub async fn start(
        name: ClusterName,
        cluster: Arc<dyn Cluster>,
        rules: Rules,
        streams: Streams,
        clock: impl Clock,
    ) -> Result<Self, SpawnErr> {
        let Rules { staleness, policy, reap_limits, creates_at_once } = rules;
        let (timer, requests) = Timer::new();
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let common = Arc::new(Shared {
            cluster,
            view: Arc::new(View::new(name, staleness, clock.clone())),
            timer,
            policy,
            limiter: Limiter::new(
                reap_limits,
                Clocks { monotonic: Instant::now().into_std(), wall: clock.wall() },
            ),
            clock,
            reap_log: ReapLog::default(),
            write_log: WriteLog::of_activity(),
            resize_log: WriteLog::of_resizes(),
        });
        let (supervisor, _) = Actor::spawn(None, Supervisor, common.clone()).await?;
        let supervisor = Mailbox::new(supervisor, &common.view.metrics.mailboxes.supervisor);
        let notified = supervisor.clone();
        common.view.set_listener(move |id| notified.send(Message::Changed(id)));
        let woken = supervisor.clone();
        let stop_on_drop = StopOnDrop(supervisor.clone());
        // The task ends when the last actor, and with it the last `Timer`, is dropped.
        tokio::spawn(async move {
            let _stop_on_drop = stop_on_drop;
            timer::run(requests, |id| woken.send(Message::Due(id))).await;
        });
        let inner = Inner {
            common,
            supervisor,
            creates: Creates::new(creates_at_once, QUEUE_LIMITS),
            changes: AdmissionQueue::new(QUEUE_LIMITS),
            views: AdmissionQueue::new(VIEW_LIMITS),
            waits: AdmissionQueue::new(WAIT_LIMITS),
            streams,
            draining: CancellationToken::new(),
        };
        Ok(Self { shared: Arc::new(inner), workspaces: None })
    }

    /// Adds the workspaces, with the staleness limit and the reap limits of these rules. The watch on claims must feed
    /// them, and [`Workspaces::clean_up`] must run.
    #[must_use]
    pub fn with_workspaces(self, cluster: Arc<dyn traits::Workspaces>, rules: &Rules) -> Self {
        let Shared { view, clock, .. } = &*self.shared.common;
        let (view, clock) = (view.clone(), clock.clone());
        let workspaces = Workspaces::new(cluster, view, clock, rules.staleness, rules.reap_limits);
        Self { workspaces: Some(workspaces), ..self }
    }

    /// Returns the view, which the shared watch must feed.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.shared.common.view
    }

    /// Returns the failed readiness checks, by name; empty if the service is ready.
    #[must_use]
    pub fn unready_checks(&self) -> Vec<(&'static str, String)> {
        self.view().unready_watches().collect()
    }

    /// Waits until the supervisor has ended. After that no request succeeds, so the process must be restarted, unless
    /// [`Sandboxes::shut_down`] ended it.
    pub async fn ended(&self) {
        let _ = self.shared.supervisor.actor.get_cell().wait(None).await;
    }

    /// Adds the metrics of the sandboxes to a registry.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.view().metrics.register(registry);
        registry.register_collector(Box::new(Gauges(self.clone())));
    }

    /// Returns the number of requests in each queue, by its name.
    pub(crate) fn queues(&self) -> [(&'static str, u64); 4] {
        let Inner { creates, changes, views, waits, .. } = &*self.shared;
        let length = |queue: &AdmissionQueue| u64::try_from(queue.len()).unwrap_or(u64::MAX);
        [
            ("creates", length(&creates.queue)),
            ("changes", length(changes)),
            ("views", length(views)),
            ("waits", length(waits)),
        ]
    }

    /// Returns whether the reap limits have stopped the reaper.
    pub(crate) fn is_reaper_stopped(&self) -> bool {
        self.shared.common.limiter.stopped_until(Instant::now().into_std()).is_some()
    }

    /// Ends all waits for a sandbox to be ready, and later ones at once: they return the state that it has reached.
    /// Ends all event streams too.
    pub fn end_waits(&self) {
        self.shared.draining.cancel();
        self.view().end_readers();
    }

    /// Returns whether waits have been ended, because the daemon shuts down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.is_cancelled()
    }

    /// Ends every actor immediately, also during a call.
    pub fn kill(&self) {
        self.close();
        self.shared.supervisor.actor.get_cell().kill();
    }

    /// Lets every actor finish its mailbox within `patience`, then ends them all.
    pub async fn shut_down(&self, patience: Duration) {
        self.close();
        self.shared.supervisor.actor.get_cell().drain_children_and_wait(Some(patience)).await;
        let _ = self.shared.supervisor.actor.stop_and_wait(None, Some(Duration::from_secs(1))).await;
    }

    fn close(&self) {
        self.shared.creates.close();
        self.shared.changes.close();
        self.shared.views.close();
        self.shared.waits.close();
        self.end_waits();
    }

    /// Takes a permit for a request that creates nothing.
    fn permit(&self, id: &SandboxId) -> Result<Permit, SandboxError> {
        self.shared.changes.enter(id).map_err(|rejected| rejected.into_failure(id))
    }

    /// Takes a permit for an event stream.
    ///
    /// # Errors
    /// If the maximum of event streams is open, or if the daemon drains.
    pub fn stream_permit(&self) -> Result<OwnedSemaphorePermit, SandboxError> {
        let Inner { streams, draining, .. } = &*self.shared;
        if draining.is_cancelled() {
            return Err(SandboxError::ShuttingDown { retry_after: RETRY });
        }
        streams.permit()
    }

    async fn fresh(&self) -> Result<(), SandboxError> {
        if self.shared.common.view.is_fresh() {
            return Ok(());
        }
        self.shared.common.view.first_list(budget::FIRST_LIST).await;
        if self.shared.common.view.is_fresh() {
            return Ok(());
        }
        Err(self.view().stale())
    }

    /// Fails if an object of the sandbox is too large to be read: an answer would be made of an old state, or would deny
    /// that the sandbox exists.
    ///
    /// # Errors
    /// If an object of the sandbox is too large to be read.
    pub fn readable(&self, id: &SandboxId) -> Result<(), SandboxError> {
        self.view().unreadable(id).map_or(Ok(()), |kind| Err(unreadable(id, kind)))
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.actor.stop(None);
    }
}
