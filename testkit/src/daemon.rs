//! The daemon in this process.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    net::SocketAddr,
    ops::Deref,
    path::Path,
    sync::Arc,
};

use sandbox_provisioner::{
    run::{self, Core},
    settings::{ClusterSettings, Settings, environment::Environment, load, sources::FlagValues},
};
use simcluster::{Cluster, Options};
use tempfile::TempDir;
use tracing::dispatcher::DefaultGuard;

use crate::{Client, Log, NAMESPACE, object_names};

/// A daemon in this process and the embedded cluster that it runs on. Dropping it is a crash.
///
/// It is its own [`Client`]. If the test fails, the log is printed.
pub struct Daemon {
    /// The cluster, which survives the daemon.
    pub cluster: Cluster,
    setup: Setup,
    running: Option<Running>,
    client: Client,
    log: Log,
    _capture: DefaultGuard,
}

/// The settings and the cluster of a daemon.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Setup {
    variables: HashMap<String, String>,
    cluster: Option<Cluster>,
    /// Several clusters, by the names of their tables.
    clusters: BTreeMap<String, Cluster>,
    /// The directory of the settings file with the tables.
    directory: Option<Arc<TempDir>>,
    /// Whether the daemon listens on a port.
    listens: bool,
    /// The maximum length of an answer of the API server, instead of the usual.
    answer_max: Option<usize>,
}

enum Running {
    Core(Core),
    Listening(run::Daemon),
}

/// Returns the default settings with these environment variables, on a port that the system chooses.
#[must_use]
pub fn settings(variables: &[(&str, &str)]) -> Settings {
    Setup::new(variables).settings()
}

// === impl Setup ===

impl Setup {
    /// Starts with these environment variables.
    pub fn new(variables: &[(&str, &str)]) -> Self {
        let mut setup = Self::default();
        for (name, value) in [("PROVISIONER_LISTEN", "127.0.0.1:0"), ("NODE_HOST", "127.0.0.1")] {
            setup = setup.set(name, value);
        }
        variables.iter().fold(setup, |setup, (name, value)| setup.set(name, value))
    }

    /// Sets an environment variable.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Uses this cluster.
    pub fn cluster(self, cluster: Cluster) -> Self {
        Self { cluster: Some(cluster), ..self }
    }

    /// Uses several clusters, each with a name and the further lines of its table in the settings file. The first one is
    /// [`Daemon::cluster`].
    pub fn clusters<'a>(mut self, clusters: impl IntoIterator<Item = (&'a str, &'a str, Cluster)>) -> Self {
        let mut file = String::new();
        for (name, table, cluster) in clusters {
            writeln!(file, "[clusters.{name}]\n{table}").unwrap();
            self.cluster.get_or_insert_with(|| cluster.clone());
            self.clusters.insert(name.to_owned(), cluster);
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("settings.toml");
        std::fs::write(&path, file).unwrap();
        self.directory = Some(Arc::new(directory));
        // Embedded clusters may have the same namespace.
        self.set("PROVISIONER_EMBEDDED", "true").set("SANDBOX_PROVISIONER_CONFIG", path.to_str().unwrap())
    }

    /// Reaches the cluster through a kubeconfig.
    pub fn kubeconfig(self, path: &Path) -> Self {
        self.set("KUBECONFIG_PATH", path.to_str().unwrap())
    }

    /// Reads at most this number of bytes of an answer of the API server.
    pub fn answer_max(self, bytes: usize) -> Self {
        Self { answer_max: Some(bytes), ..self }
    }

    /// Listens on a port. Sockets do not work under a paused clock.
    pub fn listening(self) -> Self {
        Self { listens: true, ..self }
    }

    /// Parses the settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let environment = Environment::from_lookup(|name| self.variables.get(name).map(Into::into));
        let loaded = load::for_serving(None, &environment, &FlagValues::default());
        let mut settings = loaded.map(|loaded| loaded.settings).unwrap();
        for cluster in settings.clusters.iter_mut() {
            let answer = &mut cluster.kubernetes.limits.answer;
            *answer = self.answer_max.unwrap_or(*answer);
        }
        settings
    }

    /// Starts the daemon, which may not be ready yet.
    pub async fn start(mut self) -> Daemon {
        let (log, capture) = Log::capture();
        let cluster = self.cluster.get_or_insert_with(|| Cluster::start(Options::default())).clone();
        let (running, client) = self.run().await;
        Daemon { cluster, setup: self, running: Some(running), client, log, _capture: capture }
    }

    async fn run(&self) -> (Running, Client) {
        let settings = self.settings();
        let reached_directly = !self.variables.contains_key("KUBECONFIG_PATH");
        let embedded = self.cluster.clone().filter(|_| reached_directly);
        let of = |cluster: &ClusterSettings| {
            let named = self.clusters.get(cluster.name.as_str()).or(embedded.as_ref());
            Some((cluster.name.clone(), named?.clone()))
        };
        let embedded: Vec<_> = settings.clusters.iter().filter_map(of).collect();
        let (running, client) = if self.listens {
            let daemon = run::Daemon::start(&settings, embedded).await.unwrap();
            let client = Client::at(daemon.address()).described();
            (Running::Listening(daemon), client)
        } else {
            let core = Core::start(&settings, embedded).await.unwrap();
            let client = Client::direct(core.frontend().clone());
            (Running::Core(core), client)
        };
        let key = self.variables.get("PROVISIONER_API_KEY");
        (running, client.with_key(key.map(String::as_str)))
    }
}

// === impl Daemon ===

impl Daemon {
    /// Starts a daemon without a socket on a default cluster that has the namespace, and waits until it is ready.
    pub async fn start() -> Self {
        Self::on(Cluster::start(Options::with_namespace(NAMESPACE))).await.ready().await
    }

    /// Starts a daemon without a socket on this cluster.
    pub async fn on(cluster: Cluster) -> Self {
        Setup::new(&[]).cluster(cluster).start().await
    }

    /// Starts a daemon on a port and a default cluster, and waits until it is ready.
    pub async fn listening() -> Self {
        Setup::new(&[]).listening().start().await.ready().await
    }

    /// Waits until the daemon is ready.
    pub async fn ready(self) -> Self {
        self.until_ready().await;
        self
    }

    /// Kills the daemon and starts it again.
    pub async fn restart(&mut self) {
        self.running = None;
        let (running, client) = self.setup.run().await;
        self.running = Some(running);
        self.client = client;
    }

    /// Shuts a listening daemon down gracefully.
    pub async fn stop(mut self) -> run::Stopped {
        match self.running.take() {
            Some(Running::Listening(daemon)) => daemon.stop().await,
            _ => panic!("the daemon does not listen"),
        }
    }

    /// Returns a client with the daemon's API key.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Returns the address of a listening daemon.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match &self.running {
            Some(Running::Listening(daemon)) => daemon.address(),
            _ => panic!("the daemon does not listen"),
        }
    }

    /// Returns a client, without a key, of the address on which a listening daemon serves its metrics alone.
    #[must_use]
    pub fn metrics_client(&self) -> Client {
        match &self.running {
            Some(Running::Listening(daemon)) => Client::at(daemon.metrics_address().unwrap()),
            _ => panic!("the daemon does not listen"),
        }
    }

    /// Returns the backend of the routes.
    #[must_use]
    pub fn fleet(&self) -> &fleet::Fleet {
        match self.running.as_ref().expect("it runs") {
            Running::Core(core) => core.fleet(),
            Running::Listening(daemon) => daemon.fleet(),
        }
    }

    /// Returns the namespace of the sandboxes.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.setup.variables.get("K8S_NAMESPACE").map_or(NAMESPACE, String::as_str)
    }

    /// Returns the Pods and Services that the cluster holds, as `pods sandbox-a`.
    #[must_use]
    pub fn objects(&self) -> Vec<String> {
        object_names(&self.cluster, self.namespace())
    }

    /// Returns the calls so far for single Pods and Services, as `create pods sandbox-a`. Those of the watch are left
    /// out.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        let mut calls: Vec<_> = self
            .cluster
            .calls()
            .into_iter()
            .filter(|call| {
                !matches!(&*call.verb.to_string(), "list" | "watch") && call.resource != "namespaces"
            })
            .map(|call| format!("{} {} {}", call.verb, call.resource, call.name.unwrap_or_default()))
            .collect();
        calls.sort();
        calls
    }

    /// Returns the log lines that contain these words.
    #[must_use]
    pub fn logged(&self, words: &str) -> String {
        self.log.lines(words)
    }
}

impl Deref for Daemon {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon logged:\n{}", self.logged(""));
        }
    }
}
