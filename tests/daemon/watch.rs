//! Tests of the shared watch with restarts of the API server and manual changes.

use testkit::{Daemon, NAMESPACE, until};

/// Guards that the phases of a Pod are followed and that its reason is shown.
#[tokio::test]
async fn phases_are_followed() {
    let daemon = Daemon::listening().await;
    let client = daemon.client();
    client.post("a").await;
    client.until_phase("a", "Running").await;
    for phase in ["Unknown", "Failed", "Succeeded"] {
        daemon.cluster.set_phase(NAMESPACE, "sandbox-a", phase).unwrap();
        client.until_phase("a", phase).await;
    }
}

/// Guards that an expired watch window causes a new list, and that objects deleted meanwhile are then gone.
#[tokio::test]
async fn an_expired_window_starts_a_new_list() {
    let daemon = Daemon::listening().await;
    let client = daemon.client();
    for id in ["a", "b"] {
        client.post(id).await;
        client.until_phase(id, "Running").await;
    }
    daemon.cluster.set_away(true);
    daemon.cluster.remove("pods", NAMESPACE, "sandbox-a").unwrap();
    daemon.cluster.remove("services", NAMESPACE, "sandbox-a-svc").unwrap();
    daemon.cluster.expire_watch_window();
    assert_eq!(client.get("a").await.status, 200, "not known yet");
    daemon.cluster.set_away(false);
    until("a is known to be gone", async || client.get("a").await.status == 404).await;
    assert_eq!(client.get("b").await.body["status"], "Running");
}

/// Guards that a manual deletion is noticed and that a POST creates the missing object.
#[tokio::test]
async fn objects_deleted_by_hand() {
    let daemon = Daemon::listening().await;
    let client = daemon.client();
    client.post("a").await;
    daemon.cluster.remove("pods", NAMESPACE, "sandbox-a").unwrap();
    client.until_phase("a", "NotFound").await;
    assert_eq!(client.post("a").await.status, 200);
    daemon.cluster.remove("services", NAMESPACE, "sandbox-a-svc").unwrap();
    until("it is not there for callers", async || client.get("a").await.status == 404).await;
    assert_eq!(client.post("a").await.status, 200);
    assert_eq!(daemon.objects(), ["pods sandbox-a", "services sandbox-a-svc"]);
}

/// Guards that a sandbox is not shown as running while a label is removed, and that the same sandbox is back once the
/// label is restored.
#[tokio::test]
async fn a_label_taken_off_and_put_on_again() {
    let daemon = Daemon::listening().await;
    let client = daemon.client();
    client.post("a").await;
    let before = client.until_phase("a", "Running").await;
    let relabel = |resource: &str, name: &str, value: &str| {
        let change = |object: &mut serde_json::Value| object["metadata"]["labels"]["app"] = value.into();
        daemon.cluster.change(resource, NAMESPACE, name, change).unwrap();
    };
    for (resource, name) in [("pods", "sandbox-a"), ("services", "sandbox-a-svc")] {
        relabel(resource, name, "quarantine");
        until("it is noticed", async || client.get("a").await.body["status"] != "Running").await;
        relabel(resource, name, "deer-flow-sandbox");
        assert_eq!(client.until_phase("a", "Running").await["sandbox_url"], before["sandbox_url"]);
        assert_eq!(client.post("a").await.status, 200);
    }
    assert_eq!(client.delete("a").await.status, 200);
    until("both are gone", async || daemon.objects().is_empty()).await;
}
