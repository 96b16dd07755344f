//! A fleet of clusters in memory.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actors::{sandboxes::Rules, streams::Streams};
pub use fakecluster::{Death, Mode, id, request};
use fakecluster::{FakeCluster, WallClock, Writes};
use fleet::{Fleet, Member, backend::Backend};
use lifecycle::{
    error::{ClusterErrorKind, SandboxError},
    ids::{ClusterName, SandboxId},
    lifetime::Policy,
    observed::Status,
    placement::Terms,
    reap_limiter::ReapLimits,
    request::CreateRequest,
};
use tokio::{task::JoinHandle, time::sleep};

/// The staleness limit of the views.
pub const STALENESS: Duration = Duration::from_secs(30);
/// After this time a cluster that is away is lost.
pub const LOSS: Duration = Duration::from_secs(300);

/// The clusters, and the process that uses them.
pub struct World {
    clusters: BTreeMap<&'static str, Arc<FakeCluster>>,
    terms: BTreeMap<&'static str, Terms>,
    loss_timeout: Option<Duration>,
    writes: Arc<Writes>,
    clock: WallClock,
    process: Option<Process>,
}

struct Process {
    fleet: Fleet,
    streams: Streams,
    tasks: Vec<JoinHandle<()>>,
}

pub fn name(text: &str) -> ClusterName {
    ClusterName::parse(text).unwrap()
}

/// Returns an id whose first clusters are these, in their order, for equal weights.
pub fn id_for(order: &[&str]) -> SandboxId {
    use lifecycle::placement::order::sort;
    let ids = (0..).map(|number| id(&format!("s{number}")));
    let all = ["east", "north", "west"].map(name);
    ids.into_iter()
        .find(|id| {
            let mut sorted = all.clone();
            sort(id, &mut sorted, |name| (name, 100));
            order.iter().zip(&sorted).all(|(wanted, name)| *wanted == name.as_str())
        })
        .unwrap()
}

impl World {
    /// Starts a fleet of the clusters `east`, `north` and `west`.
    pub async fn start() -> Self {
        Self::with(&["east", "north", "west"], Some(LOSS)).await
    }

    pub async fn with(names: &[&'static str], loss_timeout: Option<Duration>) -> Self {
        let (writes, clock) = (Arc::new(Writes::default()), WallClock::start());
        let cluster =
            |text: &&'static str| (*text, FakeCluster::new(name(text), writes.clone(), clock.clone()));
        let clusters = names.iter().map(cluster).collect();
        let terms = names.iter().map(|text| (*text, Terms::default())).collect();
        let mut world = Self { clusters, terms, loss_timeout, writes, clock, process: None };
        world.run().await;
        world
    }

    /// Starts a process on the clusters as they are.
    async fn run(&mut self) {
        let (mut members, mut tasks, streams) = (vec![], vec![], Streams::new(8));
        for (text, cluster) in &self.clusters {
            let (member, task) = start_member(cluster, self.terms[text].clone(), streams.clone()).await;
            tasks.push(task);
            members.push(member);
        }
        let fleet = Fleet::new(members.remove(0), members, self.loss_timeout);
        let settling = fleet.clone();
        tasks.push(tokio::spawn(async move {
            settling.settle_twins().await;
        }));
        self.process = Some(Process { fleet, streams, tasks });
        tokio::task::yield_now().await;
    }

    /// Adds a cluster while the process runs.
    pub async fn add(&mut self, text: &'static str, mode: Mode) {
        let cluster = FakeCluster::new(name(text), self.writes.clone(), self.clock.clone());
        cluster.state().mode = mode;
        let process = self.process.as_mut().unwrap();
        let (member, task) = start_member(&cluster, Terms::default(), process.streams.clone()).await;
        process.tasks.push(task);
        process.fleet.add(member);
        self.clusters.insert(text, cluster);
        self.terms.insert(text, Terms::default());
    }

    /// Kills the process.
    pub async fn kill(&mut self) {
        let Some(Process { fleet, tasks, .. }) = self.process.take() else { return };
        fleet.kill();
        for task in tasks {
            task.abort();
        }
        for member in &*fleet.members() {
            member.sandboxes.ended().await;
        }
        self.writes.revive();
    }

    /// Kills the process and starts another one.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.run().await;
    }

    pub fn fleet(&self) -> &Fleet {
        &self.process.as_ref().unwrap().fleet
    }

    pub fn cluster(&self, text: &str) -> &FakeCluster {
        &self.clusters[text]
    }

    /// Changes the terms of a cluster, also for later processes.
    pub fn set_terms(&mut self, text: &'static str, terms: Terms) {
        self.fleet().member(&name(text)).unwrap().set_terms(terms.clone());
        self.terms.insert(text, terms);
    }

    pub fn set_mode(&self, text: &str, mode: Mode) {
        self.cluster(text).state().mode = mode;
    }

    pub async fn create(&self, id: &SandboxId) -> Result<Status, SandboxError> {
        self.fleet().create(CreateRequest::new(id.clone())).await
    }

    /// Returns the clusters that have a complete sandbox with this id.
    pub fn holders(&self, id: &SandboxId) -> Vec<&'static str> {
        self.clusters.iter().filter(|(_, cluster)| cluster.holds(id)).map(|(text, _)| *text).collect()
    }

    /// Lets the process end at this write, counted from 1 over all clusters.
    pub fn die_at(&self, write: u64, death: Death) {
        self.writes.die_at(write, death);
    }

    /// Waits until the process has ended because of [`World::die_at`].
    pub async fn died(&self) {
        self.writes.died().await;
    }

    /// Returns the number of writes so far.
    pub fn writes(&self) -> u64 {
        self.writes.count()
    }

    /// Asserts that no object is without its counterpart.
    pub fn assert_no_orphans(&self, what: &str) {
        for (text, cluster) in &self.clusters {
            for (id, seen) in &cluster.state().objects {
                assert!(seen.is_empty() || seen.is_whole(), "{what}: {id} on {text}: {seen:?}");
            }
        }
    }
}

/// Starts the actors of a cluster, and its watch.
async fn start_member(
    cluster: &Arc<FakeCluster>,
    terms: Terms,
    streams: Streams,
) -> (Member, JoinHandle<()>) {
    let rules = Rules {
        staleness: STALENESS,
        policy: Policy::default(),
        reap_limits: ReapLimits::default(),
        creates_at_once: 4,
    };
    let sandboxes = cluster.start(rules, streams).await;
    let watch = cluster.watch();
    (Member::new(sandboxes, Arc::new(Vec::new), terms), watch)
}

/// Lets time pass.
pub async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

/// Returns the kind of an error of a cluster.
pub fn kind(error: &SandboxError) -> Option<ClusterErrorKind> {
    match error {
        SandboxError::Refused { fault, .. } | SandboxError::Unavailable { fault, .. } => Some(fault.kind),
        _ => None,
    }
}
