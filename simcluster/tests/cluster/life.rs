//! The lives of Pods, held against what a real kubelet reported.

use serde_json::{Value, json};
use simcluster::Cluster;

use crate::client::{self, NS, SOON, Watch, behaving, cluster, create, delete, is_ready};

/// What a watch shows of a Pod's life, without times, addresses and ids.
fn outline(event: &str, meta: &Value, node: bool, status: &Value) -> Value {
    let conditions: Vec<_> = status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| json!([c["type"], c["status"], c["reason"], c["message"], c["observedGeneration"]]))
        .collect();
    let containers: Vec<_> = status["containerStatuses"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| {
            let (state, what) = c["state"].as_object().unwrap().iter().next().unwrap();
            let keys: Vec<_> = c.as_object().unwrap().keys().collect();
            json!([
                state,
                what["reason"],
                what["exitCode"],
                c["ready"],
                c["started"],
                c["restartCount"],
                keys
            ])
        })
        .collect();
    json!({
        "event": event, "generation": meta["generation"], "grace": meta["deletionGracePeriodSeconds"], "scheduled": node,
        "phase": status["phase"], "generationSeen": status["observedGeneration"], "conditions": conditions,
        "containers": containers, "addressed": status.get("podIP").is_some(),
    })
}

/// Guards the sequence of events of a whole life: every step a kubelet reports, in its order, with its conditions.
#[tokio::test(start_paused = true)]
async fn a_life_is_what_a_kubelet_reports() {
    let recorded: Value = serde_json::from_str(include_str!("../recordings/pod-lifecycles.json")).unwrap();
    let mut wanted: Vec<_> = recorded[0]["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            outline(e["type"].as_str().unwrap(), &e["metadata"], !e["spec.nodeName"].is_null(), &e["status"])
        })
        .collect();
    // The real kubelet reports the end of the containers twice.
    wanted.dedup();

    let cluster = cluster();
    let mut watch = Watch::open(&cluster, "").await;
    create(&cluster, &client::pod("life")).await;
    cluster.wait_for("pods", Some(NS), SOON, |pods| pods.iter().all(is_ready)).await.unwrap();
    delete(&cluster, "pods/life?gracePeriodSeconds=5").await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last: &Value| last["event"] != "DELETED") {
        let event = watch.next().await.unwrap().unwrap();
        let object = &event["object"];
        seen.push(outline(
            event["type"].as_str().unwrap(),
            &object["metadata"],
            object["spec"].get("nodeName").is_some(),
            &object["status"],
        ));
    }
    assert_eq!(seen.len(), wanted.len());
    for (seen, wanted) in seen.iter().zip(&wanted) {
        assert_eq!(seen, wanted);
    }
}

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

/// Guards that an out-of-memory kill is told from other exits.
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

/// Guards that a phase set by hand stays: the node does not set it right.
#[tokio::test(start_paused = true)]
async fn the_node_lets_go_of_what_was_set_by_hand() {
    let cluster = cluster();
    create(&cluster, &client::pod("a")).await;
    cluster.set_phase(NS, "a", "Unknown").unwrap();
    tokio::time::sleep(SOON).await;
    assert_eq!(cluster.object("pods", NS, "a").unwrap()["status"]["phase"], "Unknown");
    delete(&cluster, "pods/a").await;
    cluster.wait_for("pods", Some(NS), SOON, <[_]>::is_empty).await.unwrap();
}

/// Guards the end of a namespace: its Pods end gracefully, then it goes.
#[tokio::test(start_paused = true)]
async fn a_namespace_goes_after_all_that_is_in_it() {
    let cluster = cluster();
    create(&cluster, &client::pod("a")).await;
    cluster.wait_for("pods", Some(NS), SOON, |pods| pods.iter().all(is_ready)).await.unwrap();
    delete(&cluster, "").await;
    assert_eq!(client::call(&cluster, "POST", "pods", &client::pod("b")).await.0, 403);
    cluster.wait_for("namespaces", None, SOON, |list| list.len() == 2).await.unwrap();
    assert_eq!(cluster.count("pods", None), 0);
}
