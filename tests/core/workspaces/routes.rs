//! The routes about workspaces.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simcluster::{Effect, Refusal, Rule, Verb};
use testkit::{Answer, Daemon, until, within};
use tokio::time::sleep;

use super::{claim, claim_calls, claims, cluster, create, delete, profile, run, with};

async fn list(daemon: &Daemon) -> Vec<Value> {
    let list = daemon.fetch("/api/workspaces").await;
    assert_eq!(list.status, 200, "{list}");
    let all = list.body["workspaces"].as_array().unwrap().clone();
    assert_eq!(list.body["count"], all.len());
    all
}

async fn remove(daemon: &Daemon, id: &str) -> Answer {
    daemon.call(Method::DELETE, &format!("/api/workspaces/{id}"), None).await
}

async fn enlarge(daemon: &Daemon, id: &str, body: Value) -> Answer {
    daemon.call(Method::PATCH, &format!("/api/workspaces/{id}"), Some(body)).await
}

/// Guards the list: in use without an end, and unused with its last use and its end.
#[tokio::test(start_paused = true)]
async fn workspaces_are_listed() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("scope = 'thread', keep_for = '1d'")).await;
    assert_eq!(list(&daemon).await, Vec::<Value>::new());
    let made = run(&daemon, "a").await;
    until("it is shown", async || list(&daemon).await.len() == 1).await;
    let [shown] = list(&daemon).await.try_into().unwrap();
    assert_eq!(shown["id"], made.body["workspace"]["id"]);
    for (field, value) in [
        ("scope", json!("thread")),
        ("thread_id", json!("t")),
        ("user_id", json!("u")),
        ("size", json!("10Gi")),
        ("profile", json!("p")),
        ("when_deleted", json!("keep")),
        ("keep_for", json!("1day")),
        ("in_use_by", json!(["a"])),
        ("last_used", Value::Null),
        ("deletes_at", Value::Null),
    ] {
        assert_eq!(shown[field], value, "{field}: {shown}");
    }
    delete(&daemon, "a").await;
    until("it is marked", async || list(&daemon).await[0]["last_used"].is_string()).await;
    let [shown] = list(&daemon).await.try_into().unwrap();
    let time = |field: &str| shown[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let kept = time("deletes_at").duration_since(time("last_used")).as_secs();
    assert!((86_399..=86_401).contains(&kept), "{shown}");
    assert_eq!(shown["in_use_by"], json!([]));
}

/// Guards that a workspace is deleted on request unless a sandbox uses it, or a create may be about to.
#[tokio::test(start_paused = true)]
async fn a_workspace_is_deleted_on_request() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("scope = 'thread'")).await;
    let made = run(&daemon, "a").await;
    let id = made.body["workspace"]["id"].as_str().unwrap();
    until("it is shown", async || list(&daemon).await.len() == 1).await;
    let used = remove(&daemon, id).await;
    assert_eq!((used.status, &used.body["reason"]), (409, &json!("WorkspaceInUse")), "{used}");
    assert!(
        used.body["detail"]
            .as_str()
            .unwrap()
            .contains("the workspace is used by a; delete its sandboxes first")
    );
    assert_eq!(claim_calls(&cluster), ["create"]);
    delete(&daemon, "a").await;
    until("it is marked", async || list(&daemon).await[0]["last_used"].is_string()).await;
    let deleted = remove(&daemon, id).await;
    assert_eq!((deleted.status, &deleted.body), (200, &json!({"ok": true, "id": id})));
    until("it is gone", async || claims(&cluster).is_empty()).await;
    assert_eq!(remove(&daemon, id).await.status, 404);
    for unknown in ["x", &"0".repeat(32), &"0".repeat(9999), "%20", "..%2f"] {
        let refused = remove(&daemon, unknown).await;
        assert_eq!(refused.status, 404, "{refused}");
        assert!(refused.body.to_string().len() < 200, "{refused}");
    }
}

/// Guards that a claim that a create has just made or taken is not deleted under it.
#[tokio::test(start_paused = true)]
async fn a_workspace_that_is_being_taken_is_not_deleted() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("scope = 'thread'")).await;
    sleep(Duration::from_secs(70)).await;
    cluster.fault(Rule::new(Effect::Delay(Duration::from_secs(10))).verb(Verb::Create).resource("pods"));
    let (made, refused) = futures::join!(create(&daemon, "a", "u", Value::Null), async {
        until("it is shown", async || list(&daemon).await.len() == 1).await;
        let id = list(&daemon).await[0]["id"].as_str().unwrap().to_owned();
        remove(&daemon, &id).await
    });
    assert_eq!((refused.status, &refused.body["reason"]), (409, &json!("WorkspaceInUse")), "{refused}");
    assert_eq!(made.status, 200, "{made}");
}

/// Guards that a workspace grows within the bounds of its profile, never shrinks, and that the refusal of a class is a
/// sentence.
#[tokio::test(start_paused = true)]
async fn a_workspace_can_grow() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("scope = 'thread'")).await;
    let made = run(&daemon, "a").await;
    let id = made.body["workspace"]["id"].as_str().unwrap();
    until("it is bound", async || list(&daemon).await.iter().any(|shown| shown["phase"] == "Bound")).await;
    for (body, status, words) in [
        (json!({"size": "101Gi"}), 400, "101Gi is above 100Gi, the maximum of the profile p"),
        (
            json!({"size": "5Gi"}),
            400,
            "size: 5Gi is below 10Gi, the size of the workspace, which can only grow",
        ),
        (json!({"size": "big"}), 400, "a number of bytes"),
        (json!({"size": null}), 422, "valid string"),
        (json!({}), 422, "Field required"),
        (json!({"size": "20Gi", "mode": 1}), 422, "the fields are size"),
    ] {
        let refused = enlarge(&daemon, id, body.clone()).await;
        assert_eq!(refused.status, status, "{body}: {refused}");
        assert!(refused.body["detail"].to_string().contains(words), "{body}: {refused}");
    }
    assert_eq!(enlarge(&daemon, &"0".repeat(32), json!({"size": "20Gi"})).await.status, 404);
    let before = claim_calls(&cluster);
    assert_eq!(enlarge(&daemon, id, json!({"size": "10240Mi"})).await.status, 200, "the same size");
    assert_eq!(claim_calls(&cluster), before);
    let message = "persistentvolumeclaims \"workspace-0\" is forbidden: only dynamically provisioned pvc can be resized and \
                   the storageclass that provisions the pvc must support resize";
    let refusal = Refusal::Other { code: 403, reason: "Forbidden".into(), message: message.to_owned() };
    let rule = Rule::new(Effect::Refuse(refusal)).verb(Verb::Patch).resource("persistentvolumeclaims");
    let rule = cluster.fault(rule);
    let refused = enlarge(&daemon, id, json!({"size": "20Gi"})).await;
    assert_eq!(
        (refused.status, &refused.body["reason"]),
        (409, &json!("WorkspaceNotExpandable")),
        "{refused}"
    );
    assert!(refused.body["hint"].as_str().unwrap().contains("allowVolumeExpansion"), "{refused}");
    cluster.remove_fault(rule);
    assert_eq!(claim(&cluster)["spec"]["resources"]["requests"]["storage"], "10Gi");
}

/// Guards that a workspace grows where its class allows it, that the answers about it and about its sandboxes show the
/// present size, and that one without a volume is refused.
#[tokio::test(start_paused = true)]
async fn a_growth_is_shown() {
    let cluster = cluster();
    let class = json!({
        "metadata": {"name": "fast"}, "provisioner": "csi.example.com", "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true,
        "parameters": {"simcluster/provision": "5s", "simcluster/expand": "30s"},
    });
    cluster.put("storageclasses", class).unwrap();
    let daemon = with(&cluster, &profile("scope = 'thread', storage_class = 'fast'")).await;
    let made = create(&daemon, "a", "u", Value::Null).await;
    let id = made.body["workspace"]["id"].as_str().unwrap();
    until("it is shown", async || list(&daemon).await.len() == 1).await;
    let refused = enlarge(&daemon, id, json!({"size": "20Gi"})).await;
    assert_eq!((refused.status, &refused.body["reason"]), (409, &json!("WorkspacePending")), "{refused}");
    assert!(refused.body["hint"].as_str().unwrap().contains("first sandbox"), "{refused}");

    until("it runs", async || daemon.get("a").await.body["ready"] == true).await;
    let before = daemon.fetch("/api/sandboxes").await;
    assert_eq!(before.body["sandboxes"][0]["workspace"]["size"], "10Gi");
    let grown = enlarge(&daemon, id, json!({"size": "20Gi"})).await;
    let sizes = (&grown.body["size"], &grown.body["capacity"]);
    assert_eq!((grown.status, sizes), (200, (&json!("20Gi"), &json!("10Gi"))), "{grown}");
    assert_eq!(daemon.get("a").await.body["workspace"]["size"], "20Gi");
    let is_listed =
        async || daemon.fetch("/api/sandboxes").await.body["sandboxes"][0]["workspace"]["size"] == "20Gi";
    until("the list shows it", is_listed).await;
    let again = create(&daemon, "a", "u", Value::Null).await;
    assert_eq!(again.body["workspace"]["size"], "20Gi", "{again}");
    let is_complete = async || list(&daemon).await[0].get("capacity").is_none();
    within(Duration::from_secs(60), "the volume has grown", is_complete).await;
    assert_eq!(claim(&cluster)["status"]["capacity"]["storage"], "20Gi");

    let kept = create(&daemon, "b", "u", json!({"size": "20Gi", "when_deleted": "delete"})).await;
    assert_eq!(kept.status, 200, "{kept}");
    let is_newest = async || daemon.get("a").await.body["workspace"]["when_deleted"] == "delete";
    until("the last create decides", is_newest).await;
}

/// Guards that without a workspace in the settings the list is empty and nothing is found, without a call.
#[tokio::test(start_paused = true)]
async fn without_workspaces_there_are_none() {
    let cluster = cluster();
    let daemon = with(&cluster, "").await;
    assert_eq!(daemon.fetch("/api/workspaces").await.body, json!({"workspaces": [], "count": 0}));
    assert_eq!(remove(&daemon, &"0".repeat(32)).await.status, 404);
    assert_eq!(enlarge(&daemon, &"0".repeat(32), json!({"size": "1Gi"})).await.status, 404);
    let refused = daemon.call(Method::PUT, "/api/workspaces", None).await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET")));
    let about_claims = cluster.calls().into_iter().filter(|call| call.resource == "persistentvolumeclaims");
    assert_eq!(about_claims.count(), 0);
}
