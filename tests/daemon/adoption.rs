//! Tests of the objects that exist at startup: complete sandboxes, those of DeerFlow's provisioner, orphans and foreign
//! objects.

use serde_json::{Value, json};

use simcluster::{Cluster, Options};
use testkit::{Daemon, NAMESPACE, Setup};

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

fn cluster() -> Cluster {
    Cluster::start(Options { node: None, ..Options::with_namespace(NAMESPACE) })
}

async fn start(cluster: Cluster) -> Daemon {
    Setup::new(&[]).cluster(cluster).listening().start().await.ready().await
}

/// Guards that this program can replace DeerFlow's provisioner: existing sandboxes are listed, read, returned by a
/// POST, and can be deleted.
#[tokio::test]
async fn the_originals_sandboxes_are_adopted() {
    let cluster = cluster();
    for (resource, object) in original("old", 31234) {
        cluster.put(resource, object).unwrap();
    }
    let daemon = start(cluster).await;
    let client = daemon.client();
    let expected =
        json!({ "sandbox_id": "old", "sandbox_url": "http://127.0.0.1:31234", "status": "Running" });
    for answer in [client.get("old").await, client.post("old").await] {
        let answer = answer.body;
        for field in ["sandbox_id", "sandbox_url", "status"] {
            assert_eq!(answer[field], expected[field], "{answer}");
        }
    }
    assert_eq!(client.fetch("/api/sandboxes").await.body["count"], 1);
    assert_eq!(daemon.calls(), Vec::<String>::new());
    assert_eq!(client.delete("old").await.status, 200);
    assert_eq!(client.get("old").await.status, 404);
}

/// Invariant 9: guards that an object without both labels and the matching name is not shown, returned or deleted.
#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let cluster = cluster();
    for (resource, mut object) in original("theirs", 31000) {
        object["metadata"]["labels"] = json!({ "app": "something-else" });
        cluster.put(resource, object).unwrap();
    }
    let daemon = start(cluster).await;
    let client = daemon.client();
    assert_eq!(client.get("theirs").await.status, 404);
    let answer = client.post("theirs").await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(client.delete("theirs").await.status, 200);
    assert_eq!(daemon.objects(), ["pods sandbox-theirs", "services sandbox-theirs-svc"]);
    assert!(!daemon.calls().iter().any(|call| call.starts_with("delete")));
}

/// Guards that a POST completes an orphan with the one missing write.
#[tokio::test]
async fn a_post_completes_what_it_finds() {
    for (half, missing) in [(0, "create services sandbox-half-svc"), (1, "create pods sandbox-half")] {
        let cluster = cluster();
        let (resource, object) = original("half", 31001)[half].clone();
        cluster.put(resource, object).unwrap();
        let daemon = start(cluster).await;
        assert_eq!(daemon.client().post("half").await.status, 200);
        assert_eq!(daemon.calls(), [missing]);
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
    let daemon = start(cluster).await;
    let client = daemon.client();
    assert_eq!(client.get("service-only").await.body["status"], "NotFound");
    assert_eq!(client.get("pod-only").await.status, 404);
}
