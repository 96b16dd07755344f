//! A fake cluster: it keeps pairs, tells the view of them as a watch would, and misbehaves where it is told to.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actors::sandboxes::Sandboxes;
use futures::future::BoxFuture;
use lifecycle::{
    failure::{Fault, FaultKind},
    ids::{SandboxId, UserId},
    phase::Phase,
    ports::{Cluster, Kind, Outcome, ReadFault, Removal, WatchEvent, Watched},
    request::CreateRequest,
    seen::{Seen, SeenPod, SeenService, Uid, Version},
};
use tokio::{task::JoinHandle, time::sleep};

/// How long a Pod takes to end.
pub const TERMINATION: Duration = Duration::from_secs(2);
/// How old an answer may be.
pub const STALENESS: Duration = Duration::from_secs(30);

/// The world of a test.
pub struct Fake {
    pub sandboxes: Sandboxes,
    world: Arc<World>,
    ticking: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct World {
    state: Mutex<State>,
    sandboxes: Mutex<Option<Sandboxes>>,
    stalled: AtomicBool,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<SandboxId, Seen>,
    version: u64,
    calls: Vec<String>,
    delays: HashMap<String, Duration>,
    refusals: HashMap<String, FaultKind>,
    panics: Vec<String>,
}

pub fn id(text: &str) -> SandboxId {
    SandboxId::parse(text).unwrap()
}

pub fn request(text: &str) -> CreateRequest {
    CreateRequest {
        sandbox_id: id(text),
        thread_id: None,
        user_id: UserId::default(),
        extra_mounts: vec![],
        include_legacy_skills: false,
        provision_lark_cli_runtime: false,
        provision_lark_cli_broker: false,
    }
}

impl Fake {
    /// A fake whose watch has not begun.
    pub async fn new() -> Self {
        let world = Arc::new(World::default());
        let port = Arc::new(Port(world.clone()));
        let sandboxes = Sandboxes::start(port, STALENESS).await.unwrap();
        *world.sandboxes.lock().unwrap() = Some(sandboxes.clone());
        Self { sandboxes, world, ticking: None }
    }

    /// Begins the watch, which then has news every second.
    pub async fn run(mut self) -> Self {
        self.list();
        let world = self.world.clone();
        self.ticking = Some(tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(1)).await;
                if !world.stalled.load(Ordering::SeqCst) {
                    let view = world.view();
                    view.heard(Kind::Pod);
                    view.heard(Kind::Service);
                }
            }
        }));
        tokio::task::yield_now().await;
        self
    }

    pub async fn start() -> Self {
        Self::new().await.run().await
    }

    /// The watch lists all there is.
    pub fn list(&self) {
        let view = self.world.view();
        let (objects, version) = self.world.state.lock().unwrap().list();
        view.listing(Kind::Pod);
        view.listing(Kind::Service);
        let pods = objects.iter().filter_map(|(id, seen)| Some((id.clone(), seen.pod.clone()?))).collect();
        let services =
            objects.iter().filter_map(|(id, seen)| Some((id.clone(), seen.service.clone()?))).collect();
        view.pods(WatchEvent::Listed(pods, version));
        view.services(WatchEvent::Listed(services, version));
    }

    /// The watch tells nothing any more.
    pub fn stall(&self) {
        self.world.stalled.store(true, Ordering::SeqCst);
    }

    /// The cluster holds a pair, made by an earlier process.
    pub fn hold(&self, name: &str) {
        let mut state = self.world.state.lock().unwrap();
        let (pod, service) = (state.pod(), state.service());
        state.objects.insert(id(name), Seen { pod: Some(pod), service: Some(service) });
    }

    pub fn calls(&self) -> Vec<String> {
        self.world.state.lock().unwrap().calls.clone()
    }

    pub fn delay(&self, call: &str, delay: Duration) {
        self.world.state.lock().unwrap().delays.insert(call.to_owned(), delay);
    }

    pub fn refuse(&self, call: &str, kind: FaultKind) {
        self.world.state.lock().unwrap().refusals.insert(call.to_owned(), kind);
    }

    pub fn panic_once(&self, call: &str) {
        self.world.state.lock().unwrap().panics.push(call.to_owned());
    }

    pub fn is_empty(&self) -> bool {
        self.world.state.lock().unwrap().objects.values().all(Seen::is_empty)
    }

    pub fn holds_half(&self, name: &str) -> bool {
        let state = self.world.state.lock().unwrap();
        state.objects.get(&id(name)).is_some_and(|seen| !seen.is_empty() && !seen.is_whole())
    }
}

impl World {
    fn view(&self) -> Arc<actors::view::View> {
        self.sandboxes.lock().unwrap().as_ref().unwrap().view().clone()
    }

    /// Notes the call, and misbehaves where told to.
    async fn call(&self, name: String) -> Result<(), Fault> {
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
        refusal.map_or(Ok(()), |kind| Err(Fault::new(kind, "as the test wants it")))
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn list(&self) -> (BTreeMap<SandboxId, Seen>, Version) {
        (self.objects.clone(), Version(self.version))
    }

    fn pod(&mut self) -> SeenPod {
        let version = self.next();
        SeenPod {
            uid: Uid(format!("pod-{version}").into()),
            version: Version(version),
            phase: Phase::Running,
            ready: true,
            terminating: false,
            reason: None,
            created: None,
        }
    }

    fn service(&mut self) -> SeenService {
        let version = self.next();
        SeenService {
            uid: Uid(format!("service-{version}").into()),
            version: Version(version),
            terminating: false,
            url: Some(format!("http://127.0.0.1:{}", 30000 + version).into()),
        }
    }
}

struct Port(Arc<World>);

impl Cluster for Port {
    fn check(&self, request: &CreateRequest) -> Result<(), String> {
        if request.include_legacy_skills { Err("not here".to_owned()) } else { Ok(()) }
    }

    fn create_pod(&self, request: Arc<CreateRequest>) -> BoxFuture<'_, Outcome<SeenPod>> {
        Box::pin(async move {
            let id = &request.sandbox_id;
            if let Err(fault) = self.0.call(format!("create_pod {id}")).await {
                return Outcome::Refused(fault);
            }
            let pod = {
                let mut state = self.0.state.lock().unwrap();
                let pod = state.pod();
                let slot = &mut state.objects.entry(id.clone()).or_default().pod;
                if let Some(old) = slot {
                    let kind =
                        if old.terminating { FaultKind::Terminating } else { FaultKind::AlreadyExists };
                    return Outcome::Refused(Fault::new(kind, ""));
                }
                *slot = Some(pod.clone());
                pod
            };
            self.0.view().pods(WatchEvent::Applied(id.clone(), pod.clone()));
            Outcome::Done(pod)
        })
    }

    fn create_service(&self, request: Arc<CreateRequest>) -> BoxFuture<'_, Outcome<SeenService>> {
        Box::pin(async move {
            let id = &request.sandbox_id;
            if let Err(fault) = self.0.call(format!("create_service {id}")).await {
                return Outcome::Refused(fault);
            }
            let service = {
                let mut state = self.0.state.lock().unwrap();
                let service = state.service();
                let slot = &mut state.objects.entry(id.clone()).or_default().service;
                if slot.is_some() {
                    return Outcome::Refused(Fault::new(FaultKind::AlreadyExists, ""));
                }
                *slot = Some(service.clone());
                service
            };
            self.0.view().services(WatchEvent::Applied(id.clone(), service.clone()));
            Outcome::Done(service)
        })
    }

    fn delete_pod(&self, id: SandboxId, uid: Uid) -> BoxFuture<'_, Outcome<Removal<SeenPod>>> {
        Box::pin(async move {
            if let Err(fault) = self.0.call(format!("delete_pod {id}")).await {
                return Outcome::Refused(fault);
            }
            let pod = {
                let mut state = self.0.state.lock().unwrap();
                let version = state.next();
                let slot = &mut state.objects.entry(id.clone()).or_default().pod;
                let Some(pod) = slot.as_mut().filter(|pod| pod.uid == uid) else {
                    return Outcome::Done(Removal::Gone);
                };
                pod.terminating = true;
                pod.version = Version(version);
                pod.clone()
            };
            let world = self.0.clone();
            tokio::spawn(async move {
                sleep(TERMINATION).await;
                let version = {
                    let mut state = world.state.lock().unwrap();
                    state.objects.get_mut(&id).unwrap().pod = None;
                    Version(state.next())
                };
                world.view().pods(WatchEvent::Deleted(id, uid, version));
            });
            Outcome::Done(Removal::Leaving(pod))
        })
    }

    fn delete_service(&self, id: SandboxId, uid: Uid) -> BoxFuture<'_, Outcome<Removal<SeenService>>> {
        Box::pin(async move {
            if let Err(fault) = self.0.call(format!("delete_service {id}")).await {
                return Outcome::Refused(fault);
            }
            let version = {
                let mut state = self.0.state.lock().unwrap();
                state.objects.entry(id.clone()).or_default().service = None;
                Version(state.next())
            };
            self.0.view().services(WatchEvent::Deleted(id, uid, version));
            Outcome::Done(Removal::Gone)
        })
    }

    fn read(&self, id: SandboxId) -> BoxFuture<'_, Result<Seen, ReadFault>> {
        Box::pin(async move {
            self.0.call(format!("read {id}")).await.map_err(ReadFault::Failed)?;
            Ok(self.0.state.lock().unwrap().objects.get(&id).cloned().unwrap_or_default())
        })
    }
}
