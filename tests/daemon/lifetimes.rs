//! Tests of lifetimes over real sockets and on the real clock, as callers and operators see them. The limits are a few
//! seconds, and each wait is for a state and has a timeout.

use std::{net::Ipv4Addr, process::Command, time::Duration};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use simcluster::SessionKind;

use super::support::{Answer, Client, NAMESPACE, World, options, until};

/// Starts a daemon with a short reap grace after startup, on a cluster whose sandboxes listen on their ports.
async fn world(variables: &[(&str, &str)]) -> World {
    let options = simcluster::Options { sandbox_servers: Some(Ipv4Addr::LOCALHOST.into()), ..options() };
    let variables = [&[("PROVISIONER_REAP_GRACE", "1s")], variables].concat();
    World::with(&variables, options).await.ready().await
}

async fn create(client: &Client, body: Value) -> Answer {
    let headers = [("content-type", "application/json")];
    let answer = client.send(Method::POST, "/api/sandboxes", &headers, Some(body.to_string().into())).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer
}

/// Guards that a sandbox with a TTL of three seconds is gone after it, and that the 404 contains the reason next to
/// `detail`.
#[tokio::test]
async fn a_ttl_of_three_seconds() {
    let world = world(&[]).await;
    let client = world.client();
    let made = create(&client, json!({ "sandbox_id": "a", "ttl": "3s" })).await.json();
    assert_eq!(made["reap_reason"], "TTLExpired", "{made}");
    assert!(made["expires_at"].is_string() && made["idle_since"].is_string(), "{made}");
    client.until_phase("a", "Running").await;
    until("it is gone", async || client.get("/api/sandboxes/a").await.status == StatusCode::NOT_FOUND).await;
    let gone = client.get("/api/sandboxes/a").await.json();
    assert_eq!(gone["detail"], "Sandbox 'a' not found");
    assert_eq!(gone["reaped"]["reason"], "TTLExpired", "{gone}");
    until("all of it is gone", async || world.objects().is_empty()).await;
    let events = world.cluster.objects("events", Some(NAMESPACE));
    let told = events.iter().find(|event| event["reason"] == "TTLExpired").expect("the people are told");
    assert_eq!(told["involvedObject"]["name"], "sandbox-a");
}

/// Guards that an idle sandbox with an open session is not reaped until the session ends.
#[tokio::test]
async fn a_session_keeps_it_alive() {
    let world = world(&[]).await;
    let client = world.client();
    create(&client, json!({ "sandbox_id": "a", "idle_timeout": "3s" })).await;
    world.cluster.begin_session(NAMESPACE, "sandbox-a", SessionKind::Shell, "work");
    client.until_phase("a", "Running").await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(client.get("/api/sandboxes/a").await.json()["status"], "Running");
    assert!(world.cluster.end_session(NAMESPACE, "sandbox-a", SessionKind::Shell, "work"));
    until("it is gone", async || client.get("/api/sandboxes/a").await.status == StatusCode::NOT_FOUND).await;
    assert_eq!(client.get("/api/sandboxes/a").await.json()["reaped"]["reason"], "IdleTimeout");
}

/// Guards that a touch and a change of limits over HTTP are recorded on the Pod.
#[tokio::test]
async fn touches_and_changes_are_kept() {
    let world = world(&[]).await;
    let client = world.client();
    create(&client, json!({ "sandbox_id": "a", "idle_timeout": "1h" })).await;
    let headers = [("content-type", "application/json"), ("x-owner", "gateway-1")];
    let body = json!({ "ttl": "2h", "idle_timeout": "30m" }).to_string();
    let changed = client.send(Method::PATCH, "/api/sandboxes/a", &headers, Some(body.into())).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    let touched = client.send(Method::POST, "/api/sandboxes/a/touch", &[], None).await;
    assert_eq!(touched.json()["reap_reason"], "IdleTimeout", "{touched:?}");
    let pod = world.cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(annotations["sandbox-provisioner/ttl"], "2h", "{annotations}");
    assert_eq!(annotations["sandbox-provisioner/idle-timeout"], "30m");
    assert_eq!(annotations["sandbox-provisioner/owner"], "gateway-1");
    assert!(annotations["sandbox-provisioner/last-activity"].is_string());

    let other = client.send(Method::DELETE, "/api/sandboxes/a", &[("x-owner", "gateway-2")], None).await;
    assert_eq!(other.status, StatusCode::CONFLICT, "{other:?}");
    assert_eq!(client.delete("/api/sandboxes/a").await.status, StatusCode::OK);
}

/// Guards that ages are computed with the API server's clock, which dated the objects. This machine's clock may differ
/// by a year, and another process may take over.
#[tokio::test]
async fn this_machines_clock_counts_for_nothing() {
    for year in [-1, 1] {
        let start = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 365 * year);
        let options = simcluster::Options { start: Some(start), ..options() };
        let reaping = [("PROVISIONER_REAP_GRACE", "1s")];
        let world = World::with(&reaping, options).await.ready().await;
        let limits = json!({ "sandbox_id": "a", "ttl": "1h", "idle_timeout": "30m" });
        let made = create(&world.client(), limits).await.json();
        let second = World::on(&reaping, world.cluster.clone()).await.ready().await;
        drop(world);
        let told = second.client().get("/api/sandboxes/a").await.json();
        assert_eq!(told["created_at"], made["created_at"]);
        let time =
            |answer: &Value, key: &str| answer[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        // The daemon assumes the latest possible time of the last activity.
        for answer in [&made, &told] {
            let left = time(answer, "expires_at").duration_since(start).as_mins();
            assert!((29..=34).contains(&left), "{left} min are left: {answer}");
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(second.client().get("/api/sandboxes/a").await.status, StatusCode::OK);
    }
}

/// Guards that `kubectl describe pod` shows why a Pod is deleted. Runs only if kubectl is installed.
#[tokio::test]
async fn kubectl_shows_why() {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        eprintln!("skipped: kubectl is not installed");
        return;
    }
    let world = world(&[]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(simcluster::serve(listener, world.cluster.clone(), std::future::pending()));
    let client = world.client();
    create(&client, json!({ "sandbox_id": "a", "ttl": "2s" })).await;
    let slow = "terminate=20s".parse().unwrap();
    world.cluster.set_pod_behaviour(NAMESPACE, "sandbox-a", Some(slow));
    until("it is gone for callers", async || {
        client.get("/api/sandboxes/a").await.status == StatusCode::NOT_FOUND
    })
    .await;
    until("kubectl shows why", async || {
        let server = server.clone();
        let describe = tokio::task::spawn_blocking(move || {
            let arguments = ["--server", &server, "-n", NAMESPACE, "describe", "pod", "sandbox-a"];
            Command::new("kubectl").args(arguments).output().unwrap().stdout
        });
        String::from_utf8_lossy(&describe.await.unwrap()).contains("TTLExpired")
    })
    .await;
}
