//! Tests of the shared watch with restarts of the API server and manual changes.

use http::StatusCode;

use super::support::{NAMESPACE, World, until};

/// Guards that the phases of a Pod are followed and that its reason is shown.
#[tokio::test]
async fn phases_are_followed() {
    let world = World::start().await.ready().await;
    let client = world.client();
    client.post("a").await;
    client.until_phase("a", "Running").await;
    for phase in ["Unknown", "Failed", "Succeeded"] {
        world.cluster.set_phase(NAMESPACE, "sandbox-a", phase).unwrap();
        client.until_phase("a", phase).await;
    }
}

/// Guards that an expired watch window causes a new list, and that objects deleted meanwhile are then gone.
#[tokio::test]
async fn an_expired_window_is_listed_anew() {
    let world = World::start().await.ready().await;
    let client = world.client();
    for id in ["a", "b"] {
        client.post(id).await;
        client.until_phase(id, "Running").await;
    }
    world.cluster.set_away(true);
    world.cluster.remove("pods", NAMESPACE, "sandbox-a").unwrap();
    world.cluster.remove("services", NAMESPACE, "sandbox-a-svc").unwrap();
    world.cluster.expire_watch_window();
    assert_eq!(client.get("/api/sandboxes/a").await.status, StatusCode::OK, "not known yet");
    world.cluster.set_away(false);
    until("a is known to be gone", async || {
        client.get("/api/sandboxes/a").await.status == StatusCode::NOT_FOUND
    })
    .await;
    assert_eq!(client.get("/api/sandboxes/b").await.json()["status"], "Running");
}

/// Guards that a manual deletion is noticed and that a POST creates the missing object.
#[tokio::test]
async fn objects_deleted_by_hand() {
    let world = World::start().await.ready().await;
    let client = world.client();
    client.post("a").await;
    world.cluster.remove("pods", NAMESPACE, "sandbox-a").unwrap();
    client.until_phase("a", "NotFound").await;
    assert_eq!(client.post("a").await.status, StatusCode::OK);
    world.cluster.remove("services", NAMESPACE, "sandbox-a-svc").unwrap();
    until("it is not there for callers", async || {
        client.get("/api/sandboxes/a").await.status == StatusCode::NOT_FOUND
    })
    .await;
    assert_eq!(client.post("a").await.status, StatusCode::OK);
    assert_eq!(world.objects(), ["pods sandbox-a", "services sandbox-a-svc"]);
}

/// Guards that a sandbox is not shown as running while a label is removed, and that the same sandbox is back once the
/// label is restored.
#[tokio::test]
async fn a_label_taken_off_and_put_on_again() {
    let world = World::start().await.ready().await;
    let client = world.client();
    client.post("a").await;
    let before = client.until_phase("a", "Running").await;
    let relabel = |resource: &str, name: &str, value: &str| {
        let change = |object: &mut serde_json::Value| object["metadata"]["labels"]["app"] = value.into();
        world.cluster.change(resource, NAMESPACE, name, change).unwrap();
    };
    for (resource, name) in [("pods", "sandbox-a"), ("services", "sandbox-a-svc")] {
        relabel(resource, name, "quarantine");
        until("it is noticed", async || client.get("/api/sandboxes/a").await.json()["status"] != "Running")
            .await;
        relabel(resource, name, "deer-flow-sandbox");
        assert_eq!(client.until_phase("a", "Running").await["sandbox_url"], before["sandbox_url"]);
        assert_eq!(client.post("a").await.status, StatusCode::OK);
    }
    assert_eq!(client.delete("/api/sandboxes/a").await.status, StatusCode::OK);
    until("both are gone", async || world.objects().is_empty()).await;
}
