//! Three clusters and a daemon.

use std::{cell::RefCell, rc::Rc, time::Duration};

use http::Method;
use lifecycle::ids::ClusterName;
use sandbox_provisioner::{run::Core, settings::Settings};
use serde_json::{Value, json};
use simcluster::{Capacity, Cluster, Options};
use testkit::{NAMESPACE, Setup};
use tokio::time::sleep;

use super::oracle::Oracle;
use crate::{daemon::Daemon, history::History, world::PROFILES};

/// The names of the clusters.
pub const NAMES: [&str; 3] = ["east", "north", "west"];

/// How long a cluster is away before its sandboxes are made again elsewhere.
pub const LOSS_TIMEOUT: Duration = Duration::from_secs(90);

const SETTINGS: [(&str, &str); 2] =
    [("PROVISIONER_STALENESS_LIMIT", "40s"), ("PROVISIONER_CLUSTER_LOSS_TIMEOUT", "90s")];

/// The lines of each cluster's table. The data of two of them is on shared storage, so that sandboxes can move.
const TABLES: [&str; 3] = ["shares_data = true\n", "", "shares_data = true\n"];

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
        let mut tables = NAMES.map(|name| format!("node_host = \"{name}.example\"\n"));
        for (table, further) in tables.iter_mut().zip(TABLES) {
            table.push_str(further);
        }
        // The text after the last table of a cluster is a part of the file.
        tables[2].push_str(PROFILES);
        let of = NAMES.iter().zip(&tables).zip(&clusters);
        let of = of.map(|((name, table), cluster)| (*name, table.as_str(), cluster.clone()));
        let setup = Setup::new(&SETTINGS).clusters(of);
        let settings = Rc::new(setup.settings());
        let oracle = Rc::default();
        let daemon = Daemon::new(history);
        let capacity = clusters[0].capacity();
        let world = Self { clusters, daemon, oracle, settings, capacity, _setup: Rc::new(setup) };
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

    /// Returns the objects of this resource on a cluster.
    pub fn objects(&self, n: usize, resource: &str) -> Vec<Value> {
        self.clusters[n].objects(resource, Some(NAMESPACE))
    }
}
