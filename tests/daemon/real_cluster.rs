//! Tests of the program on a real cluster. They run only on request, because they need one:
//!
//! ```sh
//! KUBECONFIG=~/.kube/config SANDBOX_IMAGE=… cargo test --test daemon real_cluster -- --ignored --nocapture --test-threads=1
//! ```
//!
//! The image answers 200 to `GET /v1/sandbox` on port 8080 as soon as it runs. The nodes must be reachable from here: by
//! the `InternalIP` of the first one, or by `NODE_HOST`. Each test makes a namespace of its own and deletes it.
//!
//! Every run of the tests takes the same steps on the embedded cluster over sockets, without the bounds on time.

#![allow(clippy::disallowed_methods, reason = "the environment names the cluster, as for kubectl")]

mod policies;

use std::{env, net::Ipv4Addr, path::PathBuf, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use kube::{
    Api, Config,
    api::{DeleteParams, ListParams, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use simcluster::{Behaviour, Cluster, NodeOptions, Options};
use testkit::{Client, Process, ServedCluster, within};
use tokio::{task::JoinHandle, time::Instant};

use crate::PROGRAM;

/// How soon the URL of an image that boots at once must work after the POST.
const URL_WORKS: Duration = Duration::from_millis(1200);

/// How late the answer to a wait may be.
const WAIT_ENDS: Duration = Duration::from_millis(100);

/// How long anything may take, the first pull of the image included.
const LIMIT: Duration = Duration::from_secs(300);

/// A cluster and a namespace for one test.
struct Target {
    kubeconfig: PathBuf,
    namespace: String,
    node_host: String,
    /// The first node's own address, from which connections to node ports reach a Pod.
    node_address: String,
    image: String,
    kube: kube::Client,
}

// === impl Target ===

impl Target {
    /// Connects to the cluster of `KUBECONFIG`.
    async fn real(name: &str) -> Self {
        let variable = |name| env::var(name).unwrap_or_else(|_| panic!("{name} must be set for this test"));
        let mut target = Self::at(variable("KUBECONFIG").into(), name, variable("SANDBOX_IMAGE")).await;
        if let Ok(host) = env::var("NODE_HOST") {
            target.node_host = host;
        }
        target
    }

    /// Connects to an embedded cluster.
    async fn embedded(cluster: &ServedCluster, name: &str) -> Self {
        let mut target = Self::at(cluster.kubeconfig(None), name, "img:1".to_owned()).await;
        target.node_host = Ipv4Addr::LOCALHOST.to_string();
        target
    }

    async fn at(kubeconfig: PathBuf, name: &str, image: String) -> Self {
        let read = Kubeconfig::read_from(&kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
        let kube = kube::Client::try_from(config).unwrap();
        let nodes = Api::<Node>::all(kube.clone()).list(&ListParams::default()).await.unwrap();
        let addresses = nodes
            .items
            .into_iter()
            .flat_map(|node| node.status.unwrap_or_default().addresses.unwrap_or_default());
        let internal = addresses.into_iter().find(|address| address.type_ == "InternalIP");
        let node_address = internal.expect("a node has an InternalIP").address;
        let namespace = format!("sandbox-provisioner-{name}-{}", std::process::id());
        Self { kubeconfig, namespace, node_host: node_address.clone(), node_address, image, kube }
    }

    /// Starts the daemon with these further environment variables, and waits until it is ready.
    async fn daemon(&self, variables: &[(&str, &str)]) -> Process {
        let (path, home) = (env::var("PATH").unwrap_or_default(), env::var("HOME").unwrap_or_default());
        let usual = [
            ("KUBECONFIG_PATH", self.kubeconfig.to_str().unwrap()),
            ("K8S_NAMESPACE", &self.namespace),
            ("NODE_HOST", &self.node_host),
            ("SANDBOX_IMAGE", &self.image),
            // Paths that the node makes or has, whatever node it is.
            ("DEER_FLOW_HOST_BASE_DIR", "/tmp/sandbox-provisioner"),
            ("SKILLS_HOST_PATH", "/tmp"),
            // A credential plugin needs them.
            ("PATH", &path),
            ("HOME", &home),
        ];
        let process = Process::serve(PROGRAM, &[&usual, variables].concat()).await;
        process.client().until_ready().await;
        process
    }

    /// Watches the Pod of a sandbox from before it exists. Returns when its condition `Ready` was seen.
    fn ready(&self, id: &str) -> JoinHandle<Instant> {
        let pods = Api::<Pod>::namespaced(self.kube.clone(), &self.namespace);
        let only = WatchParams::default().fields(&format!("metadata.name=sandbox-{id}"));
        tokio::spawn(async move {
            let mut events = pods.watch(&only, "0").await.unwrap().boxed();
            while let Some(event) = events.next().await {
                if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) = event.unwrap()
                    && is_ready(&pod)
                {
                    return Instant::now();
                }
            }
            panic!("the watch ended before the Pod was ready")
        })
    }

    /// Deletes the namespace, after a check that the daemon has left nothing there.
    async fn end(self) {
        let pods = Api::<Pod>::namespaced(self.kube.clone(), &self.namespace);
        let services = Api::<Service>::namespaced(self.kube.clone(), &self.namespace);
        within(LIMIT, "no Pod and no Service is left", async || {
            let all = ListParams::default();
            let (pods, services) = (pods.list(&all).await.unwrap(), services.list(&all).await.unwrap());
            pods.items.is_empty() && services.items.is_empty()
        })
        .await;
        let namespaces = Api::<Namespace>::all(self.kube.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Waits until the sandbox answers 200 at its URL. Returns how long that took.
async fn first_200(url: &str) -> Duration {
    let address = url.strip_prefix("http://").unwrap().to_owned();
    within(LIMIT, "the URL works", async || {
        let addresses = tokio::net::lookup_host(&*address).await.unwrap().collect::<Vec<_>>();
        let request = Request::get("/v1/sandbox").body(Bytes::new()).unwrap();
        Client::at(addresses[0]).request(request).await.is_ok_and(|answer| answer.status == 200)
    })
    .await
}

/// Creates a sandbox, waits until its URL works, and deletes it. Returns the time from the POST to the first 200.
async fn post_to_first_200(client: &Client, id: &str) -> Duration {
    let start = Instant::now();
    let made = client.post(id).await;
    assert_eq!(made.status, 200, "{made}");
    first_200(made.body["sandbox_url"].as_str().unwrap()).await;
    let took = start.elapsed();
    assert_eq!(client.delete(id).await.status, 200);
    took
}

/// Returns the times from the POST to the first 200, of the probes of the program and of DeerFlow.
async fn probes(target: Target) -> [Duration; 2] {
    let mut took = [Duration::ZERO; 2];
    for (took, probes) in took.iter_mut().zip(["fast", "deerflow"]) {
        let daemon = target.daemon(&[("SANDBOX_PROBES", probes)]).await;
        // The first one pulls the image.
        post_to_first_200(&daemon.client(), &format!("{probes}-pull")).await;
        *took = post_to_first_200(&daemon.client(), probes).await;
        daemon.stop().await;
    }
    target.end().await;
    took
}

/// Returns how long after the Pod's condition `Ready` a waiting POST was answered.
async fn wait(target: Target) -> Duration {
    let daemon = target.daemon(&[]).await;
    let client = daemon.client();
    post_to_first_200(&client, "pull").await;
    let ready = target.ready("a");
    let body = Some(json!({"sandbox_id": "a"}));
    let made = client.call(Method::POST, "/api/sandboxes?wait=ready", body).await;
    let answered = Instant::now();
    assert_eq!((&made.body["status"], &made.body["ready"]), (&json!("Running"), &json!(true)), "{made}");
    let late = answered.saturating_duration_since(ready.await.unwrap());
    first_200(made.body["sandbox_url"].as_str().unwrap()).await;
    assert_eq!(client.delete("a").await.status, 200);
    daemon.stop().await;
    target.end().await;
    late
}

/// Returns the answer about a sandbox whose host path does not exist.
async fn mount_failure(target: Target) -> Value {
    let daemon = target.daemon(&[("SKILLS_HOST_PATH", "/no/such/directory")]).await;
    let client = daemon.client();
    assert_eq!(client.post("a").await.status, 200);
    within(LIMIT, "the failure is told", async || client.get("a").await.body["reason"] == "FailedMount")
        .await;
    let told = client.get("a").await.body;
    assert_eq!(client.delete("a").await.status, 200);
    daemon.stop().await;
    target.end().await;
    told
}

/// Returns the result of the check of the network policies, after a sandbox of the mode `isolated` was reached at its URL.
async fn isolation(target: Target) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    let sources = &target.node_address;
    let settings = format!("network_sources = '{sources}'\n[profiles.default]\nnetwork = 'isolated'\n");
    std::fs::write(&file, settings).unwrap();
    let daemon = target.daemon(&[("SANDBOX_PROVISIONER_CONFIG", file.to_str().unwrap())]).await;
    let client = daemon.client();
    assert_eq!(client.call(Method::POST, "/api/network/check", None).await.status, 200);
    within(LIMIT, "the check ends", async || {
        let report = client.fetch("/api/network/check").await.body;
        report["checking"] == false && report["enforced"] != "unknown"
    })
    .await;
    post_to_first_200(&client, "a").await;
    let report = client.fetch("/api/network/check").await.body;
    daemon.stop().await;
    target.end().await;
    report
}

fn names_the_path(told: &Value) {
    let text = told.to_string();
    assert!(text.contains("SKILLS_HOST_PATH") || text.contains("/no/such/directory"), "{text}");
}

async fn embedded(behaviour: &str) -> ServedCluster {
    let behaviour: Behaviour = behaviour.parse().unwrap();
    let node = Some(NodeOptions { behaviour, ..NodeOptions::default() });
    let servers = Some(Ipv4Addr::LOCALHOST.into());
    ServedCluster::http(Cluster::start(Options { node, sandbox_servers: servers, ..Options::default() }))
        .await
}

/// Guards that the steps of the tests on a real cluster work, on the embedded one.
#[tokio::test]
async fn the_steps_work_on_the_embedded_cluster() {
    let cluster = embedded("normal").await;
    let [fast, deerflow] = probes(Target::embedded(&cluster, "probes").await).await;
    assert!(fast < deerflow, "{fast:?} with the probes of the program, {deerflow:?} with DeerFlow's");
    wait(Target::embedded(&cluster, "wait").await).await;
    let report = isolation(Target::embedded(&cluster, "network").await).await;
    assert_eq!((&report["enforced"], &report["policies"]), (&json!("yes"), &json!("ok")), "{report}");
    let cluster = embedded("mount-error").await;
    names_the_path(&mount_failure(Target::embedded(&cluster, "mount").await).await);
}

/// Guards that the URL of an image that boots at once works within 1.2 s of the POST.
#[tokio::test]
#[ignore = "needs a real cluster; see the module's documentation"]
async fn a_url_works_within_a_second() {
    let [fast, deerflow] = probes(Target::real("probes").await).await;
    println!("POST to the first 200: {fast:?}; with DeerFlow's probes {deerflow:?}");
    assert!(fast <= URL_WORKS, "{fast:?}");
}

/// Guards that a waiting POST is answered within 100 ms of the Pod's condition `Ready`.
#[tokio::test]
#[ignore = "needs a real cluster; see the module's documentation"]
async fn a_wait_ends_with_the_condition() {
    let late = wait(Target::real("wait").await).await;
    println!("the answer came {late:?} after the condition");
    assert!(late <= WAIT_ENDS, "{late:?}");
}

/// Guards that the check of the network policies has a result, and that an isolated sandbox is reached at its URL.
#[tokio::test]
#[ignore = "needs a real cluster; see the module's documentation"]
async fn an_isolated_sandbox_is_reached() {
    let report = isolation(Target::real("network").await).await;
    println!("{report:#}");
    assert_eq!(report["policies"], "ok", "{report}");
}

/// Guards that the reason names a host path that does not exist.
#[tokio::test]
#[ignore = "needs a real cluster; see the module's documentation"]
async fn a_failed_mount_is_told() {
    let told = mount_failure(Target::real("mount").await).await;
    println!("{told:#}");
    names_the_path(&told);
}
