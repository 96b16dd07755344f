//! Sandboxes that do not start because of the claim of their workspace.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simcluster::{Cluster, Options};
use testkit::{Answer, Daemon, NAMESPACE, until, within};
use tokio::time::{Instant, sleep};

use super::{claim, cluster, create, delete, profile, with};

/// Adds a class whose provisioner makes a volume after this time, or `never`.
fn put_class(cluster: &Cluster, mode: &str, provision: &str) {
    let class = json!({
        "metadata": {"name": "slow"}, "provisioner": "csi.example.com", "reclaimPolicy": "Delete",
        "volumeBindingMode": mode, "parameters": {"simcluster/provision": provision},
    });
    cluster.put("storageclasses", class).unwrap();
}

/// Starts a daemon whose workspaces have this class, and creates the sandbox `a`.
async fn waiting(cluster: &Cluster) -> Daemon {
    let daemon = with(cluster, &profile("scope = 'thread', storage_class = 'slow'")).await;
    let made = create(&daemon, "a", "u", Value::Null).await;
    assert_eq!(made.status, 200, "{made}");
    daemon
}

fn change_claim(cluster: &Cluster, change: impl FnOnce(&mut Value)) {
    let name = claim(cluster)["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.change("persistentvolumeclaims", NAMESPACE, &name, change).unwrap();
}

/// Waits until a GET has this reason, and returns it.
async fn explained(daemon: &Daemon, reason: &str) -> Answer {
    until(reason, async || daemon.get("a").await.body["reason"] == reason).await;
    daemon.get("a").await
}

fn contains(answer: &Answer, field: &str, words: &str) {
    let text = answer.body[field].as_str().unwrap_or_default();
    assert!(text.contains(words), "{field} without {words:?}: {answer}");
}

/// Guards that a claim for which the Pod waits long is the reason, in a GET and in a LIST, and that it ends with the
/// volume. A claim that waits for its first consumer is normal before.
#[tokio::test(start_paused = true)]
async fn a_claim_that_stays_pending_is_the_reason() {
    let cluster = cluster();
    put_class(&cluster, "WaitForFirstConsumer", "never");
    let daemon = waiting(&cluster).await;
    let start = Instant::now();
    sleep(Duration::from_secs(55)).await;
    let early = daemon.get("a").await;
    assert_eq!((&early.body["status"], early.body.get("reason")), (&json!("Pending"), None), "{early}");
    let is_listed =
        async || daemon.fetch("/api/sandboxes").await.body["sandboxes"][0]["reason"] == "WorkspacePending";
    within(Duration::from_secs(20), "the list shows it", is_listed).await;
    assert!(start.elapsed() > Duration::from_secs(59), "{:?}", start.elapsed());
    let shown = daemon.get("a").await;
    assert_eq!(
        (&shown.body["status"], &shown.body["reason"]),
        (&json!("Pending"), &json!("WorkspacePending"))
    );
    contains(&shown, "message", "of the storage class \"slow\" has no volume");
    contains(&shown, "hint", "its provisioner runs");
    let again = create(&daemon, "a", "u", Value::Null).await;
    assert_eq!((again.status, &again.body["reason"]), (200, &json!("WorkspacePending")), "{again}");

    let works = |class: &mut Value| class["parameters"] = json!({});
    cluster.change("storageclasses", "", "slow", works).unwrap();
    until("it runs", async || daemon.get("a").await.body["ready"] == true).await;
    assert_eq!(daemon.get("a").await.body.get("reason"), None);
}

/// Guards that a workspace whose snapshot does not exist is the reason, and that the sandbox starts once it exists.
#[tokio::test(start_paused = true)]
async fn a_workspace_waits_for_its_snapshot() {
    let cluster = Cluster::start(Options { custom_resources: true, ..Options::with_namespace(NAMESPACE) });
    put_class(&cluster, "WaitForFirstConsumer", "1s");
    let daemon = with(&cluster, &profile("storage_class = 'slow', source_snapshot = 'golden'")).await;
    assert_eq!(create(&daemon, "a", "u", Value::Null).await.status, 200);
    sleep(Duration::from_secs(61)).await;
    let shown = explained(&daemon, "WorkspacePending").await;
    contains(&shown, "message", "of the storage class \"slow\" has no volume");
    assert_eq!(claim(&cluster)["spec"]["dataSource"]["name"], "golden");
    let is_about_the_snapshot = |event: &Value| event["reason"] == "ProvisioningFailed";
    assert!(cluster.objects("events", Some(NAMESPACE)).iter().any(is_about_the_snapshot));

    let snapshot = json!({"metadata": {"name": "golden", "namespace": NAMESPACE}, "spec": {}});
    cluster.put("volumesnapshots", snapshot).unwrap();
    until("it runs", async || daemon.get("a").await.body["ready"] == true).await;
}

/// Guards that the scheduler's own sentence about a claim is kept, and that of a node without room is not replaced.
#[tokio::test(start_paused = true)]
async fn the_scheduler_is_quoted() {
    let cluster = cluster();
    let daemon = waiting(&cluster).await;
    let early = explained(&daemon, "Unschedulable").await;
    contains(&early, "message", "unbound immediate PersistentVolumeClaims");
    sleep(Duration::from_secs(61)).await;
    let shown = explained(&daemon, "WorkspacePending").await;
    contains(&shown, "message", "the scheduler says: 0/1 nodes are available: pod has unbound immediate");

    let cluster = self::cluster();
    put_class(&cluster, "WaitForFirstConsumer", "1s");
    cluster.set_capacity(simcluster::Capacity { pods: 0, ..simcluster::Capacity::default() });
    let daemon = waiting(&cluster).await;
    sleep(Duration::from_secs(120)).await;
    let shown = daemon.get("a").await;
    assert_eq!(shown.body["reason"], "Unschedulable", "{shown}");
    assert_eq!(claim(&cluster)["status"]["phase"], "Pending");
}

/// Guards that a Pod that waits for a claim that is lost, terminating or gone says so, and that a wait for a lost one
/// ends.
#[tokio::test(start_paused = true)]
async fn a_claim_that_is_gone_is_the_reason() {
    let cluster = cluster();
    put_class(&cluster, "WaitForFirstConsumer", "never");
    let daemon = waiting(&cluster).await;
    change_claim(&cluster, |claim| claim["status"]["phase"] = "Lost".into());
    let lost = explained(&daemon, "WorkspaceLost").await;
    contains(&lost, "message", "has lost its volume");
    contains(&lost, "hint", "DELETE /api/workspaces/{id}");
    let start = Instant::now();
    let waited = daemon.fetch("/api/sandboxes/a?wait=ready&timeout=20s").await;
    assert_eq!((waited.status, &waited.body["reason"]), (200, &json!("WorkspaceLost")));
    assert!(start.elapsed() < Duration::from_secs(1));

    change_claim(&cluster, |claim| {
        claim["status"]["phase"] = "Pending".into();
        claim["metadata"]["finalizers"] = json!(["example.com/backup"]);
        claim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    });
    let terminating = explained(&daemon, "WorkspaceTerminating").await;
    contains(&terminating, "message", "is being deleted");

    let name = claim(&cluster)["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.remove("persistentvolumeclaims", NAMESPACE, &name).unwrap();
    sleep(Duration::from_secs(61)).await;
    let missing = explained(&daemon, "WorkspaceMissing").await;
    contains(&missing, "message", "does not exist any more");
    // The hint works.
    delete(&daemon, "a").await;
    let works = |class: &mut Value| class["parameters"] = json!({});
    cluster.change("storageclasses", "", "slow", works).unwrap();
    assert_eq!(create(&daemon, "a", "u", Value::Null).await.status, 200);
    until("it runs", async || daemon.get("a").await.body["ready"] == true).await;
}

/// Guards that a quota on claims refuses with its own reason and hint, at the creation and at growth, as a real quota
/// does.
#[tokio::test(start_paused = true)]
async fn quotas_refuse_creation_and_growth() {
    let cluster = cluster();
    put_class(&cluster, "Immediate", "1s");
    cluster
        .change("storageclasses", "", "slow", |class| class["allowVolumeExpansion"] = true.into())
        .unwrap();
    let hard = json!({"requests.storage": "15Gi"});
    let quota = json!({"metadata": {"name": "storage", "namespace": NAMESPACE}, "spec": {"hard": hard}});
    cluster.put("resourcequotas", quota).unwrap();
    let daemon = waiting(&cluster).await;
    until("it runs", async || daemon.get("a").await.body["ready"] == true).await;
    let refused = create(&daemon, "b", "v", Value::Null).await;
    assert_eq!((refused.status, &refused.body["reason"]), (503, &json!("QuotaExceeded")), "{refused}");
    contains(&refused, "detail", "exceeded quota: storage, requested: requests.storage=10Gi");
    contains(&refused, "hint", "the quota on claims or on their storage is used up");
    until("nothing is left", async || daemon.get("b").await.status == 404).await;

    let id = daemon.get("a").await.body["workspace"]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/workspaces/{id}");
    let refused = daemon.call(Method::PATCH, &path, Some(json!({"size": "20Gi"}))).await;
    assert_eq!((refused.status, &refused.body["reason"]), (503, &json!("QuotaExceeded")), "{refused}");
    contains(&refused, "hint", "the quota on claims or on their storage is used up");
}
