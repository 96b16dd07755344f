//! The deletion of workspaces that are not used any more.

use std::time::Duration;

use serde_json::{Value, json};
use simcluster::{Cluster, Effect, Refusal, Rule, Verb};
use testkit::{NAMESPACE, until, within};
use tokio::time::sleep;

use super::{claim, claim_calls, claims, cluster, create, delete, profile, run, with};
use crate::settings_file::with_variables;

const HOUR: Duration = Duration::from_secs(3600);

fn unused_since(cluster: &Cluster) -> Option<String> {
    let since = claim(cluster)["metadata"]["annotations"]["sandbox-provisioner/unused-since"].take();
    since.as_str().map(str::to_owned)
}

/// Waits until the grace after the start is over.
async fn settle() {
    sleep(Duration::from_secs(70)).await;
}

async fn until_gone(cluster: &Cluster) -> Duration {
    within(HOUR, "the claim is gone", async || claims(cluster).is_empty()).await
}

/// Guards that a workspace that goes with its sandbox is deleted as soon as the Pod is gone, in exactly the observed
/// state, and not before.
#[tokio::test(start_paused = true)]
async fn a_workspace_goes_with_its_sandbox() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("when_deleted = 'delete'")).await;
    settle().await;
    run(&daemon, "a").await;
    sleep(HOUR).await;
    assert_eq!(claims(&cluster).len(), 1);
    delete(&daemon, "a").await;
    assert!(until_gone(&cluster).await < Duration::from_secs(10));
    assert_eq!(claim_calls(&cluster), ["create", "delete"]);
    let reasons: Vec<_> = cluster
        .objects("events", Some(NAMESPACE))
        .iter()
        .filter(|event| {
            event["regarding"]["kind"] == "PersistentVolumeClaim"
                || event["involvedObject"]["kind"] == "PersistentVolumeClaim"
        })
        .map(|event| event["reason"].clone())
        .collect();
    assert!(reasons.contains(&json!("WorkspaceSandboxGone")), "{reasons:?}");
}

/// Guards that a kept workspace is marked with one call when it becomes unused, and deleted `keep_for` later.
#[tokio::test(start_paused = true)]
async fn a_kept_workspace_is_deleted_after_its_time() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("scope = 'thread', keep_for = '6h'")).await;
    settle().await;
    run(&daemon, "a").await;
    sleep(HOUR).await;
    delete(&daemon, "a").await;
    until("it is marked", async || unused_since(&cluster).is_some()).await;
    assert_eq!(claim_calls(&cluster), ["create", "patch"]);
    sleep(HOUR * 5).await;
    assert_eq!(claims(&cluster).len(), 1);
    let kept = within(HOUR * 2, "the claim is gone", async || claims(&cluster).is_empty()).await;
    assert!(kept <= HOUR + Duration::from_secs(60), "{kept:?}");
    assert_eq!(claim_calls(&cluster), ["create", "patch", "delete"]);
}

/// Guards that a use in time starts the time again, and that a sandbox that ends does not end a workspace that another
/// one uses.
#[tokio::test(start_paused = true)]
async fn a_used_workspace_is_kept() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("scope = 'thread', when_deleted = 'delete'")).await;
    settle().await;
    run(&daemon, "a").await;
    run(&daemon, "b").await;
    delete(&daemon, "a").await;
    sleep(HOUR).await;
    assert_eq!(claims(&cluster).len(), 1);
    delete(&daemon, "b").await;
    until_gone(&cluster).await;
}

/// Guards that a restart deletes nothing early: a claim whose last Pod ended unseen is marked first, and one whose time
/// is over is deleted after the grace.
#[tokio::test(start_paused = true)]
async fn a_restart_counts_from_the_beginning() {
    let cluster = cluster();
    let file = profile("scope = 'thread', keep_for = '2h'");
    let daemon = with(&cluster, &file).await;
    settle().await;
    run(&daemon, "a").await;
    drop(daemon);
    cluster.remove("pods", NAMESPACE, "sandbox-a").unwrap();
    sleep(HOUR * 24).await;
    let daemon = with(&cluster, &file).await;
    sleep(HOUR).await;
    assert!(unused_since(&cluster).is_some());
    drop(daemon);
    sleep(HOUR * 24).await;
    let _daemon = with(&cluster, &file).await;
    sleep(Duration::from_secs(50)).await;
    assert_eq!(claims(&cluster).len(), 1, "the grace");
    until_gone(&cluster).await;
}

/// Guards that a claim whose Pod was never created is deleted after the grace.
#[tokio::test(start_paused = true)]
async fn a_claim_without_a_pod_is_deleted() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("when_deleted = 'delete'")).await;
    settle().await;
    let rule = Rule::new(Effect::Refuse(Refusal::Forbidden)).verb(Verb::Create).resource("pods");
    let rule = cluster.fault(rule);
    assert_eq!(create(&daemon, "a", "u", Value::Null).await.status, 500);
    cluster.remove_fault(rule);
    assert_eq!(claims(&cluster).len(), 1);
    let took = until_gone(&cluster).await;
    assert!(took > Duration::from_secs(55) && took < Duration::from_secs(90), "{took:?}");
}

/// Guards that in a dry run nothing is deleted, and that it is reported.
#[tokio::test(start_paused = true)]
async fn a_dry_run_deletes_nothing() {
    let cluster = cluster();
    let daemon = with_variables(
        &cluster,
        &profile("when_deleted = 'delete'"),
        &[("PROVISIONER_REAP_DRY_RUN", "true")],
    )
    .await;
    settle().await;
    run(&daemon, "a").await;
    delete(&daemon, "a").await;
    sleep(HOUR / 2).await;
    assert_eq!(claim_calls(&cluster), ["create"]);
    assert!(daemon.logged("would be deleted").contains("WorkspaceSandboxGone"));
    assert_eq!(daemon.fetch("/api/reaper").await.body["rehearsed"], 1);
}

/// Guards that leftovers of many sandboxes stop the deletion at the share, and that an operator resumes it.
#[tokio::test(start_paused = true)]
async fn leftovers_count_towards_the_reap_limits() {
    let cluster = cluster();
    let file = profile("when_deleted = 'delete'");
    let daemon = with(&cluster, &file).await;
    for n in 0..20 {
        assert_eq!(create(&daemon, &format!("s-{n}"), "u", Value::Null).await.status, 200);
    }
    drop(daemon);
    for n in 0..20 {
        cluster.remove("pods", NAMESPACE, &format!("sandbox-s-{n}")).unwrap();
        cluster.remove("services", NAMESPACE, &format!("sandbox-s-{n}-svc")).unwrap();
    }
    let daemon = with(&cluster, &file).await;
    sleep(HOUR / 2).await;
    assert_eq!(claims(&cluster).len(), 10, "half of them");
    assert!(daemon.fetch("/api/reaper").await.body["stopped_until"].is_string());
    let resumed = daemon.call(http::Method::POST, "/api/reaper/resume", None).await;
    assert_eq!(resumed.body["was_stopped"], true);
    until_gone(&cluster).await;
}

/// Guards that the end of many sandboxes at once is also that of their workspaces.
#[tokio::test(start_paused = true)]
async fn many_sandboxes_can_end_at_once() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("when_deleted = 'delete'")).await;
    settle().await;
    for n in 0..20 {
        run(&daemon, &format!("s-{n}")).await;
    }
    for n in 0..20 {
        assert_eq!(daemon.delete(&format!("s-{n}")).await.status, 200);
    }
    assert!(until_gone(&cluster).await < Duration::from_secs(60));
}

/// Guards that nothing is decided while the watch on claims fails, and that a refused delete is repeated at a bounded
/// rate.
#[tokio::test(start_paused = true)]
async fn failures_delete_nothing_and_cost_little() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("when_deleted = 'delete'")).await;
    settle().await;
    run(&daemon, "a").await;
    let rule =
        Rule::new(Effect::Refuse(Refusal::Forbidden)).verb(Verb::Delete).resource("persistentvolumeclaims");
    let rule = cluster.fault(rule);
    delete(&daemon, "a").await;
    sleep(HOUR / 2).await;
    let deletes = claim_calls(&cluster).iter().filter(|verb| *verb == "delete").count();
    assert!((20..40).contains(&deletes), "{deletes}");
    cluster.remove_fault(rule);
    until_gone(&cluster).await;
}

/// Guards that claims of others, and claims that look like ours, are left alone.
#[tokio::test(start_paused = true)]
async fn foreign_claims_are_left_alone() {
    let cluster = cluster();
    let put = |name: &str, labels: Value| {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        let annotations = json!({
            "sandbox-provisioner/when-deleted": "delete", "sandbox-provisioner/unused-since": "2020-01-01T00:00:00Z",
            "sandbox-provisioner/keep-for": "1m",
        });
        let metadata =
            json!({"namespace": NAMESPACE, "name": name, "labels": labels, "annotations": annotations});
        cluster.put("persistentvolumeclaims", json!({"metadata": metadata, "spec": spec})).unwrap();
    };
    let id = "0".repeat(32);
    let ours = json!({
        "app.kubernetes.io/managed-by": "sandbox-provisioner", "sandbox-provisioner/workspace": id,
        "sandbox-provisioner/workspace-scope": "user",
    });
    put("other", ours.clone());
    put("users", json!({"app": "deer-flow-sandbox", "sandbox-id": "a"}));
    let mut helm = ours.clone();
    helm["app.kubernetes.io/managed-by"] = "Helm".into();
    put(&format!("workspace-{id}"), helm);
    let before = claims(&cluster);
    let daemon = with(&cluster, &profile("when_deleted = 'delete'")).await;
    sleep(HOUR).await;
    let specs = |claims: &[Value]| -> Vec<_> {
        claims.iter().map(|claim| claim["metadata"]["annotations"].clone()).collect()
    };
    assert_eq!(specs(&claims(&cluster)), specs(&before));
    assert_eq!(daemon.fetch("/api/workspaces").await.body, json!({"workspaces": [], "count": 0}));
}
