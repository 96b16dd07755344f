//! A fleet whose clusters are fed by the test.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use actors::{sandboxes::Rules, streams::Streams, view::View};
pub use fakecluster::id;
use fakecluster::{FakeCluster, Mode, WallClock};
use fleet::{Fleet, Member, backend::Backend, changes::ChangeReader, position::Start};
use jiff::{SignedDuration, Timestamp};
use lifecycle::{
    error::SandboxError,
    ids::{ClusterName, SandboxId},
    lifetime::{LifetimeAnnotations, Policy},
    observed::{ObservedPod, ObservedService, PodTimes, ResourceVersion, Status, Uid},
    phase::Phase,
    placement::{Terms, replacement::Replacement},
    reap_limiter::ReapLimits,
    spec::{ObservedSpec, Origin},
    traits::{Kind, WatchEvent, WatchSink},
};

/// The staleness limit.
const STALENESS: Duration = Duration::from_secs(10);

/// The largest number of streams.
pub const STREAMS_MAX: usize = 4;

/// The fleet and the objects of its clusters.
pub struct World {
    pub fleet: Fleet,
    pub clusters: Vec<Cluster>,
    state: Mutex<State>,
}

/// A cluster of the fleet.
pub struct Cluster {
    pub name: ClusterName,
    pub member: Member,
    view: Arc<View>,
}

#[derive(Default)]
struct State {
    /// The last number of an object or a version.
    last: u64,
    objects: BTreeMap<(usize, SandboxId), (ObservedPod, ObservedService)>,
    /// The clusters whose watch shows nothing.
    away: BTreeSet<usize>,
}

impl Cluster {
    /// Starts a cluster that has not been listed and refuses all calls.
    pub async fn start(name: &str) -> Self {
        let name = ClusterName::parse(name).unwrap();
        let rules = Rules {
            staleness: STALENESS,
            policy: Policy::default(),
            reap_limits: ReapLimits::default(),
            creates_at_once: 1,
        };
        let streams = Streams::new(STREAMS_MAX);
        let cluster = FakeCluster::new(name.clone(), Arc::default(), WallClock::start());
        cluster.state().mode = Mode::Down;
        let sandboxes = cluster.start(rules, streams).await;
        let view = sandboxes.view().clone();
        Self { name, member: Member::new(sandboxes, Arc::new(Vec::new), Terms::default()), view }
    }
}

impl World {
    /// Starts a fleet of these clusters, all of which have been listed.
    pub async fn of(names: &[&str]) -> Self {
        let world = Self::unlisted(names).await;
        (0..names.len()).for_each(|n| world.list(n));
        world
    }

    /// Starts a fleet of these clusters, which have not been listed.
    pub async fn unlisted(names: &[&str]) -> Self {
        let mut clusters = Vec::new();
        for name in names {
            clusters.push(Cluster::start(name).await);
        }
        let mut members: Vec<_> = clusters.iter().map(|cluster| cluster.member.clone()).collect();
        let fleet = Fleet::new(members.remove(0), members, None);
        Self { fleet, clusters, state: Mutex::default() }
    }

    /// Lists both kinds on a cluster.
    pub fn list(&self, n: usize) {
        let (objects, version) = {
            let mut state = self.state.lock().unwrap();
            let of_cluster = state.objects.iter().filter(|((cluster, _), _)| *cluster == n);
            let objects: Vec<_> =
                of_cluster.map(|((_, id), objects)| (id.clone(), objects.clone())).collect();
            (objects, state.next())
        };
        let view = &self.clusters[n].view;
        let pods = objects.iter().map(|(id, (pod, _))| (id.clone(), pod.clone())).collect();
        let services = objects.iter().map(|(id, (_, service))| (id.clone(), service.clone())).collect();
        view.relist_started(Kind::Pod);
        view.relist_started(Kind::Service);
        view.pods(WatchEvent::Listed { objects: pods, unreadable: vec![], version });
        view.services(WatchEvent::Listed { objects: services, unreadable: vec![], version });
        view.wake_readers();
    }

    /// Shows another state of the sandbox on a cluster, which gets the sandbox if it has none.
    pub fn show(&self, n: usize, id: &SandboxId, is_replacement: bool) {
        let replaces = is_replacement.then_some(Replacement::Lost);
        self.show_made_by(n, id, replaces, true);
    }

    /// Does the same with a sandbox that moves to the cluster.
    pub fn show_moving(&self, n: usize, id: &SandboxId, is_ready: bool) {
        self.show_made_by(n, id, Some(Replacement::Move), is_ready);
    }

    fn show_made_by(&self, n: usize, id: &SandboxId, replaces: Option<Replacement>, is_ready: bool) {
        self.edit(n, id, |pod, service, number| {
            if pod.version == ResourceVersion(0) {
                pod.spec.origin = Arc::new(Origin { replaces, ..Origin::default() });
            }
            pod.ready = is_ready;
            service.url = Some(format!("http://{n}:{number}").into());
        });
    }

    /// Begins to delete the sandbox on a cluster.
    pub fn terminate(&self, n: usize, id: &SandboxId) {
        self.edit(n, id, |pod, _, _| (pod.phase, pod.terminating) = (Phase::Terminating, true));
    }

    fn edit(&self, n: usize, id: &SandboxId, edit: impl FnOnce(&mut ObservedPod, &mut ObservedService, u64)) {
        let mut state = self.state.lock().unwrap();
        let number = state.next().0;
        let objects = state.objects.entry((n, id.clone()));
        let (pod, service) = objects.or_insert_with(|| (pod(number), service(number)));
        edit(pod, service, number);
        (pod.version, service.version) = (ResourceVersion(number), ResourceVersion(number));
        let (pod, service) = (pod.clone(), service.clone());
        if !state.away.contains(&n) {
            drop(state);
            let view = &self.clusters[n].view;
            view.pods(WatchEvent::Applied(id.clone(), pod));
            view.services(WatchEvent::Applied(id.clone(), service));
        }
    }

    /// Removes the sandbox from a cluster. Returns whether there was one.
    pub fn remove(&self, n: usize, id: &SandboxId) -> bool {
        let mut state = self.state.lock().unwrap();
        let version = state.next();
        let Some((pod, service)) = state.objects.remove(&(n, id.clone())) else { return false };
        if !state.away.contains(&n) {
            drop(state);
            let view = &self.clusters[n].view;
            view.pods(WatchEvent::Deleted(id.clone(), pod.uid, version));
            view.services(WatchEvent::Deleted(id.clone(), service.uid, version));
        }
        true
    }

    /// Lets the watch of a cluster show nothing until it is back, and the cluster be stale.
    pub async fn away(&self, n: usize) {
        self.state.lock().unwrap().away.insert(n);
        tokio::time::advance(STALENESS + Duration::from_secs(1)).await;
        let away = self.state.lock().unwrap().away.clone();
        for (n, cluster) in self.clusters.iter().enumerate() {
            if !away.contains(&n) {
                cluster.view.synced(Kind::Pod);
                cluster.view.synced(Kind::Service);
            }
            cluster.view.wake_readers();
        }
    }

    /// Lists a cluster that was away.
    pub fn back(&self, n: usize) {
        self.state.lock().unwrap().away.remove(&n);
        self.list(n);
    }

    pub fn is_away(&self, n: usize) -> bool {
        self.state.lock().unwrap().away.contains(&n)
    }

    /// Returns the names of the clusters that are away.
    pub fn stale(&self) -> BTreeSet<ClusterName> {
        self.state.lock().unwrap().away.iter().map(|n| self.clusters[*n].name.clone()).collect()
    }

    /// Opens a stream about all sandboxes, after this position.
    pub async fn open(&self, after: Option<&str>) -> ChangeReader {
        self.fleet.changes(start(after)).await.unwrap()
    }

    /// Opens a stream about one sandbox, after this position.
    pub async fn open_one(
        &self,
        id: &SandboxId,
        after: Option<&str>,
    ) -> Result<Option<ChangeReader>, SandboxError> {
        self.fleet.changes_of(id, start(after)).await
    }

    /// Returns the list, with the position at which a stream continues it.
    pub async fn listed(&self) -> Result<(BTreeMap<SandboxId, Status>, String), SandboxError> {
        let revision = self.fleet.revision().await?;
        let position = self.fleet.position(&revision);
        let listing = self.fleet.list(&revision).await?;
        assert_eq!(listing.incomplete.into_iter().collect::<BTreeSet<_>>(), self.stale());
        Ok((listing.items.into_iter().collect(), position.to_string()))
    }
}

pub fn start(after: Option<&str>) -> Start {
    after.map_or(Start::Present, |after| after.parse().map_or(Start::Reset, Start::After))
}

impl State {
    fn next(&mut self) -> ResourceVersion {
        self.last += 1;
        ResourceVersion(self.last)
    }
}

fn pod(number: u64) -> ObservedPod {
    ObservedPod {
        uid: Uid(format!("pod-{number}").into()),
        version: ResourceVersion(0),
        phase: Phase::Running,
        ready: true,
        terminating: false,
        reason: None,
        created: Some(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(number).unwrap())),
        times: PodTimes::default(),
        spec: ObservedSpec::default(),
        annotations: LifetimeAnnotations::default(),
    }
}

fn service(number: u64) -> ObservedService {
    ObservedService {
        uid: Uid(format!("service-{number}").into()),
        version: ResourceVersion(0),
        terminating: false,
        url: None,
        internal_url: None,
    }
}
