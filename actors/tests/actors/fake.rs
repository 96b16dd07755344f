//! A fake cluster. It keeps Pods and Services, reports them to the view as the watch does, and fails calls on
//! request.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use actors::{
    sandboxes::{Rules, Sandboxes},
    streams::Streams,
};
use futures::{StreamExt as _, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use lifecycle::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::{ClusterName, ProfileName, SandboxId},
    lifetime::{LifetimeAnnotations, Limits, Policy, ReapReason},
    log::{LogQuery, LogStream, LogText},
    observed::{Observed, ObservedPod, ObservedService, PodTimes, ResourceVersion, Uid},
    phase::Phase,
    reap_limiter::ReapLimits,
    request::CreateRequest,
    spec::{ObservedSpec, Resources},
    traits::{
        Busy, Clock, Cluster, Creation, Deletion, Kind, KnownUids, Lookup, Manifest, Manifests, Outcome,
        Preconditions, WatchEvent, WatchSink,
    },
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// The time that a Pod takes to terminate.
pub const TERMINATION: Duration = Duration::from_secs(2);
/// The staleness limit.
pub const STALENESS: Duration = Duration::from_secs(30);

/// The number of creates that are executed concurrently.
pub const CREATES_AT_ONCE: usize = 4;

/// The fixture of a test.
pub struct Fake {
    pub sandboxes: Sandboxes,
    shared: Arc<Shared>,
    ticking: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    sandboxes: Mutex<Option<Sandboxes>>,
    stalled: AtomicBool,
    unready: AtomicBool,
    /// The offset of the wall clock in seconds.
    off: AtomicI64,
    /// The start of the simulation on tokio's paused clock.
    start: OnceLock<Instant>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<SandboxId, Observed>,
    version: u64,
    requests: Vec<CreateRequest>,
    calls: Vec<String>,
    delays: HashMap<String, Duration>,
    refusals: HashMap<String, ClusterErrorKind>,
    panics: Vec<String>,
    /// The result of an activity probe of each sandbox; `No` if there is no entry.
    busy: HashMap<SandboxId, Busy>,
    /// The recorded Events, such as `a IdleTimeout`.
    recorded: Vec<String>,
}

pub fn id(text: &str) -> SandboxId {
    SandboxId::parse(text).unwrap()
}

pub fn request(text: &str) -> CreateRequest {
    CreateRequest::new(id(text))
}

impl Fake {
    /// Creates a fake whose watch has not started.
    pub async fn new() -> Self {
        Self::by(Policy::default(), ReapLimits::default()).await
    }

    /// Does the same as [`Fake::new`], with these settings.
    pub async fn by(policy: Policy, reap_limits: ReapLimits) -> Self {
        Self::on(Arc::default(), policy, reap_limits).await
    }

    async fn on(shared: Arc<Shared>, policy: Policy, reap_limits: ReapLimits) -> Self {
        let port = Arc::new(Port(shared.clone()));
        let rules = Rules { staleness: STALENESS, policy, reap_limits, creates_at_once: CREATES_AT_ONCE };
        let (streams, wall) = (Streams::new(8), Wall(shared.clone()));
        let sandboxes = Sandboxes::start(ClusterName::DEFAULT, port, rules, streams, wall).await.unwrap();
        *shared.sandboxes.lock().unwrap() = Some(sandboxes.clone());
        Self { sandboxes, shared, ticking: None }
    }

    /// Kills the process and starts another one that adopts the cluster's objects.
    pub async fn restart(self, policy: Policy, reap_limits: ReapLimits) -> Self {
        self.restart_without_watch(policy, reap_limits).await.run().await
    }

    /// Does the same as [`Fake::restart`] during an outage of the cluster: the watch is not started.
    pub async fn restart_without_watch(self, policy: Policy, reap_limits: ReapLimits) -> Self {
        self.sandboxes.kill();
        if let Some(ticking) = &self.ticking {
            ticking.abort();
        }
        self.sandboxes.ended().await;
        Self::on(self.shared.clone(), policy, reap_limits).await
    }

    /// Steps the wall clock.
    pub fn step_clock(&self, seconds: i64) {
        self.shared.off.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Sets the result of the sandbox's activity probes.
    pub fn set_busy(&self, name: &str, busy: Busy) {
        self.shared.state.lock().unwrap().busy.insert(id(name), busy);
    }

    /// Sets the Pod's phase and reports it to the watch.
    pub fn set_phase(&self, name: &str, phase: Phase, ready: bool) {
        let pod = {
            let mut state = self.shared.state.lock().unwrap();
            let version = ResourceVersion(state.next());
            let pod = state.objects.get_mut(&id(name)).unwrap().pod.as_mut().unwrap();
            (pod.phase, pod.ready, pod.version) = (phase, ready, version);
            pod.clone()
        };
        self.shared.view().pods(WatchEvent::Applied(id(name), pod));
    }

    /// Changes the limits on the Pod manually. The watch reports it unless `silent` is set.
    pub fn annotate(&self, name: &str, limits: Limits, silent: bool) {
        let pod = {
            let mut state = self.shared.state.lock().unwrap();
            let version = ResourceVersion(state.next());
            let pod = state.objects.get_mut(&id(name)).unwrap().pod.as_mut().unwrap();
            (pod.annotations.limits, pod.version) = (limits, version);
            pod.clone()
        };
        if !silent {
            self.shared.view().pods(WatchEvent::Applied(id(name), pod));
        }
    }

    /// Deletes the Service manually.
    pub fn lose_service(&self, name: &str) {
        let (uid, version) = {
            let mut state = self.shared.state.lock().unwrap();
            let service = state.objects.get_mut(&id(name)).unwrap().service.take().unwrap();
            (service.uid, ResourceVersion(state.next()))
        };
        self.shared.view().services(WatchEvent::Deleted(id(name), uid, version));
    }

    /// Lets new Pods stay `Pending` and not ready.
    pub fn make_unready(&self) {
        self.shared.unready.store(true, Ordering::SeqCst);
    }

    /// Returns the recorded Events, such as `a IdleTimeout`.
    pub fn recorded(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().recorded.clone()
    }

    /// Returns the number of calls whose name starts with `call`, such as `write_annotations`.
    pub fn count(&self, call: &str) -> usize {
        self.calls().iter().filter(|made| made.starts_with(call)).count()
    }

    /// Returns whether the sandbox is complete in the cluster and not terminating.
    pub fn holds(&self, name: &str) -> bool {
        self.shared.state.lock().unwrap().objects.get(&id(name)).is_some_and(Observed::is_whole)
    }

    /// Returns the number of complete sandboxes in the cluster.
    pub fn fleet(&self) -> usize {
        self.shared.state.lock().unwrap().objects.values().filter(|seen| seen.is_whole()).count()
    }

    /// Lets calls with this name succeed again.
    pub fn allow(&self, call: &str) {
        self.shared.state.lock().unwrap().refusals.remove(call);
    }

    /// Starts the watch, which then reports every second that it is up to date.
    pub async fn run(mut self) -> Self {
        self.list();
        let shared = self.shared.clone();
        self.ticking = Some(tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(1)).await;
                if !shared.stalled.load(Ordering::SeqCst) {
                    let view = shared.view();
                    view.synced(Kind::Pod);
                    view.synced(Kind::Service);
                }
            }
        }));
        tokio::task::yield_now().await;
        self
    }

    pub async fn start() -> Self {
        Self::new().await.run().await
    }

    /// Reports a complete list of both kinds.
    pub fn list(&self) {
        let view = self.shared.view();
        let (objects, version) = self.shared.state.lock().unwrap().list();
        view.relist_started(Kind::Pod);
        view.relist_started(Kind::Service);
        let pods = objects.iter().filter_map(|(id, seen)| Some((id.clone(), seen.pod.clone()?))).collect();
        let services =
            objects.iter().filter_map(|(id, seen)| Some((id.clone(), seen.service.clone()?))).collect();
        view.pods(WatchEvent::Listed { objects: pods, unreadable: vec![], version });
        view.services(WatchEvent::Listed { objects: services, unreadable: vec![], version });
    }

    /// Stops all reports of the watch.
    pub fn stall(&self) {
        self.shared.stalled.store(true, Ordering::SeqCst);
    }

    /// Adds a sandbox that an earlier process created.
    pub fn hold(&self, name: &str) {
        let mut state = self.shared.state.lock().unwrap();
        let (pod, service) = (state.pod(), state.service());
        state.objects.insert(id(name), Observed { pod: Some(pod), service: Some(service) });
    }

    pub fn calls(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().calls.clone()
    }

    pub fn delay(&self, call: &str, delay: Duration) {
        self.shared.state.lock().unwrap().delays.insert(call.to_owned(), delay);
    }

    pub fn refuse(&self, call: &str, kind: ClusterErrorKind) {
        self.shared.state.lock().unwrap().refusals.insert(call.to_owned(), kind);
    }

    pub fn panic_once(&self, call: &str) {
        self.shared.state.lock().unwrap().panics.push(call.to_owned());
    }

    pub fn is_empty(&self) -> bool {
        self.shared.state.lock().unwrap().objects.values().all(Observed::is_empty)
    }

    pub fn holds_half(&self, name: &str) -> bool {
        let state = self.shared.state.lock().unwrap();
        state.objects.get(&id(name)).is_some_and(|seen| !seen.is_empty() && !seen.is_whole())
    }
}

impl Shared {
    fn wall(&self) -> Timestamp {
        let since = self.start.get_or_init(Instant::now).elapsed();
        let off = SignedDuration::from_secs(self.off.load(Ordering::SeqCst));
        Timestamp::UNIX_EPOCH
            + SignedDuration::from_hours(400_000)
            + SignedDuration::try_from(since).unwrap()
            + off
    }

    fn view(&self) -> Arc<actors::view::View> {
        self.sandboxes.lock().unwrap().as_ref().unwrap().view().clone()
    }

    /// Records the call, and delays, fails or panics if the test asks for it.
    async fn call(&self, name: String) -> Result<(), ClusterError> {
        let (delay, panics, refusal) = {
            let mut state = self.state.lock().unwrap();
            state.calls.push(name.clone());
            let panics = state.panics.iter().position(|p| *p == name).map(|at| state.panics.remove(at));
            (state.delays.get(&name).copied(), panics, state.refusals.get(&name).copied())
        };
        if let Some(delay) = delay {
            sleep(delay).await;
        }
        assert!(panics.is_none(), "as the test wants it");
        refusal.map_or(Ok(()), |kind| Err(ClusterError::new(kind, "as the test wants it")))
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn list(&self) -> (BTreeMap<SandboxId, Observed>, ResourceVersion) {
        (self.objects.clone(), ResourceVersion(self.version))
    }

    fn pod(&mut self) -> ObservedPod {
        let version = self.next();
        ObservedPod {
            uid: Uid(format!("pod-{version}").into()),
            version: ResourceVersion(version),
            phase: Phase::Running,
            ready: true,
            terminating: false,
            reason: None,
            created: None,
            times: PodTimes::default(),
            spec: ObservedSpec::default(),
            annotations: LifetimeAnnotations::default(),
        }
    }

    fn service(&mut self) -> ObservedService {
        let version = self.next();
        ObservedService {
            uid: Uid(format!("service-{version}").into()),
            version: ResourceVersion(version),
            terminating: false,
            url: Some(format!("http://127.0.0.1:{}", 30000 + version).into()),
            internal_url: None,
        }
    }
}

struct Port(Arc<Shared>);

impl Cluster for Port {
    /// A manifest is the number of the request that it was built from.
    fn manifests(&self, request: &CreateRequest) -> Result<Manifests, SandboxError> {
        if request.provision_lark_cli_broker {
            return Err(SandboxError::LarkBrokerNotConfigured);
        }
        let requests = &mut self.0.state.lock().unwrap().requests;
        let manifest = Manifest::new(Arc::new(requests.len().to_ne_bytes()));
        requests.push(request.clone());
        let pod = if request.extra_mounts.is_empty() {
            Ok(manifest.clone())
        } else {
            Err(SandboxError::BadRequest("not here".to_owned()))
        };
        Ok(Manifests { pod, service: manifest })
    }

    fn create_pod(
        &self,
        id: SandboxId,
        manifest: Manifest,
        _: std::time::Instant,
    ) -> BoxFuture<'_, Outcome<Creation<ObservedPod>>> {
        Box::pin(async move {
            if let Err(fault) = self.0.call(format!("create_pod {id}")).await {
                return Outcome::Refused(fault);
            }
            let pod = {
                let mut state = self.0.state.lock().unwrap();
                let number = usize::from_ne_bytes((*manifest.object).try_into().unwrap());
                let request = state.requests[number].clone();
                // Kubernetes truncates times to whole seconds.
                let now = Timestamp::from_second(self.0.wall().as_second()).unwrap();
                let last_activity = request.limits.idle_timeout.map(|_| now);
                let annotations = LifetimeAnnotations {
                    limits: request.limits,
                    last_activity,
                    owner: request.owner.clone(),
                };
                let mut pod = ObservedPod { annotations, created: Some(now), ..state.pod() };
                if self.0.unready.load(Ordering::SeqCst) {
                    (pod.phase, pod.ready) = (Phase::Pending, false);
                }
                let slot = &mut state.objects.entry(id.clone()).or_default().pod;
                if let Some(old) = slot {
                    let kind = if old.terminating {
                        ClusterErrorKind::Terminating
                    } else {
                        ClusterErrorKind::AlreadyExists
                    };
                    return Outcome::Refused(ClusterError::new(kind, ""));
                }
                *slot = Some(pod.clone());
                pod
            };
            self.0.view().pods(WatchEvent::Applied(id.clone(), pod.clone()));
            Outcome::Done(Creation::AsSent(pod))
        })
    }

    fn create_service(
        &self,
        id: SandboxId,
        _: Manifest,
        _: std::time::Instant,
    ) -> BoxFuture<'_, Outcome<Creation<ObservedService>>> {
        Box::pin(async move {
            if let Err(fault) = self.0.call(format!("create_service {id}")).await {
                return Outcome::Refused(fault);
            }
            let service = {
                let mut state = self.0.state.lock().unwrap();
                let service = state.service();
                let slot = &mut state.objects.entry(id.clone()).or_default().service;
                if slot.is_some() {
                    return Outcome::Refused(ClusterError::new(ClusterErrorKind::AlreadyExists, ""));
                }
                *slot = Some(service.clone());
                service
            };
            self.0.view().services(WatchEvent::Applied(id.clone(), service.clone()));
            Outcome::Done(Creation::AsSent(service))
        })
    }

    fn read_log(&self, id: SandboxId, query: LogQuery) -> BoxFuture<'_, Result<LogText, ClusterError>> {
        Box::pin(async move {
            self.0.call(format!("read_log {id}")).await?;
            Ok(LogText::new(format!("the last {} lines\n", query.tail).into()))
        })
    }

    fn follow_log(&self, id: SandboxId, _: LogQuery) -> BoxFuture<'_, Result<LogStream, ClusterError>> {
        Box::pin(async move {
            self.0.call(format!("follow_log {id}")).await?;
            let line = futures::stream::once(async { Ok(b"a line\n".to_vec()) });
            Ok(line.chain(futures::stream::pending()).boxed())
        })
    }

    fn delete_pod(
        &self,
        id: SandboxId,
        only: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedPod>>> {
        Box::pin(async move {
            if let Err(fault) = self.0.call(format!("delete_pod {id}")).await {
                return Outcome::Refused(fault);
            }
            let pod = {
                let mut state = self.0.state.lock().unwrap();
                let version = state.next();
                let slot = &mut state.objects.entry(id.clone()).or_default().pod;
                let Some(pod) = slot.as_mut().filter(|pod| pod.uid == only.uid) else {
                    return Outcome::Done(Deletion::Gone);
                };
                if only.version.is_some_and(|version| version != pod.version) {
                    return Outcome::Refused(ClusterError::new(
                        ClusterErrorKind::Conflict,
                        "another version",
                    ));
                }
                pod.terminating = true;
                pod.version = ResourceVersion(version);
                pod.clone()
            };
            let shared = self.0.clone();
            tokio::spawn(async move {
                sleep(TERMINATION).await;
                let version = {
                    let mut state = shared.state.lock().unwrap();
                    state.objects.get_mut(&id).unwrap().pod = None;
                    ResourceVersion(state.next())
                };
                shared.view().pods(WatchEvent::Deleted(id, only.uid, version));
            });
            Outcome::Done(Deletion::Terminating(pod))
        })
    }

    fn delete_service(
        &self,
        id: SandboxId,
        only: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedService>>> {
        Box::pin(async move {
            if let Err(fault) = self.0.call(format!("delete_service {id}")).await {
                return Outcome::Refused(fault);
            }
            let version = {
                let mut state = self.0.state.lock().unwrap();
                state.objects.entry(id.clone()).or_default().service = None;
                ResourceVersion(state.next())
            };
            self.0.view().services(WatchEvent::Deleted(id, only.uid, version));
            Outcome::Done(Deletion::Gone)
        })
    }

    fn find_pod(&self, id: SandboxId) -> BoxFuture<'_, Result<Option<Uid>, ClusterError>> {
        Box::pin(async move {
            self.0.call(format!("find_pod {id}")).await?;
            let state = self.0.state.lock().unwrap();
            Ok(state.objects.get(&id).and_then(|seen| Some(seen.pod.as_ref()?.uid.clone())))
        })
    }

    fn read(&self, id: SandboxId, _: KnownUids) -> BoxFuture<'_, Result<Lookup, ClusterError>> {
        Box::pin(async move {
            self.0.call(format!("read {id}")).await?;
            let seen = self.0.state.lock().unwrap().objects.get(&id).cloned().unwrap_or_default();
            Ok(Lookup { seen, foreign: None })
        })
    }

    fn write_annotations(
        &self,
        id: SandboxId,
        uid: Uid,
        annotations: LifetimeAnnotations,
    ) -> BoxFuture<'_, Outcome<ObservedPod>> {
        Box::pin(async move {
            if let Err(fault) = self.0.call(format!("write_annotations {id}")).await {
                return Outcome::Refused(fault);
            }
            let mut state = self.0.state.lock().unwrap();
            let version = ResourceVersion(state.next());
            let pod = state.objects.get_mut(&id).and_then(|seen| seen.pod.as_mut());
            let Some(pod) = pod.filter(|pod| pod.uid == uid) else {
                return Outcome::Refused(ClusterError::new(ClusterErrorKind::NotFound, ""));
            };
            (pod.annotations, pod.version) = (annotations, version);
            Outcome::Done(pod.clone())
        })
    }

    fn check_resize(&self, _: Option<&ProfileName>, resources: &Resources) -> Result<(), SandboxError> {
        let refused = resources.ephemeral_storage.is_some();
        if refused { Err(SandboxError::BadRequest("beyond the bounds".to_owned())) } else { Ok(()) }
    }

    fn resize(&self, id: SandboxId, uid: Uid, resources: Resources) -> BoxFuture<'_, Outcome<ObservedPod>> {
        Box::pin(async move {
            let cpu = resources.cpu.as_deref().unwrap_or_default();
            if let Err(fault) = self.0.call(format!("resize {id} {cpu}")).await {
                return Outcome::Refused(fault);
            }
            let mut state = self.0.state.lock().unwrap();
            let version = ResourceVersion(state.next());
            let pod = state.objects.get_mut(&id).and_then(|seen| seen.pod.as_mut());
            let Some(pod) = pod.filter(|pod| pod.uid == uid) else {
                return Outcome::Refused(ClusterError::new(ClusterErrorKind::NotFound, ""));
            };
            pod.version = version;
            (pod.spec.cpu_after_start, pod.spec.resources) = (None, Arc::new(resources));
            Outcome::Done(pod.clone())
        })
    }

    fn probe_activity(&self, id: SandboxId, _url: Arc<str>) -> BoxFuture<'_, Busy> {
        Box::pin(async move {
            let _ = self.0.call(format!("ask {id}")).await;
            self.0.state.lock().unwrap().busy.get(&id).cloned().unwrap_or(Busy::No)
        })
    }

    fn record_event(&self, id: &SandboxId, _pod: &Uid, reason: ReapReason, dry_run: bool) {
        let recorded = format!("{id} {}{}", if dry_run { "would " } else { "" }, reason.name());
        self.0.state.lock().unwrap().recorded.push(recorded);
    }
}

/// A wall clock that follows tokio's paused clock and can be stepped.
struct Wall(Arc<Shared>);

impl Clock for Wall {
    fn wall(&self) -> Timestamp {
        self.0.wall()
    }
}
