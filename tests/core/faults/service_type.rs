//! Tests of sandboxes whose Service does not have the type of the settings.

use http::Method;
use serde_json::{Value, json};
use simcluster::{Cluster, Options};
use testkit::{Daemon, NAMESPACE, Setup};

use super::recovered;

const INTERNAL: &str = "http://sandbox-a-svc.deer-flow.svc.cluster.local:8080";

/// Starts a daemon with this type of Service.
async fn daemon(cluster: &Cluster, service_type: &str) -> Daemon {
    let setup = Setup::new(&[("SANDBOX_SERVICE_TYPE", service_type)]).cluster(cluster.clone());
    setup.start().await.ready().await
}

/// Checks that a sandbox without a node port is shown and usable, and that a POST gives it one.
async fn is_shown_without_a_node_port(daemon: &Daemon) {
    recovered("its reason is known", async || daemon.get("a").await.body["reason"] == "NoNodePort").await;
    let shown = daemon.get("a").await;
    assert_eq!((shown.status, &shown.body["status"]), (200, &json!("Running")));
    assert_eq!((&shown.body["sandbox_url"], &shown.body["ready"]), (&json!(INTERNAL), &json!(false)));
    assert!(shown.body["hint"].as_str().unwrap().contains("SANDBOX_SERVICE_TYPE"), "{}", shown.body);
    let list = daemon.fetch("/api/sandboxes?cluster=default").await;
    assert_eq!((&list.body["count"], &list.body["sandboxes"][0]), (&json!(1), &shown.body));
    let touched = daemon.call(Method::POST, "/api/sandboxes/a/touch", None).await;
    assert_eq!((touched.status, &touched.body["reason"]), (200, &json!("NoNodePort")));
    let limits = json!({"ttl": "8h"});
    let changed = daemon.call(Method::PATCH, "/api/sandboxes/a", Some(limits)).await;
    assert_eq!(changed.status, 200, "{changed}");
    assert!(daemon.get("a").await.body["expires_at"].is_string());

    let pod = shown.body["container_id"].clone();
    let made = daemon.post("a").await;
    assert_eq!((made.status, &made.body["container_id"]), (200, &pod), "the Pod is kept: {}", made.body);
    assert!(made.body["sandbox_url"].as_str().unwrap().starts_with("http://127.0.0.1:3"), "{}", made.body);
    assert_eq!((&made.body["reason"], &made.body["ready"]), (&Value::Null, &json!(true)));
    assert_eq!(daemon.delete("a").await.status, 200);
    assert_eq!(daemon.get("a").await.status, 404);
}

/// Guards that sandboxes that were made with `ClusterIP` are never a 404 after a change to `NodePort`.
#[tokio::test(start_paused = true)]
async fn from_cluster_ip_to_node_port() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let before = daemon(&cluster, "ClusterIP").await;
    before.running("a").await;
    assert_eq!(before.get("a").await.body["sandbox_url"], INTERNAL);
    drop(before);
    is_shown_without_a_node_port(&daemon(&cluster, "NodePort").await).await;
}

/// Guards the same for a Service whose type was changed by hand.
#[tokio::test(start_paused = true)]
async fn a_node_port_removed_by_hand() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    let change = |service: &mut Value| {
        service["spec"]["type"] = json!("ClusterIP");
        service["spec"]["ports"][0].as_object_mut().unwrap().remove("nodePort");
    };
    daemon.cluster.change("services", NAMESPACE, "sandbox-a-svc", change).unwrap();
    is_shown_without_a_node_port(&daemon).await;
}

/// Guards that the reverse change needs nothing: a Service with a node port has an address in the cluster.
#[tokio::test(start_paused = true)]
async fn from_node_port_to_cluster_ip() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let before = daemon(&cluster, "NodePort").await;
    before.running("a").await;
    drop(before);
    let after = daemon(&cluster, "ClusterIP").await;
    let shown = after.get("a").await;
    assert_eq!((&shown.body["sandbox_url"], &shown.body["reason"]), (&json!(INTERNAL), &Value::Null));
    assert_eq!(shown.body["ready"], true);
}
