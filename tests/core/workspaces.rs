//! Workspaces on the whole daemon.

mod create;

use http::Method;
use serde_json::{Value, json};
use simcluster::Cluster;
use testkit::{Answer, Daemon, NAMESPACE, Setup};

/// Starts a daemon with this settings file.
async fn with(cluster: &Cluster, file: &str) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    std::fs::write(&path, file).unwrap();
    let variables = [("SANDBOX_PROVISIONER_CONFIG", path.to_str().unwrap())];
    Setup::new(&variables).cluster(cluster.clone()).start().await.ready().await
}

/// Sends a POST with the profile `p`, of the thread `t` of this user.
async fn create(daemon: &Daemon, id: &str, user: &str, workspace: Value) -> Answer {
    let body =
        json!({"sandbox_id": id, "profile": "p", "thread_id": "t", "user_id": user, "workspace": workspace});
    daemon.call(Method::POST, "/api/sandboxes", Some(body)).await
}

/// Returns the claims of the namespace, by name.
fn claims(cluster: &Cluster) -> Vec<Value> {
    cluster.objects("persistentvolumeclaims", Some(NAMESPACE))
}

/// Returns the only claim.
fn claim(cluster: &Cluster) -> Value {
    let [claim] = claims(cluster).try_into().unwrap();
    claim
}

/// Returns the calls about claims so far, such as `create`.
fn claim_calls(cluster: &Cluster) -> Vec<String> {
    let calls = cluster.calls().into_iter().filter(|call| call.resource == "persistentvolumeclaims");
    calls.map(|call| call.verb.to_string()).filter(|verb| !matches!(&**verb, "list" | "watch")).collect()
}
