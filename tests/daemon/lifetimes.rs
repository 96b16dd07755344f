//! Tests of lifetimes over real sockets and on the real clock, as callers and operators see them. The limits are a few
//! seconds, and each wait is for a state and has a timeout.

use std::{net::Ipv4Addr, process::Command, time::Duration};

use http::Method;
use serde_json::{Value, json};
use simcluster::{Cluster, Options, SessionKind};
use testkit::{Answer, Client, Daemon, NAMESPACE, ServedCluster, Setup, until};

/// Starts a daemon with a short reap grace after startup, on a cluster whose sandboxes listen on their ports.
async fn start() -> Daemon {
    let options = Options { sandbox_servers: Some(Ipv4Addr::LOCALHOST.into()), ..Options::default() };
    reaping(Cluster::start(options)).await
}

async fn reaping(cluster: Cluster) -> Daemon {
    let setup = Setup::new(&[("PROVISIONER_REAP_GRACE", "1s")]);
    setup.cluster(cluster).listening().start().await.ready().await
}

async fn create(client: &Client, body: Value) -> Answer {
    let answer = client.call(Method::POST, "/api/sandboxes", Some(body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// Guards that a sandbox with a TTL of three seconds is gone after it, and that the 404 contains the reason next to
/// `detail`.
#[tokio::test]
async fn a_ttl_of_three_seconds() {
    let daemon = start().await;
    let client = daemon.client();
    let made = create(&client, json!({ "sandbox_id": "a", "ttl": "3s" })).await.body;
    assert_eq!(made["reap_reason"], "TTLExpired", "{made}");
    assert!(made["expires_at"].is_string() && made["idle_since"].is_string(), "{made}");
    client.until_phase("a", "Running").await;
    until("it is gone", async || client.get("a").await.status == 404).await;
    let gone = client.get("a").await.body;
    assert_eq!(gone["detail"], "Sandbox 'a' not found");
    assert_eq!(gone["reaped"]["reason"], "TTLExpired", "{gone}");
    until("all of it is gone", async || daemon.objects().is_empty()).await;
    let events = daemon.cluster.objects("events", Some(NAMESPACE));
    let event = events.iter().find(|event| event["reason"] == "TTLExpired").expect("an Event reports it");
    assert_eq!(event["involvedObject"]["name"], "sandbox-a");
}

/// Guards that an idle sandbox with an open session is not reaped until the session ends.
#[tokio::test]
async fn a_session_keeps_it_alive() {
    let daemon = start().await;
    let client = daemon.client();
    create(&client, json!({ "sandbox_id": "a", "idle_timeout": "3s" })).await;
    daemon.cluster.begin_session(NAMESPACE, "sandbox-a", SessionKind::Shell, "work");
    client.until_phase("a", "Running").await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(client.get("a").await.body["status"], "Running");
    assert!(daemon.cluster.end_session(NAMESPACE, "sandbox-a", SessionKind::Shell, "work"));
    until("it is gone", async || client.get("a").await.status == 404).await;
    assert_eq!(client.get("a").await.body["reaped"]["reason"], "IdleTimeout");
}

/// Guards that a touch and a change of limits over HTTP are recorded on the Pod.
#[tokio::test]
async fn touches_and_changes_are_kept() {
    let daemon = start().await;
    let client = daemon.client();
    create(&client, json!({ "sandbox_id": "a", "idle_timeout": "1h" })).await;
    let owner = [("x-owner", "gateway-1")];
    let limits = json!({ "ttl": "2h", "idle_timeout": "30m" });
    let changed = client.call_with(Method::PATCH, "/api/sandboxes/a", &owner, Some(limits)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let touched = client.call(Method::POST, "/api/sandboxes/a/touch", None).await;
    assert_eq!(touched.body["reap_reason"], "IdleTimeout", "{touched:?}");
    let pod = daemon.cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(annotations["sandbox-provisioner/ttl"], "2h", "{annotations}");
    assert_eq!(annotations["sandbox-provisioner/idle-timeout"], "30m");
    assert_eq!(annotations["sandbox-provisioner/owner"], "gateway-1");
    assert!(annotations["sandbox-provisioner/last-activity"].is_string());

    let other = client.send(Method::DELETE, "/api/sandboxes/a", &[("x-owner", "gateway-2")], None).await;
    assert_eq!(other.status, 409, "{other:?}");
    assert_eq!(client.delete("a").await.status, 200);
}

/// Guards that ages are computed with the API server's clock, which dated the objects. This machine's clock may differ
/// by a year, and another process may take over.
#[tokio::test]
async fn this_machines_clock_counts_for_nothing() {
    for year in [-1, 1] {
        let start = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 365 * year);
        let options = Options { start: Some(start), ..Options::default() };
        let daemon = reaping(Cluster::start(options)).await;
        let limits = json!({ "sandbox_id": "a", "ttl": "1h", "idle_timeout": "30m" });
        let made = create(&daemon.client(), limits).await.body;
        let second = reaping(daemon.cluster.clone()).await;
        drop(daemon);
        let shown = second.client().fetch("/api/sandboxes/a").await.body;
        assert_eq!(shown["created_at"], made["created_at"]);
        let time =
            |answer: &Value, key: &str| answer[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        // The daemon assumes the latest possible time of the last activity.
        for answer in [&made, &shown] {
            let left = time(answer, "expires_at").duration_since(start).as_mins();
            assert!((29..=34).contains(&left), "{left} min are left: {answer}");
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(second.client().fetch("/api/sandboxes/a").await.status, 200);
    }
}

/// Guards that `kubectl describe pod` shows why a Pod is deleted. Runs only if kubectl is installed.
#[tokio::test]
async fn kubectl_shows_why() {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        eprintln!("skipped: kubectl is not installed");
        return;
    }
    let daemon = start().await;
    let cluster = ServedCluster::http(daemon.cluster.clone()).await;
    let client = daemon.client();
    create(&client, json!({ "sandbox_id": "a", "ttl": "2s" })).await;
    let slow = "terminate=20s".parse().unwrap();
    daemon.cluster.set_pod_behaviour(NAMESPACE, "sandbox-a", Some(slow));
    until("it is gone for callers", async || client.get("a").await.status == 404).await;
    until("kubectl shows why", async || {
        let server = cluster.url();
        let describe = tokio::task::spawn_blocking(move || {
            let arguments = ["--server", &server, "-n", NAMESPACE, "describe", "pod", "sandbox-a"];
            Command::new("kubectl").args(arguments).output().unwrap().stdout
        });
        String::from_utf8_lossy(&describe.await.unwrap()).contains("TTLExpired")
    })
    .await;
}
