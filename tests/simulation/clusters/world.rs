//! Three clusters and a daemon.

use std::{cell::RefCell, rc::Rc, time::Duration};

use http::Method;
use lifecycle::ids::ClusterName;
use sandbox_provisioner::{run::Core, settings::Settings};
use serde_json::{Value, json};
use simcluster::{Capacity, Cluster, Options};
use testkit::{NAMESPACE, Setup};
use tokio::time::sleep;

use super::{clients::LASTING, counts::Counts, oracle::Oracle};
use crate::{daemon::Daemon, history::History, world::PROFILES};

/// The names of the clusters.
pub const NAMES: [&str; 3] = ["east", "north", "west"];

/// How long a cluster is away before its sandboxes are made again elsewhere.
pub const LOSS_TIMEOUT: Duration = Duration::from_secs(90);

/// How long after its last news a cluster is known.
pub const STALENESS: Duration = Duration::from_secs(40);

const SETTINGS: [(&str, &str); 2] =
    [("PROVISIONER_STALENESS_LIMIT", "40s"), ("PROVISIONER_CLUSTER_LOSS_TIMEOUT", "90s")];

/// Whether the data of each cluster is on shared storage. Sandboxes move between those where it is.
pub const SHARES_DATA: [bool; 3] = [true, false, true];

/// The number of node ports of the cluster with the fewest, which is less than the number of sandboxes.
const FEW_PORTS: u16 = 3;

/// The quota of a cluster that is full.
const QUOTA: &str = "full";

/// The time without faults before the final check: the return of all clusters, the end of twins, the grace of an orphan, and a
/// deletion.
const CALM: Duration = Duration::from_secs(300);

/// The state that all parts of a simulation share.
#[derive(Clone)]
pub struct World {
    pub clusters: Vec<Cluster>,
    pub daemon: Daemon,
    pub oracle: Rc<RefCell<Oracle>>,
    pub counts: Rc<RefCell<Counts>>,
    settings: Rc<Settings>,
    /// The capacity of each node.
    capacity: Capacity,
    _setup: Rc<Setup>,
}

impl World {
    /// Starts a daemon on three clusters.
    pub async fn new(seed: u64, history: History) -> Self {
        let start = Some("2026-01-01T00:00:00Z".parse().unwrap());
        let cluster = |n: u64| {
            let seed = Some(seed.wrapping_mul(3).wrapping_add(n));
            let options = Options { seed, start, ..Options::with_namespace(NAMESPACE) };
            let first = *options.node_ports.start();
            let node_ports = if n == 1 { first..=first + FEW_PORTS - 1 } else { options.node_ports.clone() };
            Cluster::start(Options { node_ports, ..options })
        };
        let clusters: Vec<_> = (0..3).map(cluster).collect();
        for (words, cluster) in ["east: ", "north: ", "west: "].into_iter().zip(&clusters) {
            history.follow(words, cluster);
        }
        let table =
            |n: usize| format!("node_host = \"{}.example\"\nshares_data = {}\n", NAMES[n], SHARES_DATA[n]);
        let mut tables = [0, 1, 2].map(table);
        // The text after the last table of a cluster is a part of the file.
        tables[2].push_str(PROFILES);
        let of = NAMES.iter().zip(&tables).zip(&clusters);
        let of = of.map(|((name, table), cluster)| (*name, table.as_str(), cluster.clone()));
        let setup = Setup::new(&SETTINGS).clusters(of);
        let settings = Rc::new(setup.settings());
        let (oracle, counts) = (Rc::default(), Rc::default());
        let daemon = Daemon::new(history);
        let capacity = clusters[0].capacity();
        let world = Self { clusters, daemon, oracle, counts, settings, capacity, _setup: Rc::new(setup) };
        world.start_daemon().await;
        world
    }

    pub async fn start_daemon(&self) {
        self.daemon.history.note("the daemon starts");
        let names = NAMES.map(|name| ClusterName::parse(name).unwrap());
        let clusters = names.into_iter().zip(self.clusters.iter().cloned());
        let core = Core::start(&self.settings, clusters).await.unwrap();
        self.oracle.borrow_mut().started();
        self.daemon.run(core);
    }

    /// Lets a cluster get no new sandboxes, or some again.
    pub async fn drain(&self, n: usize, drain: bool) {
        let path = format!("/api/clusters/{}", NAMES[n]);
        if !drain {
            self.oracle.borrow_mut().undrained(n);
        }
        let answer = self.daemon.call(Method::PATCH, &path, Some(json!({"drain": drain}))).await;
        if drain && answer.is_some_and(|answer| answer.status == 200) {
            self.oracle.borrow_mut().drained(n);
        }
    }

    /// Returns which clusters the daemon knows now, like an operator who looks; `None` without an answer.
    pub async fn fresh(&self) -> Option<[bool; 3]> {
        let answer = self.daemon.call(Method::GET, "/api/clusters", None).await?;
        let of = |name: &str| {
            let clusters = answer.body["clusters"].as_array().unwrap();
            clusters.iter().any(|cluster| cluster["name"] == name && !cluster["fresh_since"].is_null())
        };
        Some(NAMES.map(of))
    }

    /// Lets the API server of a cluster refuse all connections, or take them again.
    pub fn set_away(&self, n: usize, is_away: bool) {
        self.daemon.history.note(format_args!("{} is away: {is_away}", NAMES[n]));
        self.clusters[n].set_away(is_away);
        let mut oracle = self.oracle.borrow_mut();
        if is_away { oracle.fault_started(n) } else { oracle.fault_ended(n) }
    }

    /// Lets the quota of a cluster allow no further object of this kind, or ends that.
    pub fn limit(&self, n: usize, resource: Option<&str>) {
        let Some(resource) = resource else {
            // Another fault may have ended it.
            let _ = self.clusters[n].remove("resourcequotas", NAMESPACE, QUOTA);
            return;
        };
        let most = self.objects(n, resource.split('.').next().unwrap()).len();
        let quota = json!({
            "metadata": {"name": QUOTA, "namespace": NAMESPACE},
            "spec": {"hard": { resource: most.to_string() }},
        });
        self.clusters[n].put("resourcequotas", quota).unwrap();
    }

    /// Lets the node of a cluster take no further Pod, or some again.
    pub fn fill_node(&self, n: usize, is_full: bool) {
        let capacity = if is_full { Capacity { pods: 0, ..self.capacity } } else { self.capacity };
        self.clusters[n].set_capacity(capacity);
    }

    /// Returns whether a cluster has the claim of a sandbox's workspace.
    pub fn has_claim(&self, n: usize, id: &str) -> bool {
        self.objects(n, "persistentvolumeclaims").iter().any(|claim| {
            claim["metadata"]["annotations"]["sandbox-provisioner/sandbox-id"] == id
                && claim["metadata"]["deletionTimestamp"].is_null()
        })
    }

    /// Ends all faults, waits, and checks the final state.
    pub async fn calm_down(&self) {
        self.daemon.history.note("all is well from now on");
        for (n, cluster) in self.clusters.iter().enumerate() {
            cluster.clear_faults();
            cluster.stall_watches(false);
            cluster.set_away(false);
            self.limit(n, None);
            self.fill_node(n, false);
        }
        if !self.daemon.is_up() {
            self.start_daemon().await;
        }
        sleep(CALM).await;
        let list = self.daemon.insist(Method::GET, "/api/sandboxes", None, &[200]).await;
        self.oracle.borrow_mut().check_final_state(self, &list.body);
    }

    /// Returns the Pod of a sandbox on a cluster.
    pub fn pod(&self, n: usize, id: &str) -> Option<Value> {
        self.clusters[n].object("pods", NAMESPACE, &format!("sandbox-{id}"))
    }

    /// Returns the Pod of a sandbox that is whole on a cluster, if neither object is being deleted.
    pub fn live_pod(&self, n: usize, id: &str) -> Option<Value> {
        let service = self.clusters[n].object("services", NAMESPACE, &format!("sandbox-{id}-svc"))?;
        let lives = |object: &Value| object["metadata"]["deletionTimestamp"].is_null();
        self.pod(n, id).filter(|pod| lives(pod) && lives(&service))
    }

    /// Returns a cluster with a replacement of a lasting sandbox of this cluster.
    pub fn replacement_of(&self, n: usize) -> Option<usize> {
        let is_one = |other: &usize, id: &str| {
            let pod = self.live_pod(*other, id);
            pod.is_some_and(|pod| replaces(&pod) == Some("lost")) && self.live_pod(n, id).is_some()
        };
        let others = (0..NAMES.len()).filter(|other| *other != n);
        others.into_iter().find(|other| LASTING.iter().any(|id| is_one(other, id)))
    }

    /// Returns the objects of this resource on a cluster.
    pub fn objects(&self, n: usize, resource: &str) -> Vec<Value> {
        self.clusters[n].objects(resource, Some(NAMESPACE))
    }
}

/// Returns why a Pod was made in place of another, if it was.
pub fn replaces(pod: &Value) -> Option<&str> {
    pod["metadata"]["annotations"]["sandbox-provisioner/replacement"].as_str()
}

pub fn uid(pod: &Value) -> &str {
    pod["metadata"]["uid"].as_str().unwrap()
}
