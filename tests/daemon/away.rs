//! Tests with an unreachable cluster, at startup and later.

use fleet::backend::Backend as _;
use std::time::Duration;

use simcluster::{Cluster, Options};
use testkit::{Daemon, Setup, until};

/// Guards the behavior at startup: health endpoints answer, readiness names what is missing, requests get a 503, and
/// the daemon recovers by itself.
#[tokio::test]
async fn a_cluster_away_at_the_start() {
    let cluster = Cluster::start(Options::default());
    cluster.set_away(true);
    let daemon = Setup::new(&[]).cluster(cluster).listening().start().await;
    let client = daemon.client();

    assert_eq!(client.fetch("/health").await.status, 200);
    assert_eq!(client.fetch("/livez").await.status, 200);
    let unready = client.fetch("/readyz?verbose").await;
    assert_eq!(unready.status, 503);
    let text = unready.text();
    for line in ["[-]namespace", "[-]watch-pods", "[-]watch-services", "readyz check failed"] {
        assert!(text.contains(line), "{text}");
    }
    let answer = client.get("a").await;
    assert_eq!(answer.status, 503, "never a wrong 404: {answer:?}");
    assert!(answer.header("retry-after").is_some());
    let answer = client.post("a").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some());

    daemon.cluster.set_away(false);
    client.until_ready().await;
    assert_eq!(client.post("a").await.status, 200);
}

/// Guards the behavior during a later outage: known state is answered from memory, other requests are rejected in time,
/// and the daemon recovers by itself.
#[tokio::test]
async fn a_cluster_that_goes_and_comes_back() {
    let daemon = Daemon::listening().await;
    let client = daemon.client();
    client.post("a").await;
    client.until_phase("a", "Running").await;
    daemon.cluster.set_away(true);
    assert_eq!(client.get("a").await.body["status"], "Running");
    assert_eq!(client.post("a").await.body["status"], "Running");
    let refused = client.post("b").await;
    assert_eq!(refused.status, 503, "{refused:?}");
    let refused = client.delete("a").await;
    assert_eq!(refused.status, 503, "{refused:?}");

    // The client has given up its DELETE. The daemon still completes it.
    daemon.cluster.set_away(false);
    until("the delete is finished", async || daemon.objects().is_empty()).await;
    until("it is known to be", async || client.get("a").await.status == 404).await;
}

/// Guards that the daemon runs without a kubeconfig and reports it as unready.
#[tokio::test]
async fn no_kubeconfig() {
    let setup = Setup::new(&[]).kubeconfig("/nonexistent/config".as_ref());
    let client = setup.listening().start().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(client.fetch("/health").await.status, 200);
    let unready = client.fetch("/readyz?verbose").await;
    assert_eq!(unready.status, 503);
    assert!(unready.text().contains("[-]cluster failed"), "{unready:?}");
}

/// Guards that an outage is retried every second or so, and logged once for each kind of call that fails.
#[tokio::test]
async fn an_outage_does_not_fill_the_log() {
    let cluster = Cluster::start(Options::default());
    cluster.set_away(true);
    let daemon = Setup::new(&[]).cluster(cluster).listening().start().await;
    until("it was tried often", async || daemon.cluster.refused() > 8).await;
    for part in ["the namespace could not be read or created", "list of Pods", "list of Services"] {
        assert_eq!(daemon.logged(part).lines().count(), 1, "{}", daemon.logged(""));
    }
}

/// Guards that an unusable kubeconfig is read repeatedly but logged once, and that requests get the reason.
#[tokio::test(start_paused = true)]
async fn an_unusable_kubeconfig_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::create_dir(&path).unwrap();
    let daemon = Setup::new(&[]).kubeconfig(&path).start().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let failure = daemon.fleet().revision().await.unwrap_err().to_string();
    assert!(failure.contains("Kubeconfig path is a directory"), "{failure}");
    assert_eq!(daemon.logged("ERROR").lines().count(), 1, "{}", daemon.logged(""));

    // Another error is logged again.
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "[]").unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(daemon.logged("ERROR").lines().count(), 2, "{}", daemon.logged(""));
}
