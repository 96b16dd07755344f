//! The cost of limits for idle sandboxes, and the delay of a reap.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use simcluster::Verb;
use tokio::time::sleep;

use super::{
    children::{Server, cluster},
    load,
    queries::until_ready,
};

const IDLE: usize = 10_000;
/// The interval after which the daemon lists everything again.
const WATCHED: Duration = Duration::from_secs(300);

const REAPED: usize = 2_000;
/// The first is due after all were created.
const FIRST: Duration = Duration::from_secs(10);
const APART: Duration = Duration::from_millis(5);

pub async fn measure() {
    idle().await;
    lateness().await;
}

/// Compares two daemons on one cluster at the same time, one of them without limits.
async fn idle() {
    let cluster = cluster().await;
    let without = Server::daemon(&cluster);
    let limits = [("PROVISIONER_DEFAULT_TTL", "1d"), ("PROVISIONER_DEFAULT_IDLE_TIMEOUT", "1h")];
    let with = Server::daemon_with(&cluster, &limits);
    until_ready(&without).await;
    until_ready(&with).await;
    load::run(with.address, 16, IDLE, |n| load::create(&format!("s-{n}"))).await;
    // Let the effects of the creates end.
    sleep(Duration::from_secs(30)).await;
    let before = [&with, &without].map(Server::cpu_seconds);
    sleep(WATCHED).await;
    let after = [&with, &without].map(Server::cpu_seconds);
    let share = |n: usize| (after[n] - before[n]) / WATCHED.as_secs_f64() * 100.0;
    println!(
        "{IDLE} idle sandboxes for {} s: {:.2} % of a core with limits, {:.2} % without",
        WATCHED.as_secs(),
        share(0),
        share(1)
    );
}

/// Measures the time from a sandbox's `expires_at` to the delete of its Pod at the API server.
async fn lateness() {
    let started = SystemTime::now();
    let cluster = cluster().await;
    let settings = [
        ("PROVISIONER_REAP_MAX_PER_MINUTE", "unlimited"),
        ("PROVISIONER_REAP_MAX_SHARE", "100"),
        ("PROVISIONER_REAP_GRACE", "1s"),
        // Nothing answers for these sandboxes.
        ("PROVISIONER_IDLE_PROBES", "none"),
    ];
    let daemon = Server::daemon_with(&cluster, &settings);
    until_ready(&daemon).await;
    let create = |n: usize| load::create_idle(&format!("s-{n}"), FIRST + APART * n as u32);
    load::run(daemon.address, 16, REAPED, create).await;
    let (_, list) = load::once(daemon.address, &load::get("/api/sandboxes")).await;
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    let ends: HashMap<String, jiff::Timestamp> = list["sandboxes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|sandbox| {
            let text = |key: &str| sandbox[key].as_str().expect("a text");
            (format!("sandbox-{}", text("sandbox_id")), text("expires_at").parse().expect("a time"))
        })
        .collect();
    assert_eq!(ends.len(), REAPED, "none was due before all were made");
    sleep(APART * REAPED as u32 + FIRST).await;

    let mut late: Vec<Duration> = cluster
        .cluster
        .calls()
        .into_iter()
        .filter(|call| call.verb == Verb::Delete && call.resource == "pods")
        .map(|call| {
            let end = SystemTime::from(ends[&call.name.expect("a name")]);
            (started + call.at).duration_since(end).expect("none is early")
        })
        .collect();
    assert_eq!(late.len(), REAPED, "all are reaped");
    late.sort_unstable();
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!(
        "reaps of {REAPED} sandboxes, one due every {} ms: late by p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms",
        APART.as_millis(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
