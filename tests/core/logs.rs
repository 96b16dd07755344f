//! Logs of sandboxes, read at once and followed.

use std::time::Duration;

use http::Method;
use serde_json::json;
use simcluster::{Cluster, Effect, NodeOptions, Options, Refusal, Rule};
use testkit::{Daemon, Lines, NAMESPACE, Setup, until};
use tokio::time::{Instant, sleep, timeout};

const STARTED: &str = "sandbox started in pod deer-flow/sandbox-a";

fn logs(query: &str) -> String {
    format!("/api/sandboxes/a/logs{query}")
}

fn cluster(behaviour: &str) -> Cluster {
    let node = Some(NodeOptions { behaviour: behaviour.parse().unwrap(), ..NodeOptions::default() });
    Cluster::start(Options { node, ..Options::with_namespace(NAMESPACE) })
}

/// Starts a daemon whose sandboxes behave so, and creates one.
async fn with(behaviour: &str) -> Daemon {
    let daemon = Daemon::on(cluster(behaviour)).await.ready().await;
    daemon.post("a").await;
    daemon
}

async fn follow(daemon: &Daemon, query: &str) -> Lines {
    daemon.follow(&logs(query)).await.map_err(|answer| answer.to_string()).unwrap()
}

/// Guards that a log has the last lines of the container, with their times if that is asked for, and only recent ones if
/// that is asked for; and that it costs one call to Kubernetes.
#[tokio::test(start_paused = true)]
async fn the_lines_of_a_running_sandbox() {
    let daemon = with("normal").await;
    daemon.until_phase("a", "Running").await;
    let mark = daemon.cluster.mark();
    let answer = daemon.fetch(&logs("")).await;
    assert_eq!((answer.status, answer.text()), (200, format!("{STARTED}\n")));
    let calls: Vec<_> = daemon.cluster.calls_since(mark).into_iter().map(|call| call.resource).collect();
    assert_eq!(calls, ["pods/log"]);
    let stamped = daemon.fetch(&logs("?timestamps=true&container=sandbox")).await.text();
    let (time, line) = stamped.split_once(' ').unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok() && line == format!("{STARTED}\n"), "{stamped}");
    assert_eq!(daemon.fetch(&logs("?tail=0")).await.text(), "");
    assert_eq!(daemon.fetch(&logs("?since=1h")).await.text(), format!("{STARTED}\n"));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(daemon.fetch(&logs("?since=30s")).await.text(), "");
    let unknown = daemon.fetch(&logs("?container=other")).await;
    assert_eq!(unknown.to_string(), "400 | container other is not valid for pod sandbox-a");
    let previous = daemon.fetch(&logs("?previous=true")).await;
    assert_eq!((previous.status, &previous.body["reason"]), (409, &json!("NoPreviousLog")));
}

/// Guards that a log that does not exist yet is a clear 409, also for a Pod without a node, for which Kubernetes answers with
/// an empty log.
#[tokio::test(start_paused = true)]
async fn a_start_has_no_log_yet() {
    let nowhere = Daemon::on(Cluster::start(Options { node: None, ..Options::with_namespace(NAMESPACE) }));
    let nowhere = nowhere.await.ready().await;
    nowhere.post("a").await;
    for query in ["", "?follow=true"] {
        let answer = nowhere.fetch(&logs(query)).await;
        assert_eq!(answer.to_string(), "409 | LogNotReady | Sandbox 'a' has no log yet: its Pod has no node");
    }
    for (behaviour, reason, why) in [
        ("start=1h", "ContainerCreating", "ContainerCreating"),
        ("image-pull-error", "ImagePullBackOff", "trying and failing to pull image"),
    ] {
        let daemon = with(behaviour).await;
        until("the reason is known", async || daemon.get("a").await.body["reason"] == reason).await;
        for query in ["", "?follow=true"] {
            let answer = daemon.fetch(&logs(query)).await;
            let wanted = format!(
                "409 | LogNotReady | Sandbox 'a' has no log yet: container \"sandbox\" in pod \"sandbox-a\" is waiting to \
                 start: {why}"
            );
            assert_eq!(answer.to_string(), wanted);
        }
    }
}

/// Guards that the log of the container that has crashed is that of `previous`.
#[tokio::test(start_paused = true)]
async fn a_crash_has_a_previous_log() {
    let daemon = with("crash-loop").await;
    until("it was started again", async || {
        let pod = daemon.cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
        let status = &pod["status"]["containerStatuses"][0];
        status["restartCount"] == 2 && !status["state"]["running"].is_null()
    })
    .await;
    let previous = daemon.fetch(&logs("?previous=true")).await.text();
    assert_eq!(previous, format!("{STARTED}\nsandbox ended with exit code 3\n"));
    assert_eq!(daemon.fetch(&logs("")).await.text(), format!("{STARTED}\n"));
}

/// Guards that a log that is followed shows new lines, and ends with its container or with its sandbox.
#[tokio::test(start_paused = true)]
async fn a_followed_log_ends_with_its_container() {
    let daemon = with("crash-loop, after=1m").await;
    daemon.until_phase("a", "Running").await;
    let mut lines = follow(&daemon, "?follow=true").await;
    assert_eq!(lines.rest().await, [STARTED, "sandbox ended with exit code 3"]);

    let daemon = with("normal").await;
    daemon.until_phase("a", "Running").await;
    let (mut all, mut news) =
        (follow(&daemon, "?follow=true").await, follow(&daemon, "?follow=true&tail=0").await);
    assert_eq!(all.next().await.unwrap().as_deref(), Some(STARTED));
    assert!(timeout(Duration::from_secs(3600), all.next()).await.is_err(), "it goes on");
    daemon.delete("a").await;
    for lines in [&mut all, &mut news] {
        timeout(Duration::from_secs(60), lines.rest()).await.expect("it ends with the sandbox");
    }
    let gone = daemon.fetch(&logs("")).await;
    assert_eq!(gone.to_string(), "404 | NotFound | Sandbox 'a' not found");
}

/// Guards that logs that are followed count among the streams, and end when the daemon drains.
#[tokio::test(start_paused = true)]
async fn followed_logs_are_limited_and_end_with_the_drain() {
    let setup = Setup::new(&[("PROVISIONER_MAX_STREAMS", "2")]).cluster(cluster("normal"));
    let daemon = setup.start().await.ready().await;
    daemon.post("a").await;
    daemon.until_phase("a", "Running").await;
    let mut one = follow(&daemon, "?follow=true").await;
    let two = follow(&daemon, "?follow=true").await;
    let wanted = "503 after 5 s | Busy | 2 streams are open, which is the maximum; try again in 5 s";
    assert_eq!(daemon.fetch(&logs("?follow=true")).await.to_string(), wanted);
    assert_eq!(daemon.events("/api/events", None).await.err().unwrap().to_string(), wanted);
    assert_eq!(daemon.fetch(&logs("")).await.status, 200);
    drop(two);
    follow(&daemon, "?follow=true&tail=0").await;
    let start = Instant::now();
    daemon.fleet().end_waits();
    one.rest().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    let answer = daemon.fetch(&logs("?follow=true")).await;
    assert_eq!((answer.status, &answer.body["reason"]), (503, &json!("ShuttingDown")));
}

/// Guards that without the right to read logs the answer names the right and the file that grants it, that a kubelet that is
/// away is a 503 that can be tried again, and that no line of a log is in the daemon's own log.
#[tokio::test(start_paused = true)]
async fn refusals_of_the_cluster() {
    let daemon = with("normal").await;
    daemon.until_phase("a", "Running").await;
    assert_eq!(daemon.fetch(&logs("")).await.status, 200);
    for (refusal, status, reason) in [
        (Refusal::Forbidden, 503, "LogForbidden"),
        (Refusal::EtcdTimeout, 503, "ServerError"),
        (Refusal::Unauthorized, 503, "Unauthorized"),
    ] {
        let rule = daemon.cluster.fault(Rule::new(Effect::Refuse(refusal)).resource("pods/log"));
        for query in ["", "?follow=true"] {
            let answer = daemon.fetch(&logs(query)).await;
            assert_eq!((answer.status, &answer.body["reason"]), (status, &json!(reason)), "{answer}");
            assert_eq!(answer.retry_after().is_some(), reason != "LogForbidden", "{answer}");
            let names_it = answer.text().contains("pods/log") && answer.text().contains("config/rbac.yaml");
            assert_eq!(names_it, reason == "LogForbidden", "{answer}");
        }
        daemon.cluster.remove_fault(rule);
    }
    assert_eq!(daemon.logged(STARTED), "");
}

/// Guards that logs are not read while the state of the cluster is unknown: the sandbox may be gone.
#[tokio::test(start_paused = true)]
async fn a_stale_view_has_no_log() {
    let daemon = with("normal").await;
    daemon.until_phase("a", "Running").await;
    daemon.cluster.set_away(true);
    sleep(Duration::from_secs(120)).await;
    for query in ["", "?follow=true"] {
        let answer = daemon.fetch(&logs(query)).await;
        assert_eq!((answer.status, &answer.body["reason"]), (503, &json!("Stale")), "{answer}");
    }
    assert_eq!(daemon.call(Method::POST, &logs(""), None).await.status, 405);
}

/// Guards that with several clusters a log is read from the one that has the sandbox, and only there; while that one is away
/// the answer is a 503 that names it, and never a 404.
#[tokio::test(start_paused = true)]
async fn a_log_comes_from_the_cluster_of_the_sandbox() {
    let [east, west] = [cluster("normal"), cluster("normal")];
    let clusters = [("east", "", east.clone()), ("west", "", west.clone())];
    let daemon = Setup::new(&[]).clusters(clusters).start().await.ready().await;
    let fresh = async || daemon.fetch("/readyz?verbose").await.text().contains("[+]west/watch-pods ok");
    until("both clusters are there", fresh).await;
    let pinned = Some(json!({"sandbox_id": "a", "cluster": "west"}));
    let made = daemon.call(Method::POST, "/api/sandboxes", pinned).await;
    assert_eq!((made.status, &made.body["cluster"]), (200, &json!("west")), "{made}");
    daemon.until_phase("a", "Running").await;
    assert_eq!(daemon.fetch(&logs("")).await.text(), format!("{STARTED}\n"));
    let mut lines = follow(&daemon, "?follow=true").await;
    assert_eq!(lines.next().await.unwrap().as_deref(), Some(STARTED));
    let of_logs =
        |cluster: &Cluster| cluster.calls().iter().filter(|call| call.resource == "pods/log").count();
    assert_eq!([of_logs(&east), of_logs(&west)], [0, 2]);

    west.set_away(true);
    assert!(lines.next().await.is_err(), "the connection breaks, so that it is not taken for the end");
    sleep(Duration::from_secs(120)).await;
    for query in ["", "?follow=true"] {
        let answer = daemon.fetch(&logs(query)).await;
        assert_eq!(answer.status, 503, "{answer}");
        assert!(answer.text().contains("west"), "{answer}");
    }
}
