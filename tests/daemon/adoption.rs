//! Tests of the objects that exist at startup: complete sandboxes, those of DeerFlow's provisioner, orphans and foreign
//! objects.

use http::StatusCode;
use serde_json::{Value, json};

use super::support::{NAMESPACE, World, options};

/// Returns a sandbox's Pod and Service as DeerFlow's provisioner creates them: with its four labels, without
/// `managed-by`.
fn original(id: &str, node_port: u16) -> [(&'static str, Value); 2] {
    let labels = json!({
        "app": "deer-flow-sandbox",
        "sandbox-id": id,
        "app.kubernetes.io/name": "deer-flow",
        "app.kubernetes.io/component": "sandbox",
    });
    let metadata = |name: String| json!({ "name": name, "namespace": NAMESPACE, "labels": labels });
    [
        (
            "pods",
            json!({
                "metadata": metadata(format!("sandbox-{id}")),
                "spec": { "containers": [{ "name": "sandbox", "image": "i" }] },
                "status": { "phase": "Running" },
            }),
        ),
        (
            "services",
            json!({
                "metadata": metadata(format!("sandbox-{id}-svc")),
                "spec": {
                    "type": "NodePort",
                    "selector": { "sandbox-id": id },
                    "ports": [{ "name": "http", "port": 8080, "nodePort": node_port, "protocol": "TCP" }],
                },
            }),
        ),
    ]
}

fn cluster() -> simcluster::Cluster {
    let cluster = simcluster::Cluster::start(simcluster::Options { node: None, ..options() });
    cluster.make_namespace(NAMESPACE);
    cluster
}

/// Guards that this program can replace DeerFlow's provisioner: existing sandboxes are listed, read, returned by a
/// POST, and can be deleted.
#[tokio::test]
async fn the_originals_sandboxes_are_adopted() {
    let cluster = cluster();
    for (resource, object) in original("old", 31234) {
        cluster.put(resource, object).unwrap();
    }
    let world = World::on(&[], cluster).await.ready().await;
    let client = world.client();
    let expected =
        json!({ "sandbox_id": "old", "sandbox_url": "http://127.0.0.1:31234", "status": "Running" });
    for answer in [client.get("/api/sandboxes/old").await, client.post("old").await] {
        let answer = answer.json();
        for field in ["sandbox_id", "sandbox_url", "status"] {
            assert_eq!(answer[field], expected[field], "{answer}");
        }
    }
    assert_eq!(client.get("/api/sandboxes").await.json()["count"], 1);
    assert_eq!(world.calls(), Vec::<String>::new());
    assert_eq!(client.delete("/api/sandboxes/old").await.status, StatusCode::OK);
    assert_eq!(client.get("/api/sandboxes/old").await.status, StatusCode::NOT_FOUND);
}

/// Invariant 9: guards that an object without both labels and the matching name is not shown, returned or deleted.
#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let cluster = cluster();
    for (resource, mut object) in original("theirs", 31000) {
        object["metadata"]["labels"] = json!({ "app": "something-else" });
        cluster.put(resource, object).unwrap();
    }
    let world = World::on(&[], cluster).await.ready().await;
    let client = world.client();
    assert_eq!(client.get("/api/sandboxes/theirs").await.status, StatusCode::NOT_FOUND);
    let answer = client.post("theirs").await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{answer:?}");
    assert_eq!(client.delete("/api/sandboxes/theirs").await.status, StatusCode::OK);
    assert_eq!(world.objects(), ["pods sandbox-theirs", "services sandbox-theirs-svc"]);
    assert!(!world.calls().iter().any(|call| call.starts_with("delete")));
}

/// Guards that a POST completes an orphan with the one missing write.
#[tokio::test]
async fn a_post_completes_what_it_finds() {
    for (half, missing) in [(0, "create services sandbox-half-svc"), (1, "create pods sandbox-half")] {
        let cluster = cluster();
        let (resource, object) = original("half", 31001)[half].clone();
        cluster.put(resource, object).unwrap();
        let world = World::on(&[], cluster).await.ready().await;
        assert_eq!(world.client().post("half").await.status, StatusCode::OK);
        assert_eq!(world.calls(), [missing]);
    }
}

/// Guards that a Service without its Pod has the status `NotFound`, as in DeerFlow's provisioner, and that a Pod
/// without its Service is a 404.
#[tokio::test]
async fn halves_are_shown_as_the_original_does() {
    let cluster = cluster();
    let [pod, _] = original("pod-only", 31002);
    let [_, service] = original("service-only", 31003);
    for (resource, object) in [pod, service] {
        cluster.put(resource, object).unwrap();
    }
    let world = World::on(&[], cluster).await.ready().await;
    let client = world.client();
    assert_eq!(client.get("/api/sandboxes/service-only").await.json()["status"], "NotFound");
    assert_eq!(client.get("/api/sandboxes/pod-only").await.status, StatusCode::NOT_FOUND);
}
