//! The policies of the modes as a truth table, tried with Pods.
//!
//! ```sh
//! KUBECONFIG=… SANDBOX_IMAGE=… cargo test --test daemon real_cluster::policies -- --ignored --nocapture
//! ```
//!
//! Each row is a source and a destination, one of which has a mode. Each cell is a Pod that connects once, with the script of
//! the daemon's own check. So the image needs `sh`, and Python, `nc`, `curl` or `wget`, and to listen Python or `nc`. The
//! column of the mode `open`, which has no policy, shows that the path exists. A cluster that does not enforce policies has
//! nothing to try, so the test ends with a message.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use http::Method;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};
use testkit::within;

use super::{LIMIT, Target, embedded};

/// The script of the daemon's check.
const SCRIPT: &str = include_str!("../../../kubernetes/src/network/check/check.sh");

/// The modes, in the order of the columns.
const MODES: [&str; 3] = ["open", "isolated", "allow-list"];

/// The label of the mode, and one for the Pods of this test.
const MODE: &str = "sandbox-provisioner/network";
const OURS: &str = "policy-table";

const SANDBOX_PORT: u16 = 8080;

const ALL: [bool; 3] = [true; 3];
const OPEN: [bool; 3] = [true, false, false];
const LISTED: [bool; 3] = [true, false, true];
const NONE: [bool; 3] = [false; 3];

/// A source, a destination, its port, and whether they are connected in each mode. A Pod is `NAMESPACE/APP`, where `-` is the
/// namespace of the sandboxes, and `MODE` stands for a sandbox of the mode of the column.
const ROWS: [(&str, &str, u16, [bool; 3]); 20] = [
    // The configured sources reach the port of the sandbox, and nothing else does.
    ("tools/gateway", "MODE", SANDBOX_PORT, ALL),
    ("tools/gateway", "MODE", 9090, OPEN),
    ("tools/plain", "MODE", SANDBOX_PORT, OPEN),
    ("tools/plain", "MODE", 9090, OPEN),
    ("-/gateway", "MODE", SANDBOX_PORT, OPEN),
    ("-/plain", "MODE", SANDBOX_PORT, OPEN),
    ("other/gateway", "MODE", SANDBOX_PORT, OPEN),
    ("other/gateway", "MODE", 9090, OPEN),
    ("-/open", "MODE", SANDBOX_PORT, OPEN),
    ("-/isolated", "MODE", SANDBOX_PORT, NONE),
    ("-/allow-list", "MODE", SANDBOX_PORT, NONE),
    // Sandboxes reach DNS and, in the mode `allow-list`, the configured destination on its port.
    ("MODE", "kube-system/dns", 53, ALL),
    ("MODE", "kube-system/dns", 9153, OPEN),
    ("MODE", "tools/proxy", 3128, LISTED),
    ("MODE", "tools/proxy", 3129, OPEN),
    ("MODE", "other/proxy", 3128, OPEN),
    ("MODE", "tools/plain", 3128, OPEN),
    ("MODE", "tools/plain", 53, OPEN),
    ("MODE", "tools/gateway", SANDBOX_PORT, OPEN),
    ("MODE", "-/plain", SANDBOX_PORT, OPEN),
];

/// The servers, with their ports.
const SERVERS: [(&str, [u16; 2]); 8] = [
    ("-/open", [SANDBOX_PORT, 9090]),
    ("-/isolated", [SANDBOX_PORT, 9090]),
    ("-/allow-list", [SANDBOX_PORT, 9090]),
    ("-/plain", [SANDBOX_PORT, 9090]),
    ("tools/plain", [3128, 53]),
    ("tools/gateway", [SANDBOX_PORT, 9090]),
    ("tools/proxy", [3128, 3129]),
    ("other/proxy", [3128, 3129]),
];

/// The Pods of this test.
struct Pods<'a> {
    target: &'a Target,
}

/// One cell of the table.
struct Cell {
    source: String,
    destination: String,
    port: u16,
    is_connected: bool,
}

/// Returns all cells.
fn cells() -> Vec<Cell> {
    let of_mode = |end: &str, mode: &str| if end == "MODE" { format!("-/{mode}") } else { end.to_owned() };
    let mut cells = Vec::new();
    for (source, destination, port, expected) in ROWS {
        for (mode, is_connected) in MODES.into_iter().zip(expected) {
            let (source, destination) = (of_mode(source, mode), of_mode(destination, mode));
            cells.push(Cell { source, destination, port, is_connected });
        }
    }
    cells
}

// === impl Pods ===

impl Pods<'_> {
    /// Returns the namespace of a Pod of the table.
    fn namespace(&self, end: &str) -> String {
        match end.split_once('/') {
            Some(("-", _)) => self.target.namespace.clone(),
            Some(("kube-system", _)) => "kube-system".to_owned(),
            Some((other, _)) => format!("{}-{other}", self.target.namespace),
            None => unreachable!("{end} has a namespace"),
        }
    }

    /// Returns the labels of a Pod of the table.
    fn labels(end: &str) -> Value {
        let app = end.split_once('/').map_or(end, |(_, app)| app);
        if MODES.contains(&app) { json!({ OURS: "", MODE: app }) } else { json!({ OURS: "", "app": app }) }
    }

    fn api(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.target.kube.clone(), namespace)
    }

    async fn create(&self, end: &str, name: &str, containers: Value) {
        let namespace = self.namespace(end);
        let pod = json!({
            "metadata": {"name": name, "labels": Self::labels(end)},
            "spec": {
                "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "activeDeadlineSeconds": 600,
                "automountServiceAccountToken": false, "containers": containers,
            },
        });
        let pod = serde_json::from_value(pod).unwrap();
        self.api(&namespace).create(&PostParams::default(), &pod).await.unwrap();
    }

    fn container(&self, name: &str, arguments: [&str; 3]) -> Value {
        let command: Vec<_> = ["sh", "-c", SCRIPT].into_iter().chain(arguments).collect();
        json!({
            "name": name, "image": self.target.image, "imagePullPolicy": "IfNotPresent", "command": command,
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}},
        })
    }

    /// Starts the servers. Returns their addresses, with that of the cluster's DNS if it has one.
    async fn serve(&self) -> BTreeMap<String, String> {
        for (end, ports) in SERVERS {
            let containers = ports.map(|port| {
                let number = port.to_string();
                let mut container = self.container(&format!("s{port}"), ["serve", "", &number]);
                container["ports"] = json!([{ "containerPort": port }]);
                container["readinessProbe"] = json!({"tcpSocket": {"port": port}, "periodSeconds": 1});
                container
            });
            self.create(end, &format!("server-{}", end.replace('/', "")), json!(containers)).await;
        }
        let mut addresses = BTreeMap::new();
        for (end, _) in SERVERS {
            let (pods, name) = (self.api(&self.namespace(end)), format!("server-{}", end.replace('/', "")));
            within(LIMIT, &format!("{end} serves"), async || {
                super::is_ready(&pods.get(&name).await.unwrap())
            })
            .await;
            addresses.insert(end.to_owned(), address(&pods.get(&name).await.unwrap()));
        }
        let of_dns = ListParams::default().labels("k8s-app=kube-dns");
        let servers = self.api("kube-system").list(&of_dns).await.unwrap();
        if let Some(server) = servers.items.iter().find(|pod| super::is_ready(pod)) {
            addresses.insert("kube-system/dns".to_owned(), address(server));
        }
        addresses
    }

    /// Tries a cell. Returns whether it is as expected.
    async fn try_cell(&self, number: usize, cell: &Cell, address: &str) -> bool {
        let Cell { source, port, is_connected, .. } = cell;
        let program = if *is_connected { "until-reachable" } else { "until-blocked" };
        let name = format!("client-{number}");
        let container = self.container("client", [program, address, &port.to_string()]);
        self.create(source, &name, json!([container])).await;
        let pods = self.api(&self.namespace(source));
        let phase = async || {
            let pod = pods.get(&name).await.unwrap();
            pod.status.and_then(|status| status.phase).unwrap_or_default()
        };
        within(LIMIT, &format!("{name} ends"), async || matches!(&*phase().await, "Succeeded" | "Failed"))
            .await;
        phase().await == "Succeeded"
    }

    /// Deletes all Pods of this test, and its namespaces but that of the sandboxes.
    async fn end(&self) {
        let ours = ListParams::default().labels(OURS);
        let pods = self.api(&self.target.namespace);
        pods.delete_collection(&DeleteParams::default().grace_period(0), &ours).await.unwrap();
        let namespaces = Api::<Namespace>::all(self.target.kube.clone());
        for name in ["tools/", "other/"].map(|end| self.namespace(end)) {
            namespaces.delete(&name, &DeleteParams::default()).await.unwrap();
        }
    }
}

fn address(pod: &Pod) -> String {
    pod.status.as_ref().and_then(|status| status.pod_ip.clone()).expect("a Pod that is ready has an address")
}

/// Tries the table. Returns the cells that are not as expected; `None` if the cluster does not enforce policies.
async fn table(target: Target) -> Option<Vec<String>> {
    let pods = Pods { target: &target };
    let namespaces = Api::<Namespace>::all(target.kube.clone());
    for name in ["tools/", "other/"].map(|end| pods.namespace(end)) {
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    }
    let tools = pods.namespace("tools/");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    let settings = format!(
        "network_sources = '{tools}/app=gateway'\nnetwork_allow = '{tools}/app=proxy:3128'\n\
         [profiles.default]\nnetwork = 'isolated'\n[profiles.list]\nnetwork = 'allow-list'\n"
    );
    std::fs::write(&file, settings).unwrap();
    let daemon = target.daemon(&[("SANDBOX_PROVISIONER_CONFIG", file.to_str().unwrap())]).await;
    let client = daemon.client();
    client.call(Method::POST, "/api/network/check", None).await;
    let report = async || client.fetch("/api/network/check").await.body;
    within(LIMIT, "the check ends", async || {
        let report = report().await;
        report["checking"] == false && report["checked_at"].is_string() && report["policies"] == "ok"
    })
    .await;
    let report = report().await;
    let differing = if report["enforced"] == "yes" {
        let addresses = pods.serve().await;
        let mut cells = cells();
        cells.retain(|cell| {
            let is_there = addresses.contains_key(&cell.destination);
            if !is_there {
                println!(
                    "left out: {} to {}, which this cluster does not have",
                    cell.source, cell.destination
                );
            }
            is_there
        });
        let tried = cells
            .iter()
            .enumerate()
            .map(async |(number, cell)| pods.try_cell(number, cell, &addresses[&cell.destination]).await);
        let results = join_all(tried).await;
        println!("{} cells were tried", results.len());
        let differing = cells.iter().zip(results).filter(|(_, is_right)| !is_right);
        let shown = |cell: &Cell| {
            let expected = if cell.is_connected { "should reach" } else { "should not reach" };
            format!("{} {expected} {} on {}", cell.source, cell.destination, cell.port)
        };
        Some(differing.map(|(cell, _)| shown(cell)).collect())
    } else {
        println!("nothing to try, because policies are not enforced: {report}");
        None
    };
    pods.end().await;
    daemon.stop().await;
    target.end().await;
    differing
}

/// Guards the table on the embedded cluster, whose Pods obey policies as far as programs of this form connect.
#[tokio::test]
async fn the_table_holds_on_the_embedded_cluster() {
    let cluster = embedded("normal").await;
    let target = Target::embedded(&cluster, "table").await;
    let dns = json!({
        "metadata": {"name": "dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"containers": [{
            "name": "dns", "image": "img:1", "ports": [{"containerPort": 53}, {"containerPort": 9153}],
        }]},
    });
    let pods = Api::<Pod>::namespaced(target.kube.clone(), "kube-system");
    pods.create(&PostParams::default(), &serde_json::from_value(dns).unwrap()).await.unwrap();
    within(Duration::from_secs(30), "DNS runs", async || super::is_ready(&pods.get("dns").await.unwrap()))
        .await;
    assert_eq!(table(target).await, Some(vec![]));
}

/// Guards the table on a real cluster.
#[tokio::test]
#[ignore = "needs a real cluster; see the module's documentation"]
async fn the_table_holds() {
    let differing = table(Target::real("table").await).await.unwrap_or_default();
    assert!(differing.is_empty(), "{differing:#?}");
}
