//! A healthy cluster with one sandbox, and the subject of a diagnosis of it.

use std::{future::pending, net::SocketAddr, sync::Arc, time::Duration};

use doctor::{
    Cluster as Where, Daemon, DaemonUrl, Machine, Report, Selection, SettingsFacts, Subject, gather,
};
use kubernetes::{
    connect::{Connection, Limits, Options as ConnectOptions},
    inspect,
    manifest::{self, Template},
    profile::{HostPaths, Profile, Profiles},
};
use lifecycle::{
    ids::{ProfileName, SandboxId},
    request::CreateRequest,
};
use serde_json::{Value, json};
use simcluster::{Cluster, NodeOptions, Options, Times};
use tokio::{net::TcpListener, time::Instant};

pub const NAMESPACE: &str = "deer-flow";

/// The time of a diagnosis: that of the command line.
pub const TIME: Duration = Duration::from_millis(2800);

/// Checks that a diagnosis that began at this time ended at its deadline. A busy machine may be late; without the deadline
/// the calls would take 10 s and more.
pub fn ended_in_time(begin: Instant, fault: &str) {
    let tolerance = Duration::from_secs(2);
    assert!(begin.elapsed() < TIME + tolerance, "{fault}: {:?}", begin.elapsed());
}

/// A cluster with a sandbox `a`, and how it is diagnosed.
pub struct Case {
    pub cluster: Cluster,
    pub subject: Subject,
}

/// Returns options of a cluster whose sandboxes can be dialled.
pub fn options() -> Options {
    Options {
        namespaces: vec![NAMESPACE.to_owned()],
        sandbox_servers: Some([127, 0, 0, 1].into()),
        node: Some(NodeOptions { times: Times::INSTANT, ..NodeOptions::default() }),
        ..Options::default()
    }
}

/// Returns options with this number of nodes.
pub fn nodes(count: usize) -> Options {
    let node = NodeOptions { times: Times::INSTANT, ..NodeOptions::several(count) };
    Options { node: Some(node), ..options() }
}

pub fn template() -> Template {
    Template { node_host: "127.0.0.1".to_owned(), ..Template::default() }
}

/// Returns a template with one profile, whose fields are JSON.
pub fn with_profile(template: Template, fields: &Value) -> Template {
    with_named_profile(template, "special", fields)
}

/// Returns a template with one profile of this name.
pub fn with_named_profile(template: Template, name: &str, fields: &Value) -> Template {
    let mut profile = Profile::default();
    for (field, value) in fields.as_object().unwrap() {
        profile.set(field, value).unwrap();
    }
    let written = [(ProfileName::parse(name).unwrap(), profile)].into();
    let host_paths = HostPaths { user_data: false, skills: false };
    let profiles = Profiles::new(&written, &manifest::default_resources(), host_paths).unwrap();
    Template { profiles, ..template }
}

/// Returns an address on which nothing listens.
pub fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub fn subject(template: Template, cluster: Where) -> Subject {
    let settings = SettingsFacts {
        listen: Some("127.0.0.1:8002".parse().unwrap()),
        template,
        ..SettingsFacts::default()
    };
    let machine = Machine { is_container: false, is_pod: false, now: jiff::Timestamp::now() };
    let url = DaemonUrl::of(free_address());
    let daemon = Daemon { metrics: Some(url.clone()), url, is_named: false, key: None, version: "1.2.3" };
    Subject { settings, machine, cluster, name: None, daemon }
}

/// Returns the options of a connection with this kubeconfig.
pub fn connect(path: impl Into<std::path::PathBuf>) -> ConnectOptions {
    ConnectOptions {
        kubeconfig: path.into(),
        setting: "KUBECONFIG_PATH".to_owned(),
        context: None,
        in_cluster: None,
        api_server: None,
        tls_server_name: None,
        insecure_skip_tls_verify: false,
    }
}

/// Returns the time an hour ago, as Kubernetes writes it.
pub fn an_hour_ago() -> String {
    let now = jiff::Timestamp::now();
    let hour = jiff::SignedDuration::from_hours(1);
    jiff::Timestamp::from_second((now - hour).as_second()).unwrap().to_string()
}

/// Serves a cluster over HTTP for as long as the test runs.
pub async fn serve(cluster: &Cluster) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(simcluster::serve(listener, cluster.clone(), pending()));
    url
}

// === impl Case ===

impl Case {
    /// Starts a healthy cluster with a ready sandbox.
    pub async fn healthy() -> Self {
        Self::start(options(), template()).await.with_sandbox("a").await
    }

    /// Starts a cluster without a sandbox.
    pub async fn start(options: Options, template: Template) -> Self {
        let nodes = options.node.as_ref().map_or(0, |node| 1 + node.others.len());
        let cluster = Cluster::start(options);
        let limit = Duration::from_secs(5);
        cluster.wait_for("nodes", None, limit, |found| found.len() == nodes).await.unwrap();
        for node in cluster.objects("nodes", None) {
            let images = json!([{"names": [&template.image], "sizeBytes": 1}]);
            let name = node["metadata"]["name"].as_str().unwrap();
            cluster.change("nodes", "", name, |node| node["status"]["images"] = images.clone()).unwrap();
        }
        let connection = Connection::from_service(cluster.service(), NAMESPACE, Limits::default());
        let subject = subject(template, Where::Embedded { connection, has_sandboxes: true });
        Self { cluster, subject }
    }

    /// Creates a sandbox and waits until it is ready.
    pub async fn with_sandbox(self, id: &str) -> Self {
        self.create(id).await;
        let limit = Duration::from_secs(5);
        let is_ready = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
        };
        self.cluster
            .wait_for("pods", Some(NAMESPACE), limit, |pods| !pods.is_empty() && pods.iter().all(is_ready))
            .await
            .unwrap();
        self
    }

    /// Creates a sandbox.
    pub async fn create(&self, id: &str) {
        let request = CreateRequest::new(SandboxId::parse(id).unwrap());
        let manifests = manifest::build(&self.subject.settings.template, &request).unwrap();
        let connection = Connection::from_service(self.cluster.service(), NAMESPACE, Limits::default());
        for (kind, object) in [("pods", json!(manifests.pod)), ("services", json!(manifests.service))] {
            let path = format!("/api/v1/namespaces/{NAMESPACE}/{kind}");
            inspect::create(&connection, &path, &object, TIME).await.unwrap();
        }
    }

    /// Changes an object of the namespace.
    pub fn change(&self, resource: &str, name: &str, change: impl FnOnce(&mut Value)) {
        self.cluster.change(resource, NAMESPACE, name, change).unwrap();
    }

    /// Stores an object.
    pub fn put(&self, resource: &str, object: Value) {
        self.cluster.put(resource, object).unwrap();
    }

    /// Makes the sandbox `a` an hour old.
    pub fn age(&self) {
        for (kind, name) in [("pods", "sandbox-a"), ("services", "sandbox-a-svc")] {
            self.change(kind, name, |object| {
                object["metadata"]["creationTimestamp"] = an_hour_ago().into();
            });
        }
    }

    pub fn template(mut self, change: impl FnOnce(Template) -> Template) -> Self {
        self.subject.settings.template = change(self.subject.settings.template);
        self
    }

    /// Checks everything but slow checks.
    pub async fn report(&self) -> Report {
        report(&self.subject, &Selection::default()).await
    }

    /// Asserts that exactly these checks fail or warn.
    pub async fn finds(&self, fault: &str, codes: &[&str]) {
        finds(fault, &self.subject, &Selection::default(), codes).await;
    }
}

pub async fn report(subject: &Subject, selection: &Selection) -> Report {
    Report::new(&Box::pin(gather(subject, selection, TIME)).await, selection)
}

/// Asserts that exactly these checks fail or warn.
pub async fn finds(fault: &str, subject: &Subject, selection: &Selection, codes: &[&str]) {
    let report = report(subject, selection).await;
    let shown = doctor::Format::Table.show(&report, None);
    assert_eq!(report.faults(), codes, "{fault}:\n{shown}");
}

/// A server that answers each request by its method and path with a status and a body.
pub async fn server(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut head = vec![0; 8192];
                let length = stream.read(&mut head).await.unwrap();
                let text = String::from_utf8_lossy(&head[..length]).into_owned();
                let asked = text.split(" HTTP/").next().unwrap_or_default();
                let (status, body) = answer(asked);
                let length = body.len();
                let response = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                stream.write_all(response.as_bytes()).await.unwrap();
            });
        }
    });
    address
}

/// Encodes bytes in base64, by the alphabet of files or of JWTs.
pub fn base64(bytes: &[u8], is_padded: bool) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let mut encoded = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            encoded.push(alphabet[(bits >> (18 - 6 * at)) as usize & 63]);
        }
        if is_padded {
            encoded.push_str(&"="[..].repeat(3 - chunk.len()));
        }
    }
    if is_padded { encoded } else { encoded.replace('+', "-").replace('/', "_") }
}
