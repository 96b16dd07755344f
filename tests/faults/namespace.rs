//! Tests with a missing, terminating or deleted namespace.

use std::time::Duration;

use serde_json::{Value, json};
use simcluster::{Cluster, Effect, Options, Refusal, Rule};
use tokio::time::sleep;

use super::world::{NAMESPACE, World};

const TERMINATING: &str = "503 after 5 s | NamespaceTerminating | Pod creation failed for now: NamespaceTerminating (pods \
     \"sandbox-b\" is forbidden: unable to create new content in namespace deer-flow because it is being terminated); try \
     again in 5 s";

/// Deletes the namespace like `kubectl delete namespace --wait=false`.
async fn delete_namespace(world: &World) {
    let client = kube::Client::new(world.cluster.service(), NAMESPACE);
    let request = http::Request::delete(format!("/api/v1/namespaces/{NAMESPACE}")).body(vec![]).unwrap();
    client.request::<Value>(request).await.unwrap();
}

fn hold(world: &World, finalizers: &Value) {
    let change = |pod: &mut Value| pod["metadata"]["finalizers"] = finalizers.clone();
    world.cluster.change("pods", NAMESPACE, "sandbox-a", change).unwrap();
}

/// Guards that a missing namespace is created at startup.
#[tokio::test(start_paused = true)]
async fn missing() {
    let world = World::on(Cluster::start(Options::default())).await;
    assert_eq!(world.post("a").await.to_string(), "200 | Pending");
    world.until_ready().await;
    assert!(world.logged("made the namespace").contains("deer-flow"), "{}", world.logged(""));
}

/// Guards that creates report a missing namespace that the daemon may not create, until someone else creates it.
#[tokio::test(start_paused = true)]
async fn missing_and_not_ours_to_make() {
    let cluster = Cluster::start(Options::default());
    cluster.fault(Rule::new(Effect::Refuse(Refusal::Forbidden)).resource("namespaces"));
    let world = World::on(cluster).await;
    assert_eq!(
        world.post("a").await.to_string(),
        "503 after 5 s | NamespaceMissing | Pod creation failed for now: NamespaceMissing (namespaces \"deer-flow\" not \
         found); try again in 5 s"
    );
    assert!(world.logged("not allowed to read namespaces").contains("WARN"), "{}", world.logged(""));
    world.cluster.make_namespace(NAMESPACE);
    world.running("a").await;
}

/// Guards that creates and the readiness after a restart report a terminating namespace, and that it is created again
/// afterwards.
#[tokio::test(start_paused = true)]
async fn terminating() {
    let mut world = World::start().await;
    world.running("a").await;
    hold(&world, &json!(["example.com/hold"]));
    delete_namespace(&world).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.post("b").await.to_string(), TERMINATING);
    assert_eq!(world.get("a").await.status, 404);
    assert_eq!(world.delete("a").await.status, 200);
    world.restart().await;
    sleep(Duration::from_secs(1)).await;
    let unready = ["[-]namespace failed: NamespaceTerminating (namespace deer-flow is being deleted)"];
    assert_eq!(world.unready().await, unready);
    assert_eq!(world.logged("the namespace is not there yet").lines().count(), 1);
    hold(&world, &Value::Null);
    world.until_ready().await;
    world.running("b").await;
}

/// Guards that a deleted namespace takes its sandboxes with it, and that the next create creates it again.
#[tokio::test(start_paused = true)]
async fn deleted_underneath() {
    let world = World::start().await;
    world.running("a").await;
    sleep(Duration::from_secs(10)).await;
    delete_namespace(&world).await;
    world.until("it is gone", async || world.cluster.object("namespaces", "", NAMESPACE).is_none()).await;
    world.until("that is known", async || world.get("a").await.status == 404).await;
    assert_eq!(world.post("b").await.status, 200);
    world.running("a").await;
    assert_eq!(world.objects(), ["sandbox-a", "sandbox-a-svc", "sandbox-b", "sandbox-b-svc"]);
}
