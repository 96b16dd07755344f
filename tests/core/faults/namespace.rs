//! Tests with a missing, terminating or deleted namespace.

use std::time::Duration;

use serde_json::{Value, json};
use simcluster::{Cluster, Effect, Options, Refusal, Rule};
use tokio::time::sleep;

use testkit::{Daemon, NAMESPACE};

use super::recovered;

const TERMINATING: &str = "503 after 5 s | NamespaceTerminating | Pod creation failed for now: NamespaceTerminating (pods \
     \"sandbox-b\" is forbidden: unable to create new content in namespace deer-flow because it is being terminated); try \
     again in 5 s";

/// Deletes the namespace like `kubectl delete namespace --wait=false`.
async fn delete_namespace(daemon: &Daemon) {
    let client = kube::Client::new(daemon.cluster.service(), NAMESPACE);
    let request = http::Request::delete(format!("/api/v1/namespaces/{NAMESPACE}")).body(vec![]).unwrap();
    client.request::<Value>(request).await.unwrap();
}

fn hold(daemon: &Daemon, finalizers: &Value) {
    let change = |pod: &mut Value| pod["metadata"]["finalizers"] = finalizers.clone();
    daemon.cluster.change("pods", NAMESPACE, "sandbox-a", change).unwrap();
}

/// Guards that a missing namespace is created at startup.
#[tokio::test(start_paused = true)]
async fn missing() {
    let daemon = Daemon::on(Cluster::start(Options::default())).await;
    assert_eq!(daemon.post("a").await.to_string(), "200 | Pending");
    daemon.until_ready().await;
    assert!(daemon.logged("created the namespace").contains("deer-flow"), "{}", daemon.logged(""));
}

/// Guards that creates report a missing namespace that the daemon may not create, until someone else creates it.
#[tokio::test(start_paused = true)]
async fn missing_and_not_ours_to_make() {
    let cluster = Cluster::start(Options::default());
    cluster.fault(Rule::new(Effect::Refuse(Refusal::Forbidden)).resource("namespaces"));
    let daemon = Daemon::on(cluster).await;
    assert_eq!(
        daemon.post("a").await.to_string(),
        "503 after 5 s | NamespaceMissing | Pod creation failed for now: NamespaceMissing (namespaces \"deer-flow\" not \
         found); try again in 5 s"
    );
    assert!(daemon.logged("not allowed to read namespaces").contains("WARN"), "{}", daemon.logged(""));
    daemon.cluster.make_namespace(NAMESPACE);
    daemon.running("a").await;
}

/// Guards that creates and the readiness after a restart report a terminating namespace, and that it is created again
/// afterwards.
#[tokio::test(start_paused = true)]
async fn terminating() {
    let mut daemon = Daemon::start().await;
    daemon.running("a").await;
    hold(&daemon, &json!(["example.com/hold"]));
    delete_namespace(&daemon).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(daemon.post("b").await.to_string(), TERMINATING);
    assert_eq!(daemon.get("a").await.status, 404);
    assert_eq!(daemon.delete("a").await.status, 200);
    daemon.restart().await;
    sleep(Duration::from_secs(1)).await;
    let unready = ["[-]namespace failed: NamespaceTerminating (namespace deer-flow is being deleted)"];
    assert_eq!(daemon.unready().await, unready);
    assert_eq!(daemon.logged("the namespace could not be read or created; trying again").lines().count(), 1);
    hold(&daemon, &Value::Null);
    daemon.until_ready().await;
    daemon.running("b").await;
}

/// Guards that a deleted namespace takes its sandboxes with it, and that the next create creates it again.
#[tokio::test(start_paused = true)]
async fn deleted_underneath() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    sleep(Duration::from_secs(10)).await;
    delete_namespace(&daemon).await;
    recovered("it is gone", async || daemon.cluster.object("namespaces", "", NAMESPACE).is_none()).await;
    recovered("that is known", async || daemon.get("a").await.status == 404).await;
    assert_eq!(daemon.post("b").await.status, 200);
    daemon.running("a").await;
    assert_eq!(
        daemon.objects(),
        ["pods sandbox-a", "pods sandbox-b", "services sandbox-a-svc", "services sandbox-b-svc"]
    );
}
