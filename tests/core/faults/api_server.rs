//! Tests of failures of the API server.

use std::time::Duration;

use http::Method;
use serde_json::json;
use simcluster::{Effect, Refusal, Rule, Verb};
use tokio::time::{Instant, sleep};

use testkit::{Daemon, NAMESPACE};

use super::recovered;

/// Guards that a restart with an empty watch window and closed watches causes one list and no wrong answer.
#[tokio::test(start_paused = true)]
async fn a_restart_with_an_empty_watch_window() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    for _ in 0..3 {
        daemon.cluster.restart();
        // A change while no watch is open is not missed.
        daemon.cluster.set_phase(NAMESPACE, "sandbox-a", "Unknown").unwrap();
        let healed = recovered("it is seen", async || {
            let answer = daemon.get("a").await;
            assert_eq!(answer.status, 200, "{answer}");
            answer.body["status"] == "Unknown"
        });
        let healed = healed.await;
        assert!(healed < Duration::from_secs(5), "{healed:?}");
        assert_eq!(daemon.unready().await, [""; 0]);
        daemon.cluster.set_phase(NAMESPACE, "sandbox-a", "Running").unwrap();
        recovered("it runs", async || daemon.get("a").await.body["status"] == "Running").await;
    }
    assert!(daemon.logged("the watch is failing").contains("WARN"), "{}", daemon.logged(""));
    assert!(!daemon.logged("the watch is up to date again").is_empty());
}

/// Guards that after "etcdserver: request timed out", which leaves the outcome unknown, the object is looked up and
/// written again if it is missing.
#[tokio::test(start_paused = true)]
async fn an_etcd_that_times_out_once() {
    for resource in ["pods", "services"] {
        let daemon = Daemon::start().await;
        let timed_out = Rule::new(Effect::Refuse(Refusal::EtcdTimeout));
        daemon.cluster.fault(timed_out.verb(Verb::Create).resource(resource).times(1));
        let made = daemon.post("a").await;
        assert_eq!(made.to_string(), "200 | Pending");
        assert_eq!(daemon.objects(), ["pods sandbox-a", "services sandbox-a-svc"]);
    }
}

/// Guards that every write reports a lasting timeout of etcd, and that a delete is completed afterwards, although its
/// caller has given up.
#[tokio::test(start_paused = true)]
async fn an_etcd_that_times_out_for_long() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    daemon.cluster.fault(Rule::new(Effect::Refuse(Refusal::EtcdTimeout)).writes());
    assert_eq!(
        daemon.post("b").await.to_string(),
        "503 after 5 s | ServerError | Pod creation failed for now: ServerError (etcdserver: request timed out); try \
         again in 5 s"
    );
    assert_eq!(
        daemon.delete("a").await.to_string(),
        "503 after 5 s | ServerError | Pod deletion failed for now: ServerError (etcdserver: request timed out); try \
         again in 5 s"
    );
    assert_eq!(daemon.get("a").await.to_string(), "200 | Running");
    assert!(daemon.logged("WARN").contains("etcdserver: request timed out"), "{}", daemon.logged(""));
    sleep(Duration::from_secs(60)).await;
    daemon.cluster.clear_faults();
    recovered("the delete is finished", async || daemon.objects().is_empty()).await;
    assert_eq!(daemon.get("a").await.status, 404);
    daemon.running("b").await;
}

/// Guards that a create reports the missing permission after it is revoked, and that the watch continues.
#[tokio::test(start_paused = true)]
async fn a_right_that_is_revoked() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    daemon.cluster.fault(Rule::new(Effect::Refuse(Refusal::Forbidden)).writes());
    let refused = daemon.post("b").await.to_string();
    assert!(
        refused.starts_with("500 | Forbidden | Pod creation failed: Forbidden (pods is forbidden: User"),
        "{refused}"
    );
    let refused = daemon.delete("a").await.to_string();
    assert!(refused.starts_with("500 | Forbidden | Pod deletion failed: Forbidden ("), "{refused}");
    assert_eq!(daemon.get("a").await.to_string(), "200 | Running");
    assert!(daemon.logged("WARN").contains("Forbidden"), "{}", daemon.logged(""));
    daemon.cluster.clear_faults();
    daemon.running("b").await;
    let begun = Instant::now();
    recovered("the delete is finished", async || daemon.get("a").await.status == 404).await;
    assert!(begun.elapsed() <= Duration::from_secs(61), "{:?}", begun.elapsed());
}

/// Guards that expired credentials are reported with their cause, and that creates may be retried, as in an outage.
#[tokio::test(start_paused = true)]
async fn a_token_that_has_expired() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    daemon.cluster.fault(Rule::new(Effect::Refuse(Refusal::Unauthorized)));
    daemon.cluster.cut_watches();
    assert_eq!(daemon.get("a").await.to_string(), "200 | Running");
    assert_eq!(
        daemon.post("b").await.to_string(),
        "503 after 5 s | Unauthorized | Pod creation failed for now: Unauthorized (the API server does not take the \
         credentials; check the kubeconfig's user, and whether its token has expired); try again in 5 s"
    );
    sleep(Duration::from_secs(70)).await;
    let stale = daemon.get("a").await.to_string();
    assert!(stale.starts_with("503 after 5 s | Stale | cluster state is stale ("), "{stale}");
    let unready = daemon.unready().await;
    assert!(
        unready.iter().any(|line| line.starts_with("[-]watch-pods") && line.contains("Unauthorized")),
        "{unready:?}"
    );
    daemon.cluster.clear_faults();
    daemon.until_ready().await;
    assert_eq!(daemon.get("a").await.to_string(), "200 | Running");
    daemon.running("b").await;
}

/// Guards the behavior after a cluster is restored from a backup. The daemon must be restarted, like Kubernetes' own
/// controllers, because it would treat restored objects as deleted.
#[tokio::test(start_paused = true)]
async fn a_cluster_put_back_to_a_backup() {
    for keep_counting in [true, false] {
        let mut daemon = Daemon::start().await;
        for id in ["kept", "deleted"] {
            daemon.running(id).await;
        }
        let backup = daemon.cluster.snapshot();
        daemon.running("new").await;
        assert_eq!(daemon.delete("deleted").await.status, 200);
        sleep(Duration::from_secs(10)).await;
        daemon.cluster.restore(&backup, keep_counting);
        let forgotten =
            recovered("the new one is known to be gone", async || daemon.get("new").await.status == 404);
        assert!(forgotten.await < Duration::from_secs(5));
        assert_eq!(daemon.get("kept").await.status, 200);
        daemon.restart().await;
        daemon.until_ready().await;
        for (id, status) in [("kept", 200), ("deleted", 200), ("new", 404)] {
            assert_eq!(daemon.get(id).await.status, status, "{id}");
        }
        daemon.running("new").await;
        assert_eq!(daemon.delete("deleted").await.status, 200);
        recovered("it is gone", async || daemon.objects().len() == 4).await;
    }
}

/// Guards that presence is false only where the API server says so: not while it is away, not while the watch is broken
/// without our seeing it, and not for a Pod without our labels.
#[tokio::test(start_paused = true)]
async fn presence_is_never_false_by_guess() {
    let daemon = Daemon::start().await;
    let presence =
        async |id: &str| daemon.call(Method::GET, &format!("/api/sandboxes/{id}/presence"), None).await;
    assert_eq!(presence("b").await.body["exists"], false);

    let spec = json!({"containers": [{"name": "x", "image": "x"}]});
    let foreign = json!({"metadata": {"name": "sandbox-foreign", "namespace": NAMESPACE}, "spec": spec});
    daemon.cluster.put("pods", foreign).unwrap();
    assert_eq!(presence("foreign").await.body["exists"], true);

    daemon.cluster.stall_watches(true);
    let labels = json!({"app": "deer-flow-sandbox", "sandbox-id": "unseen"});
    let metadata = json!({"name": "sandbox-unseen", "namespace": NAMESPACE, "labels": labels});
    daemon.cluster.put("pods", json!({"metadata": metadata, "spec": spec})).unwrap();
    assert_eq!(presence("unseen").await.body["exists"], true);
    daemon.cluster.stall_watches(false);

    daemon.cluster.set_away(true);
    let unknown = presence("b").await;
    assert_eq!((unknown.status, unknown.retry_after()), (503, Some(5)), "{unknown}");
}
