//! What limits cost while nothing happens, and how late a reap is.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use simcluster::Verb;
use tokio::time::sleep;

use super::{
    children::{Cluster, Server},
    load,
    queries::until_ready,
};

const IDLE: usize = 10_000;
/// As long as the daemon takes to list everything anew once.
const WATCHED: Duration = Duration::from_secs(300);

const REAPED: usize = 2_000;
/// The first is due when all have been made.
const FIRST: Duration = Duration::from_secs(10);
const APART: Duration = Duration::from_millis(5);

pub async fn measure() {
    idle().await;
    lateness().await;
}

/// Two daemons on one cluster at the same time, the one without limits.
async fn idle() {
    let cluster = Cluster::start().await;
    let without = Server::daemon(&cluster);
    let limits = [("PROVISIONER_DEFAULT_TTL", "1d"), ("PROVISIONER_DEFAULT_IDLE_TIMEOUT", "1h")];
    let with = Server::daemon_with(&cluster, &limits);
    until_ready(&without).await;
    until_ready(&with).await;
    load::run(with.address, 16, IDLE, |n| load::create(&format!("s-{n}"))).await;
    // What the creates led to settles.
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

/// From the moment that the daemon itself names as a sandbox's end to the arrival of its Pod's delete at the API server.
async fn lateness() {
    let started = SystemTime::now();
    let cluster = Cluster::start().await;
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
