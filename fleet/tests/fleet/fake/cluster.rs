//! A cluster in memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use actors::view::View;
use futures::future::{BoxFuture, pending};
use jiff::{SignedDuration, Timestamp};
use lifecycle::{
    error::ClusterError,
    ids::ProfileName,
    lifetime::{LifetimeAnnotations, ReapReason},
    log::{LogQuery, LogStream, LogText},
    observed::{Observed, ObservedPod, ObservedService, PodTimes, ResourceVersion, Uid},
    phase::Phase,
    placement::replacement::Replacement,
    spec::{ObservedSpec, Origin, Resources},
    traits::{
        Busy, ClaimSink, Cluster, Creation, Deletion, KnownUids, Lookup, Manifest, Manifests, Outcome,
        Preconditions, WatchEvent, WatchSink, Workspaces,
    },
    workspace::{
        Scope, ScopeIds, Size, WhenDeleted, WorkspaceId,
        claim::{ClaimPhase, ObservedClaim},
        retention::DeleteReason,
    },
};
use tokio::sync::Notify;

use super::{
    Arc, ClusterErrorKind, ClusterName, CreateRequest, DataHome, Duration, Instant, Kind, Mutex,
    SandboxError, SandboxId, Sandboxes, sleep, wall,
};

/// The time that a Pod takes to terminate, if nothing else is set.
const TERMINATION: Duration = Duration::from_secs(2);

/// How well a cluster is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    #[default]
    Up,
    /// No connection is made.
    Down,
    /// It accepts connections and never answers, and does nothing.
    Silent,
    /// It does all it is asked to, and never answers.
    Mute,
}

/// Whether the last write of a process takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    Before,
    After,
}

/// The writes of a process to all clusters, with the one at which it ends.
#[derive(Debug, Default)]
pub struct Writes {
    count: AtomicU64,
    end: Mutex<Option<(u64, Death)>>,
    is_dead: Mutex<bool>,
    died: Notify,
}

/// A cluster in memory.
pub struct FakeCluster {
    pub name: ClusterName,
    pub begin: Instant,
    state: Arc<Mutex<State>>,
    writes: Arc<Writes>,
    sandboxes: Mutex<Option<Sandboxes>>,
}

#[derive(Default)]
pub struct State {
    pub mode: Mode,
    pub objects: BTreeMap<SandboxId, Observed>,
    /// The calls so far, such as `create_pod a`.
    pub calls: Vec<String>,
    /// The errors of calls by their names, such as `create_pod`.
    pub refusals: HashMap<&'static str, ClusterErrorKind>,
    pub delays: HashMap<&'static str, Duration>,
    /// The time that a Pod takes to terminate.
    pub termination: Option<Duration>,
    /// Whether new Pods stay not ready.
    pub makes_unready: bool,
    /// Whether new Pods keep their request.
    pub keeps_requests: bool,
    /// Where the data of sandboxes is.
    pub data_home: Option<DataHome>,
    pub claims: BTreeSet<WorkspaceId>,
    requests: Vec<CreateRequest>,
    kept: HashMap<Uid, CreateRequest>,
    version: u64,
    /// Whether the watch has to begin with a list.
    has_missed: bool,
}

impl Writes {
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    pub fn die_at(&self, write: u64, death: Death) {
        *self.end.lock().unwrap() = Some((self.count() + write, death));
    }

    pub fn revive(&self) {
        *self.end.lock().unwrap() = None;
        *self.is_dead.lock().unwrap() = false;
    }

    pub async fn died(&self) {
        while !*self.is_dead.lock().unwrap() {
            self.died.notified().await;
        }
    }

    fn is_dead(&self) -> bool {
        *self.is_dead.lock().unwrap()
    }

    /// Counts a write. Returns how the process ends with it, if it does.
    fn next(&self) -> Option<Death> {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let death = self.end.lock().unwrap().filter(|(at, _)| *at == number).map(|(_, death)| death);
        if death.is_some() {
            *self.is_dead.lock().unwrap() = true;
            self.died.notify_waiters();
            self.died.notify_one();
        }
        death
    }
}

impl FakeCluster {
    pub fn new(name: ClusterName, writes: Arc<Writes>, begin: Instant) -> Self {
        Self { name, begin, state: Arc::default(), writes, sandboxes: Mutex::default() }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn attach(&self, sandboxes: &Sandboxes) {
        *self.sandboxes.lock().unwrap() = Some(sandboxes.clone());
        self.state().has_missed = true;
    }

    /// Returns whether a complete sandbox exists.
    pub fn has(&self, id: &SandboxId) -> bool {
        self.state().objects.get(id).is_some_and(Observed::is_whole)
    }

    pub fn refuse(&self, call: &'static str, kind: ClusterErrorKind) {
        self.state().refusals.insert(call, kind);
    }

    pub fn allow(&self, call: &'static str) {
        self.state().refusals.remove(call);
    }

    pub fn delay(&self, call: &'static str, delay: Duration) {
        self.state().delays.insert(call, delay);
    }

    /// Returns how often a call was made for a sandbox.
    pub fn count(&self, call: &str, id: &SandboxId) -> usize {
        let call = format!("{call} {id}");
        self.state().calls.iter().filter(|made| **made == call).count()
    }

    /// Returns why the Pod of a sandbox replaces another, if it does.
    pub fn replaces(&self, id: &SandboxId) -> Option<Replacement> {
        self.state().objects.get(id)?.pod.as_ref()?.spec.origin.replaces
    }

    /// Returns the lifetime annotations of the Pod of a sandbox.
    pub fn annotations(&self, id: &SandboxId) -> LifetimeAnnotations {
        self.state().objects[id].pod.as_ref().unwrap().annotations.clone()
    }

    /// Adds a sandbox that another process has created so many seconds after the begin.
    pub fn add(&self, id: &SandboxId, second: i64) {
        let mut state = self.state();
        let (pod, service) = (state.pod(&self.name, self.begin), state.service(&self.name));
        let created = Some(wall(self.begin) + SignedDuration::from_secs(second));
        let seen = Observed { pod: Some(ObservedPod { created, ..pod }), service: Some(service) };
        state.objects.insert(id.clone(), seen);
        state.has_missed = true;
    }

    /// Shows the objects that another cluster has, as if both were one.
    pub fn copy(&self, other: &Self) {
        let (objects, kept) = {
            let other = other.state();
            (other.objects.clone(), other.kept.clone())
        };
        let mut state = self.state();
        (state.objects, state.kept, state.has_missed) = (objects, kept, true);
    }

    /// Makes the Pod of a sandbox ready.
    pub fn make_ready(&self, id: &SandboxId) {
        let mut state = self.state();
        let version = state.next();
        let pod = state.objects.get_mut(id).and_then(|seen| seen.pod.as_mut()).unwrap();
        (pod.phase, pod.ready, pod.version) = (Phase::Running, true, version);
        state.has_missed = true;
    }

    fn sandboxes(&self) -> Sandboxes {
        self.sandboxes.lock().unwrap().clone().unwrap()
    }

    fn tell(&self, tell: impl FnOnce(&View)) {
        if self.state().mode == Mode::Up && !self.writes.is_dead() {
            tell(self.sandboxes().view());
        } else {
            self.state().has_missed = true;
        }
    }

    /// Reports to the view, as the watch does. Ends only when it is dropped.
    pub async fn report(self: Arc<Self>) {
        loop {
            self.report_once();
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn report_once(&self) {
        let (objects, claims, version) = {
            let mut state = self.state();
            if state.mode != Mode::Up {
                state.has_missed = true;
                return;
            }
            let lists = std::mem::take(&mut state.has_missed);
            let objects = lists.then(|| state.objects.clone());
            (objects, state.claims.clone(), ResourceVersion(state.version))
        };
        let sandboxes = self.sandboxes();
        let view = sandboxes.view();
        if let Some(objects) = objects {
            view.relist_started(Kind::Pod);
            view.relist_started(Kind::Service);
            let pods = objects.iter().filter_map(|(id, seen)| Some((id.clone(), seen.pod.clone()?)));
            view.pods(WatchEvent::Listed { objects: pods.collect(), unreadable: vec![], version });
            let services =
                objects.iter().filter_map(|(id, seen)| Some((id.clone(), seen.service.clone()?))).collect();
            view.services(WatchEvent::Listed { objects: services, unreadable: vec![], version });
            let workspaces = sandboxes.workspaces().unwrap();
            workspaces.claims_listed(claims.into_iter().map(|id| (id, claim())).collect());
        }
        view.synced(Kind::Pod);
        view.synced(Kind::Service);
    }

    /// Begins a call. An error says whether it certainly had no effect.
    async fn call(&self, call: &'static str, id: &SandboxId) -> Result<(), (ClusterError, bool)> {
        if self.writes.is_dead() {
            return pending().await;
        }
        let (mode, delay, refusal) = {
            let mut state = self.state();
            state.calls.push(format!("{call} {id}"));
            (state.mode, state.delays.get(call).copied(), state.refusals.get(call).copied())
        };
        if let Some(delay) = delay {
            sleep(delay).await;
        }
        let error = |kind| ClusterError::new(kind, "as the test wants it");
        match mode {
            Mode::Down => Err((error(ClusterErrorKind::Unreachable), true)),
            Mode::Silent | Mode::Mute => {
                sleep(Duration::from_secs(8)).await;
                Err((error(ClusterErrorKind::TimedOut), false))
            }
            Mode::Up => match refusal {
                Some(kind) => Err((error(kind), kind != ClusterErrorKind::ServerError)),
                None => Ok(()),
            },
        }
    }

    /// Makes a write.
    async fn write<T>(
        &self,
        call: &'static str,
        id: &SandboxId,
        effect: impl FnOnce(&Self) -> Outcome<T>,
    ) -> Outcome<T> {
        match self.call(call, id).await {
            Ok(()) => {}
            Err((fault, true)) => return Outcome::Refused(fault),
            Err((fault, false)) => {
                if self.state().mode == Mode::Mute {
                    let _ = effect(self);
                }
                return Outcome::Unknown(fault);
            }
        }
        match self.writes.next() {
            None => effect(self),
            Some(Death::Before) => pending().await,
            Some(Death::After) => {
                let _ = effect(self);
                pending().await
            }
        }
    }

    /// Changes the Pod with this uid, and tells the daemon.
    fn change_pod(
        &self,
        id: &SandboxId,
        uid: &Uid,
        change: impl FnOnce(&mut ObservedPod),
    ) -> Outcome<ObservedPod> {
        let pod = {
            let mut state = self.state();
            let version = state.next();
            let pod = state.objects.get_mut(id).and_then(|seen| seen.pod.as_mut());
            let Some(pod) = pod.filter(|pod| pod.uid == *uid) else {
                return Outcome::Refused(ClusterError::new(ClusterErrorKind::NotFound, ""));
            };
            pod.version = version;
            change(pod);
            pod.clone()
        };
        self.tell(|view| view.pods(WatchEvent::Applied(id.clone(), pod.clone())));
        Outcome::Done(pod)
    }
}

impl State {
    fn next(&mut self) -> ResourceVersion {
        self.version += 1;
        ResourceVersion(self.version)
    }

    fn pod(&mut self, cluster: &ClusterName, begin: Instant) -> ObservedPod {
        let version = self.next();
        ObservedPod {
            uid: Uid(format!("{cluster}-pod-{}", version.0).into()),
            version,
            phase: if self.makes_unready { Phase::Pending } else { Phase::Running },
            ready: !self.makes_unready,
            terminating: false,
            reason: None,
            created: Some(wall(begin)),
            times: PodTimes::default(),
            spec: ObservedSpec::default(),
            annotations: LifetimeAnnotations::default(),
        }
    }

    fn service(&mut self, cluster: &ClusterName) -> ObservedService {
        let version = self.next();
        ObservedService {
            uid: Uid(format!("{cluster}-service-{}", version.0).into()),
            version,
            terminating: false,
            url: Some(format!("http://{cluster}:{}", 30000 + version.0).into()),
            internal_url: None,
        }
    }
}

fn claim() -> ObservedClaim {
    ObservedClaim {
        uid: Uid("claim".into()),
        version: ResourceVersion(1),
        ids: ScopeIds { scope: Scope::Sandbox, sandbox_id: None, thread_id: None, user_id: None },
        phase: ClaimPhase::Bound,
        terminating: false,
        size: Size { text: "1Gi".into(), bytes: 1 << 30 },
        capacity: None,
        storage_class: None,
        access_modes: vec![],
        when_deleted: WhenDeleted::Keep,
        keep_for: None,
        profile: None,
        created: None,
        last_used: None,
        unused_since: None,
    }
}

/// No test changes a workspace.
impl Workspaces for FakeCluster {
    fn delete_claim(
        &self,
        _: WorkspaceId,
        _: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedClaim>>> {
        Box::pin(pending())
    }

    fn mark_unused(
        &self,
        _: WorkspaceId,
        _: Preconditions,
        _: Timestamp,
    ) -> BoxFuture<'_, Outcome<ObservedClaim>> {
        Box::pin(pending())
    }

    fn check_size(&self, _: Option<&ProfileName>, _: &str) -> Result<Size, SandboxError> {
        Ok(claim().size)
    }

    fn enlarge(&self, _: WorkspaceId, _: Preconditions, _: Size) -> BoxFuture<'_, Outcome<ObservedClaim>> {
        Box::pin(pending())
    }

    fn record_claim_event(&self, _: &WorkspaceId, _: &Uid, _: DeleteReason, _: bool) {}
}

impl Cluster for FakeCluster {
    /// A manifest is the number of the request that it was built from.
    fn manifests(&self, request: &CreateRequest) -> Result<Manifests, SandboxError> {
        let requests = &mut self.state().requests;
        let manifest = Manifest::new(Arc::new(requests.len().to_ne_bytes()));
        requests.push(request.clone());
        Ok(Manifests { pod: Ok(manifest.clone()), service: manifest })
    }

    fn create_pod(
        &self,
        id: SandboxId,
        manifest: Manifest,
        _: std::time::Instant,
    ) -> BoxFuture<'_, Outcome<Creation<ObservedPod>>> {
        Box::pin(async move {
            let effect = |cluster: &Self| {
                let pod = {
                    let mut state = cluster.state();
                    let number = usize::from_ne_bytes((*manifest.object).try_into().unwrap());
                    let request = state.requests[number].clone();
                    let mut pod = state.pod(&cluster.name, cluster.begin);
                    pod.spec.resources = Arc::new(request.overrides.resources.clone());
                    let CreateRequest { replaces, first_created, .. } = request;
                    pod.spec.origin = Arc::new(Origin { replaces, first_created, ..Origin::default() });
                    let (limits, owner) = (request.limits, request.owner.clone());
                    pod.annotations = LifetimeAnnotations { limits, last_activity: None, owner };
                    if state.keeps_requests {
                        state.kept.insert(pod.uid.clone(), request);
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
                cluster.tell(|view| view.pods(WatchEvent::Applied(id.clone(), pod.clone())));
                Outcome::Done(Creation::AsSent(pod))
            };
            self.write("create_pod", &id, effect).await
        })
    }

    fn create_service(
        &self,
        id: SandboxId,
        _: Manifest,
        _: std::time::Instant,
    ) -> BoxFuture<'_, Outcome<Creation<ObservedService>>> {
        Box::pin(async move {
            let effect = |cluster: &Self| {
                let service = {
                    let mut state = cluster.state();
                    let service = state.service(&cluster.name);
                    let slot = &mut state.objects.entry(id.clone()).or_default().service;
                    if slot.is_some() {
                        return Outcome::Refused(ClusterError::new(ClusterErrorKind::AlreadyExists, ""));
                    }
                    *slot = Some(service.clone());
                    service
                };
                cluster.tell(|view| view.services(WatchEvent::Applied(id.clone(), service.clone())));
                Outcome::Done(Creation::AsSent(service))
            };
            self.write("create_service", &id, effect).await
        })
    }

    fn delete_pod(
        &self,
        id: SandboxId,
        only: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedPod>>> {
        Box::pin(async move {
            let effect = |cluster: &Self| {
                let (pod, termination) = {
                    let mut state = cluster.state();
                    let (version, termination) = (state.next(), state.termination.unwrap_or(TERMINATION));
                    let slot = &mut state.objects.entry(id.clone()).or_default().pod;
                    let Some(pod) = slot.as_mut().filter(|pod| pod.uid == only.uid) else {
                        return Outcome::Done(Deletion::Gone);
                    };
                    (pod.terminating, pod.version) = (true, version);
                    (pod.clone(), termination)
                };
                let (state, id) = (cluster.state.clone(), id.clone());
                tokio::spawn(async move {
                    sleep(termination).await;
                    let mut state = state.lock().unwrap();
                    state.next();
                    state.objects.entry(id).or_default().pod = None;
                    state.has_missed = true;
                });
                Outcome::Done(Deletion::Terminating(pod))
            };
            self.write("delete_pod", &id, effect).await
        })
    }

    fn delete_service(
        &self,
        id: SandboxId,
        only: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedService>>> {
        Box::pin(async move {
            let effect = |cluster: &Self| {
                let version = {
                    let mut state = cluster.state();
                    let version = state.next();
                    state.objects.entry(id.clone()).or_default().service = None;
                    version
                };
                cluster.tell(|view| view.services(WatchEvent::Deleted(id.clone(), only.uid, version)));
                Outcome::Done(Deletion::Gone)
            };
            self.write("delete_service", &id, effect).await
        })
    }

    fn write_annotations(
        &self,
        id: SandboxId,
        uid: Uid,
        annotations: LifetimeAnnotations,
    ) -> BoxFuture<'_, Outcome<ObservedPod>> {
        Box::pin(async move {
            let effect = |cluster: &Self| cluster.change_pod(&id, &uid, |pod| pod.annotations = annotations);
            self.write("write_annotations", &id, effect).await
        })
    }

    fn find_pod(&self, id: SandboxId) -> BoxFuture<'_, Result<Option<Uid>, ClusterError>> {
        Box::pin(async move {
            self.call("find_pod", &id).await.map_err(|(fault, _)| fault)?;
            Ok(self.state().objects.get(&id).and_then(|seen| Some(seen.pod.as_ref()?.uid.clone())))
        })
    }

    fn read(&self, id: SandboxId, _: KnownUids) -> BoxFuture<'_, Result<Lookup, ClusterError>> {
        Box::pin(async move {
            self.call("read", &id).await.map_err(|(fault, _)| fault)?;
            let seen = self.state().objects.get(&id).cloned().unwrap_or_default();
            Ok(Lookup { seen, foreign: None })
        })
    }

    fn keep_requests(&self, keeps_requests: bool) {
        self.state().keeps_requests = keeps_requests;
    }

    fn read_request(
        &self,
        id: SandboxId,
        uid: Uid,
    ) -> BoxFuture<'_, Result<Option<CreateRequest>, ClusterError>> {
        Box::pin(async move {
            self.call("read_request", &id).await.map_err(|(fault, _)| fault)?;
            let state = self.state();
            let Some(kept) = state.kept.get(&uid).cloned() else { return Ok(None) };
            let pod = state.objects.get(&id).and_then(|seen| seen.pod.as_ref());
            let Some(pod) = pod.filter(|pod| pod.uid == uid) else {
                return Err(ClusterError::new(ClusterErrorKind::NotFound, ""));
            };
            let LifetimeAnnotations { limits, owner, last_activity: _ } = pod.annotations.clone();
            let first_created = pod.spec.origin.first_created.or(pod.created);
            Ok(Some(CreateRequest { limits, owner, first_created, ..kept }))
        })
    }

    fn data_home(&self, _: &CreateRequest) -> Result<DataHome, SandboxError> {
        Ok(self.state().data_home.clone().unwrap_or(DataHome::Nowhere))
    }

    fn check_resize(&self, _: Option<&ProfileName>, _: &Resources) -> Result<(), SandboxError> {
        Ok(())
    }

    fn resize(&self, id: SandboxId, uid: Uid, to: Resources) -> BoxFuture<'_, Outcome<ObservedPod>> {
        Box::pin(async move {
            let effect = |cluster: &Self| {
                if let Some(kept) = cluster.state().kept.get_mut(&uid) {
                    kept.overrides.resources = to.clone();
                }
                cluster.change_pod(&id, &uid, |pod| pod.spec.resources = Arc::new(to))
            };
            self.write("resize", &id, effect).await
        })
    }

    fn probe_activity(&self, _: SandboxId, _: Arc<str>) -> BoxFuture<'_, Busy> {
        Box::pin(async { Busy::No })
    }

    fn read_log(&self, _: SandboxId, _: LogQuery) -> BoxFuture<'_, Result<LogText, ClusterError>> {
        Box::pin(pending())
    }

    fn follow_log(&self, _: SandboxId, _: LogQuery) -> BoxFuture<'_, Result<LogStream, ClusterError>> {
        Box::pin(pending())
    }

    fn record_event(&self, _: &SandboxId, _: &Uid, _: ReapReason, _: bool) {}
}
