//! The contract with DeerFlow's Gateways: the recorded answers of its 2.1 provisioner, and the request bodies that Gateways
//! of both versions send, on the whole daemon without its socket and an embedded cluster, under a paused clock.

mod gateways;
mod recordings;

use std::time::Duration;

use serde_json::{Map, Value};
use simcluster::{Cluster, NodeOptions, Options};
use testkit::{Daemon, NAMESPACE, Setup};

/// The API key of every daemon.
const KEY: &str = "a-key-of-the-test";

/// More than the watch needs to report a write.
const MOMENT: Duration = Duration::from_secs(1);

/// Starts a daemon with these environment variables and the key, on a cluster with or without a node.
async fn start(variables: &Map<String, Value>, node: Option<NodeOptions>) -> Daemon {
    let mut setup = Setup::new(&[("PROVISIONER_API_KEY", KEY)]);
    for (name, value) in variables {
        setup = setup.set(name, value.as_str().unwrap());
    }
    let namespace = variables.get("K8S_NAMESPACE").map_or(NAMESPACE, |name| name.as_str().unwrap());
    let cluster = Cluster::start(Options { node, ..Options::with_namespace(namespace) });
    let daemon = setup.cluster(cluster).start().await;
    tokio::time::sleep(MOMENT).await;
    daemon
}

/// Returns an object of the sandboxes' namespace.
fn object(daemon: &Daemon, resource: &str, name: &str) -> Option<Value> {
    daemon.cluster.object(resource, daemon.namespace(), name)
}
