//! How the daemon goes away: real processes, real signals, and a cluster in this process whose writes take long.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "going_away/process.rs"]
mod process;

use std::time::Duration;

use futures::future::join_all;
use process::{Daemon, Slow, exchange, get, post, until};
use tokio::net::TcpStream;

/// A hundred creates are in flight when the signal comes: readiness goes first, while all is served on for a
/// moment; every create ends and is answered; then nobody is let in, and the status is 0.
#[tokio::test]
async fn a_hundred_creates_in_flight_all_end() {
    for signal in ["TERM", "INT", "HUP"] {
        let cluster = Slow::start(Duration::from_millis(400)).await;
        let mut daemon = Daemon::start(&cluster, &[("PROVISIONER_DRAIN_DELAY", "2s")]).await;
        let address = daemon.address;
        assert_eq!(exchange(address, &get("/readyz")).await.unwrap().status, 200);
        let creates: Vec<_> = (0..100)
            .map(|n| tokio::spawn(async move { exchange(address, &post(&format!("s{n}"))).await }))
            .collect();
        until("creates are in flight", async || cluster.pods() > 0).await;
        daemon.signal(signal).await;
        until("it is not ready", async || {
            exchange(address, &get("/readyz")).await.is_ok_and(|answer| answer.status == 503)
        })
        .await;
        let served = exchange(address, &get("/health")).await.unwrap();
        assert_eq!(served.status, 200, "it serves on for a moment");
        assert!(served.head.contains("connection: close"), "{}", served.head);
        for create in join_all(creates).await {
            let answer = create.unwrap().expect("nobody's connection is reset");
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        assert_eq!(daemon.status().await, Some(0), "SIG{signal}");
        assert!(TcpStream::connect(address).await.is_err());
        assert_eq!(cluster.objects(), (100, 100));
    }
}

/// Creates that cannot end before the drain deadline are told so before it, each with an answer; the status says
/// that it was so, and no half of a pair is left.
#[tokio::test]
async fn what_cannot_end_is_answered() {
    let cluster = Slow::start(Duration::from_secs(4)).await;
    // The delay is for those who have connected and whose request is on its way.
    let variables = [("PROVISIONER_DRAIN_DELAY", "1s"), ("PROVISIONER_DRAIN_DEADLINE", "2s")];
    let mut daemon = Daemon::start(&cluster, &variables).await;
    let address = daemon.address;
    let creates: Vec<_> = (0..100)
        .map(|n| tokio::spawn(async move { exchange(address, &post(&format!("s{n}"))).await }))
        .collect();
    until("creates are in flight", async || cluster.calls() > 0).await;
    daemon.signal("TERM").await;
    for create in join_all(creates).await {
        let answer = create.unwrap().expect("nobody's connection is reset");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.body.contains("shutting down"), "{answer:?}");
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    }
    assert_eq!(daemon.status().await, Some(3));
    let (pods, services) = cluster.objects();
    assert_eq!(pods, services, "what was begun was finished");
}

/// A second signal ends it at once, whatever is in flight, with that signal's status.
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for (second, status) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let cluster = Slow::start(Duration::from_secs(600)).await;
        let mut daemon = Daemon::start(&cluster, &[]).await;
        let address = daemon.address;
        let create = tokio::spawn(async move { exchange(address, &post("a")).await });
        until("a create is in flight", async || cluster.calls() > 0).await;
        daemon.signal("TERM").await;
        until("it is not ready", async || {
            exchange(address, &get("/readyz")).await.is_ok_and(|answer| answer.status == 503)
        })
        .await;
        daemon.signal(second).await;
        assert_eq!(daemon.status().await, Some(status), "SIG{second}");
        // Cut off, or on a slow machine told before that the cluster does not answer: never told that all is well.
        assert!(!create.await.unwrap().is_ok_and(|answer| answer.status == 200));
    }
}

/// Under `nohup` the end of the terminal is no reason to go.
#[tokio::test]
async fn an_ignored_hangup_stays_ignored() {
    let cluster = Slow::start(Duration::ZERO).await;
    let mut daemon = Daemon::ignoring_hangups(&cluster).await;
    daemon.signal("HUP").await;
    // Were it not ignored, it would come before the other, and that one would be the second.
    daemon.signal("TERM").await;
    assert_eq!(daemon.status().await, Some(0));
}

/// With nothing in flight an end takes no longer than it must, and the status is 0.
#[tokio::test]
async fn an_idle_daemon_goes_soon() {
    let cluster = Slow::start(Duration::ZERO).await;
    let mut daemon = Daemon::start(&cluster, &[("PROVISIONER_DRAIN_DEADLINE", "10m")]).await;
    let idle = TcpStream::connect(daemon.address).await.unwrap();
    daemon.signal("TERM").await;
    assert_eq!(daemon.status().await, Some(0));
    drop(idle);
}

/// A credential plugin that hangs and a kubeconfig that cannot be read to its end do not keep the daemon from ending. Both are
/// named meanwhile.
#[tokio::test]
async fn what_hangs_does_not_keep_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let (config, pipe) = (folder.path().join("config"), folder.path().join("pipe"));
    let user = "exec: {apiVersion: client.authentication.k8s.io/v1, command: sleep, args: [\"600\"]}";
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:1\"}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    );
    std::fs::write(&config, text).unwrap();
    assert!(tokio::process::Command::new("mkfifo").arg(&pipe).status().await.unwrap().success());
    for (kubeconfig, reason) in [(config, "waiting for the credential plugin sleep"), (pipe, "timed out")] {
        let mut daemon = Daemon::unready(&kubeconfig).await;
        until("the reason is told", async || {
            exchange(daemon.address, &get("/readyz")).await.is_ok_and(|answer| answer.body.contains(reason))
        })
        .await;
        daemon.signal("TERM").await;
        assert_eq!(daemon.status().await, Some(0), "{reason}");
    }
}
