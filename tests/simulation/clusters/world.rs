//! Three clusters and a daemon.

use std::{cell::RefCell, rc::Rc, time::Duration};

use http::Method;
use lifecycle::ids::ClusterName;
use sandbox_provisioner::{run::Core, settings::Settings};
use serde_json::{Value, json};
use simcluster::{Cluster, Options};
use testkit::{NAMESPACE, Setup};
use tokio::time::sleep;

use super::oracle::Oracle;
use crate::{daemon::Daemon, history::History};

/// The names of the clusters.
pub const NAMES: [&str; 3] = ["east", "north", "west"];

/// How long a cluster is away before its sandboxes are made again elsewhere.
pub const LOSS_TIMEOUT: Duration = Duration::from_secs(90);

const SETTINGS: [(&str, &str); 2] =
    [("PROVISIONER_STALENESS_LIMIT", "40s"), ("PROVISIONER_CLUSTER_LOSS_TIMEOUT", "90s")];

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
    _setup: Rc<Setup>,
}

impl World {
    /// Starts a daemon on three clusters.
    pub async fn new(seed: u64, history: History) -> Self {
        let start = Some("2026-01-01T00:00:00Z".parse().unwrap());
        let cluster = |n: u64| {
            let seed = Some(seed.wrapping_mul(3).wrapping_add(n));
            Cluster::start(Options { seed, start, ..Options::with_namespace(NAMESPACE) })
        };
        let clusters: Vec<_> = (0..3).map(cluster).collect();
        for (words, cluster) in ["east: ", "north: ", "west: "].into_iter().zip(&clusters) {
            history.follow(words, cluster);
        }
        let tables = NAMES.map(|name| format!("node_host = \"{name}.example\"\n"));
        let of = NAMES.iter().zip(&tables).zip(&clusters);
        let of = of.map(|((name, table), cluster)| (*name, table.as_str(), cluster.clone()));
        let setup = Setup::new(&SETTINGS).clusters(of);
        let settings = Rc::new(setup.settings());
        let oracle = Rc::default();
        let daemon = Daemon::new(history);
        let world = Self { clusters, daemon, oracle, settings, _setup: Rc::new(setup) };
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
        self.daemon.call(Method::PATCH, &path, Some(json!({"drain": drain}))).await;
    }

    /// Ends all faults, waits, and checks the final state.
    pub async fn calm_down(&self) {
        self.daemon.history.note("all is well from now on");
        for cluster in &self.clusters {
            cluster.clear_faults();
            cluster.stall_watches(false);
            cluster.set_away(false);
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
