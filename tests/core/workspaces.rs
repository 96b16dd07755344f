//! Workspaces on the whole daemon.

mod cleanup;
mod create;
mod routes;
mod troubles;

use http::Method;
use serde_json::{Value, json};
use simcluster::{Cluster, Options};
use testkit::{Answer, Daemon, NAMESPACE, until};

use crate::settings_file::with;

/// Sends a POST with the profile `p`, of the thread `t` of this user.
async fn create(daemon: &Daemon, id: &str, user: &str, workspace: Value) -> Answer {
    let body =
        json!({"sandbox_id": id, "profile": "p", "thread_id": "t", "user_id": user, "workspace": workspace});
    daemon.call(Method::POST, "/api/sandboxes", Some(body)).await
}

/// A profile with these fields of a workspace.
fn profile(workspace: &str) -> String {
    format!(
        "[profiles.p]\nworkspace = {{ size = '10Gi', {workspace} }}\n\n[profiles.p.overrides]\nworkspace.size = \
         {{ min = '1Gi', max = '100Gi' }}\n"
    )
}

fn cluster() -> Cluster {
    Cluster::start(Options::with_namespace(NAMESPACE))
}

/// Creates a sandbox and waits until it runs.
async fn run(daemon: &Daemon, id: &str) -> Answer {
    let made = create(daemon, id, "u", Value::Null).await;
    assert_eq!(made.status, 200, "{made}");
    until("it runs", async || daemon.get(id).await.body["status"] == "Running").await;
    made
}

/// Deletes a sandbox and waits until its Pod is gone.
async fn delete(daemon: &Daemon, id: &str) {
    assert_eq!(daemon.delete(id).await.status, 200);
    until("the Pod is gone", async || {
        daemon.cluster.object("pods", NAMESPACE, &format!("sandbox-{id}")).is_none()
    })
    .await;
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
