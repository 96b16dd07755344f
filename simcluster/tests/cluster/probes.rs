//! The kubelet's probes: when a container counts as started and as ready, and when its boot took too long.

use std::time::Duration;

use serde_json::{Value, json};
use simcluster::{Cluster, Course};
use tokio::time::Instant;

use crate::client::{NS, SOON, behaving, call, cluster, create, is_ready, service};

/// A Pod with these probes.
fn probed(behaviour: &str, probes: &Value) -> Value {
    let mut pod = behaving("a", behaviour);
    for (name, probe) in probes.as_object().unwrap() {
        let mut probe = probe.clone();
        probe["httpGet"] = json!({"path": "/v1/sandbox", "port": 8080});
        pod["spec"]["containers"][0][name] = probe;
    }
    pod
}

fn container(cluster: &Cluster) -> Value {
    cluster.object("pods", NS, "a").unwrap()["status"]["containerStatuses"][0].clone()
}

/// The addresses that the Service sends to.
fn endpoints(cluster: &Cluster) -> usize {
    let found = cluster.object("endpoints", NS, "a-svc").unwrap_or_default();
    found["subsets"][0]["addresses"].as_array().map_or(0, Vec::len)
}

/// The texts of Events with a reason.
fn said(cluster: &Cluster, reason: &str) -> Vec<String> {
    let events = cluster.objects("events", Some(NS));
    let with_reason = events.iter().filter(|event| event["reason"] == reason);
    with_reason.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

/// Guards that a Pod is ready, and an endpoint of its Service, when its probes allow it: a startup probe costs a
/// period before the others run, and a readiness probe without a delay runs at once.
#[tokio::test(start_paused = true)]
async fn a_pod_is_ready_when_its_probes_say_so() {
    let second = json!({"periodSeconds": 1});
    let recorded = json!({"initialDelaySeconds": 5, "periodSeconds": 5});
    for (behaviour, probes, millis) in [
        ("normal", json!({}), 150),
        ("normal", json!({"readinessProbe": second}), 300),
        ("normal", json!({"readinessProbe": recorded}), 5150),
        ("normal", json!({"startupProbe": second}), 1150),
        ("normal", json!({"startupProbe": second, "readinessProbe": second}), 2150),
        ("boot=3s", json!({"readinessProbe": second}), 3300),
        ("boot=3s", json!({"readinessProbe": recorded}), 5150),
        ("boot=6s", json!({"readinessProbe": recorded}), 10_150),
        ("boot=2500ms", json!({"startupProbe": second, "readinessProbe": second}), 4150),
        ("boot=28s", json!({"readinessProbe": recorded, "livenessProbe": {"periodSeconds": 10}}), 30_150),
    ] {
        let cluster = cluster();
        call(&cluster, "POST", "services", &service("a-svc", "a")).await;
        let before = Instant::now();
        create(&cluster, &probed(behaviour, &probes)).await;
        let reached = Duration::from_millis(millis);
        tokio::time::sleep(Duration::from_millis(millis - 1)).await;
        let pod = cluster.object("pods", NS, "a").unwrap();
        assert!(!is_ready(&pod) && endpoints(&cluster) == 0, "{behaviour} {probes}");
        cluster.wait_for("pods", Some(NS), SOON, |pods| is_ready(&pods[0])).await.unwrap();
        assert_eq!(before.elapsed(), reached, "{behaviour} {probes}");
        cluster.wait_for("endpoints", Some(NS), SOON, |_| endpoints(&cluster) == 1).await.unwrap();
        assert_eq!(before.elapsed(), reached, "{behaviour} {probes}");
        assert_eq!(
            (&container(&cluster)["started"], &container(&cluster)["restartCount"]),
            (&json!(true), &json!(0))
        );
    }
}

/// Guards the startup probe: until it succeeds the container is not started, and the liveness probe does not run.
#[tokio::test(start_paused = true)]
async fn a_startup_probe_holds_the_others_back() {
    let cluster = cluster();
    let probes = json!({
        "startupProbe": {"periodSeconds": 1, "failureThreshold": 300},
        "livenessProbe": {"periodSeconds": 10}, "readinessProbe": {"periodSeconds": 5},
    });
    create(&cluster, &probed("boot=100s", &probes)).await;
    tokio::time::sleep(Duration::from_millis(100_100)).await;
    assert_eq!(container(&cluster)["started"], false);
    assert_eq!(said(&cluster, "Unhealthy"), ["Startup probe failed: HTTP probe failed with statuscode: 503"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        (&container(&cluster)["started"], &container(&cluster)["ready"]),
        (&json!(true), &json!(false))
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        (&container(&cluster)["ready"], &container(&cluster)["restartCount"]),
        (&json!(true), &json!(0))
    );
}

/// Guards the end of a boot that takes too long: the container is killed after as many failures as its probe allows,
/// with the kubelet's words, and restarted.
#[tokio::test(start_paused = true)]
async fn a_boot_that_takes_too_long_is_killed() {
    let recorded = json!({"initialDelaySeconds": 10, "periodSeconds": 10});
    for (kind, probes, seconds) in [
        ("startup", json!({"startupProbe": {"periodSeconds": 2, "failureThreshold": 10}}), 20),
        ("startup", json!({"startupProbe": {"periodSeconds": 1}, "livenessProbe": recorded}), 3),
        ("liveness", json!({"readinessProbe": {"periodSeconds": 1}, "livenessProbe": recorded}), 40),
    ] {
        let cluster = cluster();
        create(&cluster, &probed("boot=100s", &probes)).await;
        tokio::time::sleep(Duration::from_millis(seconds * 1000 + 149)).await;
        assert!(container(&cluster)["state"].get("running").is_some(), "{probes}");
        tokio::time::sleep(Duration::from_millis(2)).await;
        let killed = container(&cluster);
        assert_eq!(killed["state"]["terminated"]["exitCode"], 137, "{probes}");
        assert_eq!(
            said(&cluster, "Killing"),
            [format!("Container sandbox failed {kind} probe, will be restarted")]
        );
        cluster.set_pod_behaviour(NS, "a", Some(Course::Normal.into()));
        cluster.wait_for("pods", Some(NS), SOON, |pods| is_ready(&pods[0])).await.unwrap();
        assert_eq!(container(&cluster)["restartCount"], 1);
    }
}
