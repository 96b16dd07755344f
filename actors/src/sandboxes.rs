//! The handle through which the HTTP API accesses sandboxes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lifecycle::{
    budget,
    error::SandboxError,
    ids::SandboxId,
    lifetime::{Clocks, Limits, LimitsPatch, Owner, Policy},
    network::NetworkReport,
    observed::{Status, Uid},
    operation::Operation,
    reap_limiter::ReapLimits,
    request::{Change, CreateRequest},
    step::{Event, Reply},
    timeline::Report,
    traits::{self, Clock, Cluster},
};
use prometheus_client::registry::Registry;
pub use ractor::SpawnErr;
use ractor::{Actor, MessagingErr, rpc::CallResult};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

pub use crate::{admission::Permit, backend::ReaperState, reap_log::Reaped};
use crate::{
    admission::{AdmissionQueue, Creates, QueueLimits, RETRY},
    backend::{Backend, ClusterState},
    limiter::Limiter,
    mailbox::Mailbox,
    messages::{Envelope, Message, Waiter},
    metrics::gauges::{Gauges, Group, Tally},
    reap_log::ReapLog,
    sandbox::Shared,
    supervisor::Supervisor,
    timer::{self, Timer},
    view::{Position, Presence, Revision, STALE_RETRY, Start, View, change_reader::ChangeReader, unreadable},
    workspaces::{Workspaces, within},
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
    /// The maximum number of event streams.
    pub streams_max: usize,
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
    /// Permits of event streams.
    streams: Arc<Semaphore>,
    streams_max: usize,
    /// Is cancelled when nothing waits any more, because the daemon drains.
    draining: CancellationToken,
}

// === impl Sandboxes ===

impl Sandboxes {
    /// Starts the supervisor and its tasks on the current `tokio` runtime.
    ///
    /// The shared watch must feed [`Sandboxes::view`]. Reads are answered until `staleness` has passed since its last
    /// update.
    ///
    /// # Errors
    /// The error of the supervisor if it cannot be spawned.
    pub async fn start(cluster: Arc<dyn Cluster>, rules: Rules, clock: impl Clock) -> Result<Self, SpawnErr> {
        let Rules { staleness, policy, reap_limits, creates_at_once, streams_max } = rules;
        let (timer, requests) = Timer::new();
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let common = Arc::new(Shared {
            cluster,
            view: Arc::new(View::new(staleness, clock.clone())),
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
            streams: Arc::new(Semaphore::new(streams_max)),
            streams_max,
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

    /// Changes the limits of a sandbox.
    async fn change_limits(
        &self,
        id: SandboxId,
        change: LimitsPatch,
        owner: Option<Owner>,
        until: Instant,
    ) -> Result<Option<Status>, SandboxError> {
        let change = |waiter| Envelope::of_request(Event::Change { change, waiter, owner }, None);
        self.of_what_is_there(id, Operation::ChangeLimits, until, change).await
    }

    /// Asks the actor of an existing sandbox. A request for an unknown sandbox starts no actor.
    async fn of_what_is_there(
        &self,
        id: SandboxId,
        operation: Operation,
        until: Instant,
        envelope: impl FnOnce(Waiter) -> Envelope,
    ) -> Result<Option<Status>, SandboxError> {
        // If the view shows an incomplete sandbox, the other object may exist.
        if !self.shared.common.view.is_whole(&id) {
            self.fresh().await?;
            self.readable(&id)?;
            if !self.shared.common.view.contains(&id) {
                return Ok(None);
            }
        }
        let permit = self.permit(&id)?;
        let call = self.ask(&id, permit, envelope);
        let answer = timeout_at(until, call)
            .await
            .map_err(|_| SandboxError::TimedOut { operation, after: budget::DELETE })?;
        match answer {
            Some(Ok(Reply::Made(status))) => Ok(Some(self.view().explained(&id, *status))),
            Some(Ok(Reply::Gone)) => Ok(None),
            Some(Err(failure)) => Err(failure),
            None => Err(SandboxError::Restarting { id }),
        }
    }

    /// Returns the failed readiness checks, by name; empty if the service is ready.
    #[must_use]
    pub fn missing(&self) -> Vec<(&'static str, String)> {
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

    /// Returns the number of open event streams, and the largest number of them.
    pub(crate) fn streams(&self) -> (u64, u64) {
        let Inner { streams, streams_max, .. } = &*self.shared;
        let open = streams_max.saturating_sub(streams.available_permits());
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        (number(open), number(*streams_max))
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
    fn stream_permit(&self) -> Result<OwnedSemaphorePermit, SandboxError> {
        let Inner { streams, streams_max, draining, .. } = &*self.shared;
        if draining.is_cancelled() {
            return Err(SandboxError::ShuttingDown { retry_after: RETRY });
        }
        streams.clone().try_acquire_owned().map_err(|_| {
            let what = format!("{streams_max} event streams are open, which is the maximum");
            SandboxError::Overloaded { what, retry_after: STALE_RETRY }
        })
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
    fn readable(&self, id: &SandboxId) -> Result<(), SandboxError> {
        self.view().unreadable(id).map_or(Ok(()), |kind| Err(unreadable(id, kind)))
    }

    /// Asks the sandbox's actor through the supervisor. Returns `None` if the actor failed before it answered.
    async fn ask(
        &self,
        id: &SandboxId,
        permit: Permit,
        envelope: impl FnOnce(Waiter) -> Envelope,
    ) -> Option<Result<Reply, SandboxError>> {
        match self
            .shared
            .supervisor
            .call(|port| Message::Deliver(id.clone(), envelope(Waiter::new(port, permit))))
            .await
        {
            Ok(CallResult::Success(answer)) => Some(answer),
            Ok(CallResult::SenderError | CallResult::Timeout) => None,
            Err(MessagingErr::SendErr(_) | MessagingErr::ChannelClosed | MessagingErr::InvalidActorType) => {
                Some(Err(SandboxError::ShuttingDown { retry_after: RETRY }))
            }
        }
    }
}

impl Backend for Sandboxes {
    type WaitPermit = Permit;

    async fn create(&self, request: CreateRequest) -> Result<Status, SandboxError> {
        let id = request.sandbox_id.clone();
        let Inner { common, creates, .. } = &*self.shared;
        let manifests = common.cluster.manifests(&request)?;
        common.policy.allows(request.limits).map_err(SandboxError::BadRequest)?;
        // A complete sandbox is returned without a call to the cluster, so its POST does not wait behind creates.
        let is_there = common.view.is_whole(&id);
        let permit = if is_there {
            self.permit(&id)?
        } else {
            creates.queue.enter(&id).map_err(|rejected| creates.rejection(&id, rejected))?
        };
        let now = Instant::now();
        let (slot_until, until) = (now + budget::CREATE_SLOT, (now + budget::POST_PATIENCE).into_std());
        let received = now.into_std();
        let call = async {
            common.view.first_list(budget::FIRST_LIST).await;
            if let Err(failure) = self.readable(&id) {
                return Some(Err(failure));
            }
            // An existing Pod is used as it is, whatever mounts this request contains.
            if let Err(failure) = &manifests.pod
                && !common.view.has_usable_pod(&id)
            {
                return Some(Err(failure.clone()));
            }
            let create_permit = if is_there {
                None
            } else {
                // Another POST may have created the sandbox while this one waited for the lock.
                match creates.admit(&permit, slot_until, || !common.view.is_whole(&id)).await {
                    Ok(permit) => Some(permit),
                    Err(failure) => return Some(Err(failure)),
                }
            };
            let event =
                |waiter| Event::Post { request: Arc::new(request), manifests, waiter, received, until };
            self.ask(&id, permit, |waiter| Envelope::of_request(event(waiter), create_permit)).await
        };
        match within(budget::CREATE, Operation::CreateSandbox, call).await? {
            Some(Ok(Reply::Made(status))) => {
                self.shared.common.reap_log.forget(&id);
                Ok(common.view.explained(&id, *status))
            }
            Some(Err(failure)) => Err(failure),
            Some(Ok(Reply::Gone)) | None => Err(SandboxError::Restarting { id }),
        }
    }

    async fn delete(&self, id: SandboxId, owner: Option<Owner>) -> Result<(), SandboxError> {
        let permit = self.permit(&id)?;
        let call = async {
            self.shared.common.view.first_list(budget::FIRST_LIST).await;
            self.ask(&id, permit, |waiter| Envelope::of_request(Event::Delete { waiter, owner }, None)).await
        };
        match within(budget::DELETE, Operation::DeleteSandbox, call).await? {
            Some(Ok(Reply::Gone)) => Ok(()),
            Some(Err(failure)) => Err(failure),
            Some(Ok(Reply::Made(_))) | None => Err(SandboxError::Restarting { id }),
        }
    }

    async fn touch(&self, id: SandboxId, owner: Option<Owner>) -> Result<Option<Status>, SandboxError> {
        let touch = |waiter| Envelope::of_request(Event::Touch { waiter: Some(waiter), owner }, None);
        self.of_what_is_there(id, Operation::Touch, Instant::now() + budget::DELETE, touch).await
    }

    async fn change(
        &self,
        id: SandboxId,
        Change { limits, resources }: Change,
        owner: Option<Owner>,
    ) -> Result<Option<Status>, SandboxError> {
        let until = Instant::now() + budget::DELETE;
        let asked = Limits { ttl: limits.ttl.flatten(), idle_timeout: limits.idle_timeout.flatten() };
        self.shared.common.policy.allows(asked).map_err(SandboxError::BadRequest)?;
        if resources.is_empty() {
            return self.change_limits(id, limits, owner, until).await;
        }
        self.fresh().await?;
        self.readable(&id)?;
        // A sandbox keeps its profile, so the bounds are known without its actor.
        let Some(status) = self.view().status(&id) else { return Ok(None) };
        self.shared.common.cluster.check_resize(status.spec.profile.as_ref(), &resources)?;
        let by = owner.clone();
        let resize = |waiter| Envelope::of_request(Event::Resize { resources, waiter, owner: by }, None);
        // A cluster refuses a resize more often than the limits, which are annotations. Then nothing has changed.
        let resized = self.of_what_is_there(id.clone(), Operation::Resize, until, resize).await?;
        if resized.is_none() || limits == LimitsPatch::default() {
            return Ok(resized);
        }
        let changed = self.change_limits(id, limits, owner, until).await;
        changed.map_err(|error| SandboxError::AfterResize(Box::new(error)))
    }

    fn reaped(&self, id: &SandboxId) -> Option<Reaped> {
        self.shared.common.reap_log.get(id)
    }

    fn reaper(&self) -> ReaperState {
        let Shared { limiter, reap_log, .. } = &*self.shared.common;
        let clocks = self.shared.common.clocks();
        let workspaces = self.workspaces.as_ref();
        let stopped_until = limiter
            .stopped_until(clocks.monotonic)
            .max(workspaces.and_then(|workspaces| workspaces.stopped_until(clocks.monotonic)));
        ReaperState {
            stopped_until: stopped_until.map(|until| clocks.wall_at(until)),
            reaped: reap_log.total(),
            dry_runs: limiter.dry_runs() + workspaces.map_or(0, Workspaces::dry_runs),
        }
    }

    fn resume_reaping(&self) -> bool {
        let now = Instant::now().into_std();
        let was_stopped = self.shared.common.limiter.resume(now);
        let workspaces = self.workspaces.as_ref().is_some_and(|workspaces| workspaces.resume(now));
        if was_stopped {
            // Otherwise the blocked sandboxes would wait until the stop would have ended.
            self.shared.supervisor.send(Message::Resumed);
        }
        was_stopped || workspaces
    }

    fn workspaces(&self) -> Option<&Workspaces> {
        self.workspaces.as_ref()
    }

    fn network(&self) -> NetworkReport {
        self.shared.common.cluster.network()
    }

    fn check_network(&self) {
        self.shared.common.cluster.check_network();
    }

    async fn get(&self, id: &SandboxId) -> Result<Option<Status>, SandboxError> {
        self.fresh().await?;
        self.readable(id)?;
        let status = self.shared.common.view.status(id);
        // If an earlier GET is still queued, this one adds nothing.
        if status.is_some()
            && self.shared.common.policy.get_counts
            && let Ok(permit) = self.shared.views.enter(id)
        {
            self.shared.supervisor.send(Message::Deliver(id.clone(), Envelope::of_view(permit)));
        }
        Ok(status)
    }

    fn wait_permit(&self, id: &SandboxId) -> Result<Permit, SandboxError> {
        self.shared.waits.enter(id).map_err(|rejected| rejected.into_failure(id))
    }

    async fn settled(&self, permit: Permit, end: Instant) -> Result<Option<Status>, SandboxError> {
        self.fresh().await?;
        self.readable(permit.id())?;
        let Inner { common, draining, .. } = &*self.shared;
        let status = tokio::select! {
            biased;
            status = common.view.settled(permit.id()) => status,
            () = draining.cancelled() => common.view.status(permit.id()),
            () = tokio::time::sleep_until(end) => common.view.status(permit.id()),
        };
        if !common.view.is_fresh() {
            return Err(common.view.stale());
        }
        self.readable(permit.id())?;
        Ok(status)
    }

    async fn timeline(&self, id: &SandboxId) -> Result<Option<Report>, SandboxError> {
        self.fresh().await?;
        self.readable(id)?;
        Ok(self.shared.common.view.timeline(id))
    }

    // A Pod that the watch shows is answered from memory. Otherwise the Pod is read by its name: the watch may lag
    // behind, and does not show Pods without our labels.
    async fn presence(&self, id: &SandboxId) -> Result<Option<Uid>, SandboxError> {
        let Inner { common, .. } = &*self.shared;
        common.view.first_list(budget::FIRST_LIST).await;
        self.readable(id)?;
        match common.view.presence(id) {
            Presence::Present(uid) if common.view.is_fresh() => Ok(Some(uid)),
            Presence::Present(_) | Presence::Absent => {
                let found = common.cluster.find_pod(id.clone()).await;
                found
                    .map_err(|error| SandboxError::Stale { why: error.to_string(), retry_after: STALE_RETRY })
            }
            Presence::Unknown => Err(SandboxError::Stale {
                why: "the Pod may be being created".to_owned(),
                retry_after: Duration::from_secs(1),
            }),
        }
    }

    async fn changes(&self, start: Start) -> Result<ChangeReader, SandboxError> {
        let permit = self.stream_permit()?;
        self.fresh().await?;
        Ok(self.view().changes(start).with_permit(permit))
    }

    async fn changes_of(&self, id: &SandboxId, start: Start) -> Result<Option<ChangeReader>, SandboxError> {
        let permit = self.stream_permit()?;
        self.fresh().await?;
        self.readable(id)?;
        Ok(self.view().changes_of(id, start).map(|reader| reader.with_permit(permit)))
    }

    async fn list(&self) -> Result<Vec<(SandboxId, Status)>, SandboxError> {
        self.fresh().await?;
        Ok(self.shared.common.view.statuses())
    }

    async fn list_after(
        &self,
        after: Option<SandboxId>,
        matches: impl Fn(&Status) -> bool + Send,
    ) -> Result<Vec<(SandboxId, Status)>, SandboxError> {
        self.fresh().await?;
        Ok(self.view().statuses_after(after.as_ref(), matches))
    }

    fn position(&self) -> Position {
        self.view().position()
    }

    async fn cluster(&self) -> ClusterState {
        let Inner { common, creates, .. } = &*self.shared;
        let version = common.cluster.version().await;
        let clocks = common.clocks();
        let fresh_since = common.view.fresh_since().map(|since| clocks.wall_at(since.into_std()));
        let Tally { groups, ready, .. } = common.view.tally();
        let mut sandboxes = BTreeMap::new();
        for (Group { status, .. }, count) in groups {
            *sandboxes.entry(status).or_default() += count;
        }
        ClusterState { version, fresh_since, sandboxes, ready, creates: creates.state() }
    }

    async fn revision(&self) -> Result<Revision, SandboxError> {
        self.fresh().await?;
        Ok(self.shared.common.view.revision())
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.actor.stop(None);
    }
}
