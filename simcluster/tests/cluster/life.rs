//! The life of Pods: the results of each behaviour. `recorded` compares the details with recordings.

use serde_json::{Value, json};
use simcluster::Cluster;

use crate::client::{self, NS, SOON, behaving, cluster, create, delete, is_ready};

async fn waiting_reason(cluster: &Cluster, reason: &str) -> Value {
    let found = cluster
        .wait_for("pods", Some(NS), SOON, |pods| {
            pods.iter().any(|p| p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason)
        })
        .await;
    found.unwrap().remove(0)["status"].take()
}

/// Guards the annotation: each behaviour shows the state that `pod-states.json` has for it.
#[tokio::test(start_paused = true)]
async fn behaviours_show_what_real_kubelets_show() {
    for (behaviour, reason, phase) in [
        ("image-pull-error", "ImagePullBackOff", "Pending"),
        ("image-never-pull", "ErrImageNeverPull", "Pending"),
        ("crash-loop", "CrashLoopBackOff", "Running"),
        ("creating", "ContainerCreating", "Pending"),
    ] {
        let cluster = cluster();
        create(&cluster, &behaving("a", behaviour)).await;
        let status = waiting_reason(&cluster, reason).await;
        assert_eq!(status["phase"], phase, "{behaviour}");
    }
    for (behaviour, phase) in [("succeed", "Succeeded"), ("fail", "Failed"), ("never-ready", "Running")] {
        let cluster = cluster();
        create(&cluster, &behaving("a", behaviour)).await;
        cluster.wait_for("pods", Some(NS), SOON, |pods| pods[0]["status"]["phase"] == phase).await.unwrap();
    }
}

/// Guards that an out-of-memory kill has its own reason.
#[tokio::test(start_paused = true)]
async fn an_oom_kill_is_named() {
    let cluster = cluster();
    create(&cluster, &behaving("a", "oom")).await;
    let status = waiting_reason(&cluster, "CrashLoopBackOff").await;
    let last = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!((&last["reason"], &last["exitCode"]), (&json!("OOMKilled"), &json!(137)));
}

/// Guards that a Pod that hangs in its deletion stays, and that force gets rid of it.
#[tokio::test(start_paused = true)]
async fn a_stuck_pod_goes_by_force_only() {
    let cluster = cluster();
    create(&cluster, &behaving("a", "stuck-terminating")).await;
    cluster.wait_for("pods", Some(NS), SOON, |pods| pods.iter().all(is_ready)).await.unwrap();
    delete(&cluster, "pods/a").await;
    tokio::time::sleep(10 * SOON).await;
    assert_eq!(cluster.count("pods", Some(NS)), 1);
    delete(&cluster, "pods/a?gracePeriodSeconds=0").await;
    assert_eq!(cluster.count("pods", Some(NS)), 0);
}

/// Guards that the node does not change a phase that the handle has set.
#[tokio::test(start_paused = true)]
async fn a_phase_set_by_the_handle_stays() {
    let cluster = cluster();
    create(&cluster, &client::pod("a")).await;
    cluster.set_phase(NS, "a", "Unknown").unwrap();
    tokio::time::sleep(SOON).await;
    assert_eq!(cluster.object("pods", NS, "a").unwrap()["status"]["phase"], "Unknown");
    delete(&cluster, "pods/a").await;
    cluster.wait_for("pods", Some(NS), SOON, <[_]>::is_empty).await.unwrap();
}

/// Guards the deletion of a namespace: its Pods terminate gracefully, then the namespace is gone.
#[tokio::test(start_paused = true)]
async fn a_namespace_ends_after_its_pods() {
    let cluster = cluster();
    create(&cluster, &client::pod("a")).await;
    cluster.wait_for("pods", Some(NS), SOON, |pods| pods.iter().all(is_ready)).await.unwrap();
    delete(&cluster, "").await;
    assert_eq!(client::call(&cluster, "POST", "pods", &client::pod("b")).await.0, 403);
    cluster.wait_for("namespaces", None, SOON, |list| list.len() == 2).await.unwrap();
    assert_eq!(cluster.count("pods", None), 0);
}
