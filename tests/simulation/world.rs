//! A cluster, a daemon that can be killed, and the calls of clients.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use http::Method;
use sandbox_provisioner::{run::Core, settings::Settings};
use serde_json::Value;
use simcluster::{Cluster, Options};
use testkit::{Answer, NAMESPACE, Setup};
use tokio::time::sleep;

use super::{chaos, clients, daemon::Daemon, foreign_objects, history::History, oracle::Oracle};

/// The settings of every daemon. No sandbox answers activity probes here, and other tests cover the reap limits.
const SETTINGS: [(&str, &str); 4] = [
    ("PROVISIONER_IDLE_PROBES", "none"),
    ("PROVISIONER_REAP_GRACE", "1s"),
    ("PROVISIONER_REAP_MAX_PER_MINUTE", "unlimited"),
    ("PROVISIONER_REAP_MAX_SHARE", "100"),
];

/// The longest answer of the API server that the daemon reads: far less than in reality, so that large objects are cheap.
/// An event of the watch may have a quarter of it.
pub const ANSWER_MAX: usize = 256 << 10;

/// The time without faults before the final check: the grace of an orphan, a late update, and a deletion.
const CALM: Duration = Duration::from_secs(200);

/// The profiles. A kept workspace outlives every simulation.
pub const PROFILES: &str = "
[profiles.keep]
workspace = { size = '1Gi', scope = 'sandbox', when_deleted = 'keep', keep_for = '3650d' }

[profiles.expire]
workspace = { size = '1Gi', scope = 'sandbox', when_deleted = 'keep', keep_for = '105s' }

[profiles.delete]
workspace = { size = '1Gi', scope = 'sandbox', when_deleted = 'delete' }
";

/// The sandboxes that have a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workspaces {
    /// No sandbox. No profile is configured.
    None,
    /// Every sandbox, with this profile.
    All(&'static str),
    /// Some of the sandboxes of [`super::clients`].
    Some,
}

/// The state that all parts of a simulation share. A simulation runs on one thread.
#[derive(Clone)]
pub struct World {
    pub cluster: Cluster,
    pub oracle: Rc<RefCell<Oracle>>,
    pub history: History,
    pub daemon: Daemon,
    /// The number of processes so far.
    starts: Rc<Cell<u32>>,
    settings: Rc<Settings>,
    workspaces: Workspaces,
}

/// Runs a simulation on this thread, with random numbers generated from the seed.
pub fn simulate<F: Future>(seed: u64, simulation: F) -> F::Output {
    fastrand::seed(seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, simulation)
}

impl World {
    /// Starts a daemon on a cluster that also contains foreign objects.
    pub async fn new(seed: u64, history: History, workspaces: Workspaces) -> Self {
        let start = Some("2026-01-01T00:00:00Z".parse().unwrap());
        let cluster =
            Cluster::start(Options { seed: Some(seed), start, ..Options::with_namespace(NAMESPACE) });
        history.follow("", &cluster);
        foreign_objects::create(&cluster);
        let world = Self {
            cluster,
            oracle: Rc::default(),
            daemon: Daemon::new(history.clone()),
            history,
            starts: Rc::default(),
            settings: Rc::new(settings(workspaces)),
            workspaces,
        };
        world.start_daemon().await;
        world
    }

    /// Returns the profile that a create of this sandbox names.
    pub fn profile_of(&self, id: &str) -> Option<&'static str> {
        match self.workspaces {
            Workspaces::None => None,
            Workspaces::All(profile) => Some(profile),
            Workspaces::Some => clients::profile_of(id),
        }
    }

    pub fn is_up(&self) -> bool {
        self.daemon.is_up()
    }

    /// Kills the daemon at once.
    pub fn kill_daemon(&self) {
        self.daemon.kill();
    }

    pub async fn start_daemon(&self) {
        self.history.note("the daemon starts");
        self.starts.set(self.starts.get() + 1);
        let core =
            Core::start(&self.settings, [(self.settings.clusters.first.name.clone(), self.cluster.clone())])
                .await
                .unwrap();
        self.oracle.borrow_mut().restarted(&self.cluster);
        self.daemon.run(core);
    }

    /// See [`Daemon::call`].
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Option<Answer> {
        self.daemon.call(method, path, body).await
    }

    /// See [`Daemon::insist`].
    pub async fn insist(&self, method: Method, path: &str, body: Option<Value>, wanted: &[u16]) -> Answer {
        self.daemon.insist(method, path, body, wanted).await
    }

    /// Deletes what a mutating admission has left without labels when the daemon was killed, or an answer was lost, before
    /// it could be taken back: only an operator may do that (invariant 9).
    fn delete_unlabelled(&self) {
        for resource in ["pods", "services"] {
            for object in self.cluster.objects(resource, Some(NAMESPACE)) {
                let name = object["metadata"]["name"].as_str().unwrap();
                let labels = &object["metadata"]["labels"];
                let is_ours = labels["app"] == "deer-flow-sandbox" && labels["sandbox-id"].is_string();
                if !is_ours && !foreign_objects::contains(name) {
                    self.history.note(format_args!("{resource} {name} has no labels and is deleted by hand"));
                    self.cluster.remove(resource, NAMESPACE, name).unwrap();
                }
            }
        }
    }

    /// Ends all faults, waits, and checks the final state.
    pub async fn calm_down(&self) {
        self.history.note("all is well from now on");
        self.cluster.clear_faults();
        self.cluster.stall_watches(false);
        self.cluster.set_away(false);
        chaos::shrink(self);
        if !self.is_up() {
            self.start_daemon().await;
        }
        // By then every call that began during the faults has ended.
        sleep(CALM / 2).await;
        self.delete_unlabelled();
        sleep(CALM).await;
        let listed = self.insist(Method::GET, "/api/sandboxes", None, &[200]).await;
        self.oracle.borrow_mut().check_final_state(&self.cluster, &listed.body);
        foreign_objects::check(&self.cluster);
    }
}

/// Returns the settings of every daemon.
fn settings(workspaces: Workspaces) -> Settings {
    let setup = Setup::new(&SETTINGS).answer_max(ANSWER_MAX);
    if workspaces == Workspaces::None {
        return setup.settings();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    std::fs::write(&path, PROFILES).unwrap();
    setup.set("SANDBOX_PROVISIONER_CONFIG", path.to_str().unwrap()).settings()
}
