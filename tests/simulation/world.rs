//! A cluster, a daemon that can be killed, and the calls of clients.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request};
use sandbox_provisioner::{run::Core, settings::Settings};
use serde_json::Value;
use simcluster::{Cluster, Options};
use testkit::{Answer, Client, Events, NAMESPACE, Setup};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{chaos, clients, foreign_objects, history::History, oracle::Oracle};

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
const PROFILES: &str = "
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
    process: Rc<RefCell<Option<Process>>>,
    /// The number of processes so far.
    starts: Rc<Cell<u32>>,
    settings: Rc<Settings>,
    workspaces: Workspaces,
}

/// A running daemon.
struct Process {
    core: Core,
    killed: CancellationToken,
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
        history.follow(&cluster);
        foreign_objects::create(&cluster);
        let world = Self {
            cluster,
            oracle: Rc::default(),
            history,
            process: Rc::default(),
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

    /// Returns whether a daemon is running.
    pub fn is_up(&self) -> bool {
        self.process.borrow().is_some()
    }

    /// Kills the daemon at once.
    pub fn kill_daemon(&self) {
        if let Some(process) = self.process.borrow_mut().take() {
            self.history.note("the daemon is killed");
            process.killed.cancel();
        }
    }

    pub async fn start_daemon(&self) {
        self.history.note("the daemon starts");
        self.starts.set(self.starts.get() + 1);
        let core =
            Core::start(&self.settings, [(self.settings.clusters.first.name.clone(), self.cluster.clone())])
                .await
                .unwrap();
        self.oracle.borrow_mut().restarted(&self.cluster);
        *self.process.borrow_mut() = Some(Process { core, killed: CancellationToken::new() });
    }

    /// Calls the daemon. Returns `None` if the daemon is down or is killed before it answers.
    ///
    /// # Panics
    /// Panics if the answer is late or malformed (invariant 7).
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Option<Answer> {
        let (client, killed) = {
            let process = self.process.borrow();
            let process = process.as_ref()?;
            (Client::direct(process.core.edge().clone()), process.killed.clone())
        };
        // Slightly less than the timeouts of existing clients.
        let longest = match method {
            Method::POST => Duration::from_millis(25_100),
            Method::DELETE => Duration::from_millis(12_100),
            _ => Duration::from_millis(9_000),
        };
        let asked = match &body {
            Some(body) => format!("{method} {path} {body}"),
            None => format!("{method} {path}"),
        };
        let mut request = Request::builder().method(&method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.body(Bytes::from(body)).unwrap();
        let begun = Instant::now();
        let answer = timeout(longest, client.request(request));
        let answer = tokio::select! {
            biased;
            () = killed.cancelled() => {
                self.history.note(format_args!("{asked}: the connection is lost"));
                return None;
            }
            answer = answer => answer,
        };
        let answer =
            answer.unwrap_or_else(|_| panic!("invariant 7: {method} {path} takes {:?}", begun.elapsed()));
        let answer = answer.unwrap();
        let Answer { status, body, .. } = &answer;
        self.history.note(format_args!("{asked}: {status} {body}"));
        let well_formed = if *status < 300 { body.is_object() } else { body["detail"].is_string() };
        assert!(well_formed, "invariant 7: {method} {path}: {status} {body}");
        let known = body["reason"].is_string();
        assert!(*status != 500 || known, "what happens here is no mistake of ours: {method} {path}: {body}");
        assert!(
            *status != 503 || answer.retry_after().is_some(),
            "a 503 says when to come again: {method} {path}: {body}"
        );
        Some(answer)
    }

    /// Opens a stream of all events. Returns `None` if the daemon is down or refuses it, and the token of its end.
    pub async fn events(&self, after: Option<&str>) -> Option<(Events, CancellationToken)> {
        let (client, killed) = {
            let process = self.process.borrow();
            let process = process.as_ref()?;
            (Client::direct(process.core.edge().clone()), process.killed.clone())
        };
        let opened = tokio::select! {
            biased;
            () = killed.cancelled() => return None,
            opened = client.events("/api/events", after) => opened,
        };
        match opened {
            Ok(events) => Some((events, killed)),
            Err(answer) => {
                assert_eq!(answer.status, 503, "{answer}");
                None
            }
        }
    }

    /// Repeats the call until the status is one of these, like a client that needs it.
    pub async fn insist(&self, method: Method, path: &str, body: Option<Value>, wanted: &[u16]) -> Answer {
        for _ in 0..100 {
            match self.call(method.clone(), path, body.clone()).await {
                Some(answer) if wanted.contains(&answer.status) => return answer,
                _ => sleep(Duration::from_secs(1)).await,
            }
        }
        panic!("{method} {path} is not answered with one of {wanted:?}");
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
