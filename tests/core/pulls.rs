//! The start timeout of sandboxes whose images take long to pull.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use simcluster::{Behaviour, Cluster, Effect, NodeOptions, Options, Refusal, Rule};
use testkit::{Daemon, NAMESPACE, Setup};
use tokio::time::{Instant, sleep};

const MINUTE: Duration = Duration::from_secs(60);

/// How late a reap may be: times have whole seconds, in the Pod and in each of two Events.
const LATE: Duration = Duration::from_secs(4);

fn cluster(behaviour: &str) -> Cluster {
    let behaviour: Behaviour = behaviour.parse().unwrap();
    let node = Some(NodeOptions { behaviour, ..NodeOptions::default() });
    Cluster::start(Options { node, ..Options::with_namespace(NAMESPACE) })
}

/// Starts a daemon with a start timeout of one minute and an allowance of ten minutes for pulls.
async fn daemon(cluster: Cluster) -> Daemon {
    let variables = [
        ("PROVISIONER_START_TIMEOUT", "1m"),
        ("PROVISIONER_PULL_ALLOWANCE", "10m"),
        ("PROVISIONER_REAP_GRACE", "1s"),
    ];
    Setup::new(&variables).cluster(cluster).start().await.ready().await
}

/// Waits until the sandbox is reaped. Returns how long after its creation that was.
async fn reaped(daemon: &Daemon, created: Instant) -> Duration {
    let mut answer = daemon.get("a").await;
    while answer.status == 200 {
        assert!(created.elapsed() < MINUTE * 30, "{answer}");
        sleep(Duration::from_millis(200)).await;
        answer = daemon.get("a").await;
    }
    let took = created.elapsed();
    assert_eq!(answer.body["reaped"]["reason"], "StartTimeout", "{answer}");
    took
}

/// Returns how long after now the sandbox expires.
async fn expires_in(daemon: &Daemon) -> SignedDuration {
    let answer = daemon.get("a").await;
    let at: Timestamp = answer.body["expires_at"].as_str().unwrap().parse().unwrap();
    at.duration_since(daemon.cluster.now())
}

/// Guards that a sandbox whose image takes longer to pull than the start timeout becomes ready, and that one that does
/// not become ready is reaped a start timeout after its pull, or after the allowance for pulls.
#[tokio::test(start_paused = true)]
async fn the_pull_does_not_count_towards_the_start_timeout() {
    let slow = daemon(cluster("pull=5m")).await;
    slow.post("a").await;
    sleep(MINUTE * 5 + LATE).await;
    slow.until_phase("a", "Running").await;
    sleep(MINUTE * 20).await;
    assert_eq!(slow.get("a").await.body["ready"], true);

    for (behaviour, minutes) in
        [("never-ready, pull=5m", 6), ("pull=20m", 11), ("never-ready", 1), ("image-pull-error", 11)]
    {
        let daemon = daemon(cluster(behaviour)).await;
        let created = Instant::now();
        daemon.post("a").await;
        let took = reaped(&daemon, created).await;
        let limit = MINUTE * minutes;
        assert!(took >= limit && took < limit + LATE, "{behaviour}: {took:?}");
    }
}

/// Guards that the expiry that callers see has the allowance while the image is being pulled, and moves when the pull
/// ends; and that both survive a restart of the daemon, because Kubernetes holds the Events.
#[tokio::test(start_paused = true)]
async fn the_expiry_moves_with_the_pull() {
    let mut daemon = daemon(cluster("never-ready, pull=5m")).await;
    let created = Instant::now();
    daemon.post("a").await;
    let near = |left: SignedDuration, minutes: u32| {
        let limit = SignedDuration::try_from(MINUTE * minutes).unwrap();
        assert!((left - limit).abs() <= SignedDuration::try_from(LATE).unwrap(), "{left:?}");
    };
    sleep(MINUTE).await;
    near(expires_in(&daemon).await, 10);
    daemon.restart().await;
    daemon.until_ready().await;
    sleep(LATE).await;
    near(expires_in(&daemon).await, 10);
    sleep(MINUTE * 4).await;
    near(expires_in(&daemon).await, 1);
    daemon.restart().await;
    daemon.until_ready().await;
    // A container that runs may have been ready before the restart, so its time starts again, without the pull.
    let took = reaped(&daemon, created).await;
    assert!(took >= MINUTE * 6 && took < MINUTE * 6 + LATE * 3, "{took:?}");
}

/// Guards that without the right to watch Events the start timeout includes the pull.
#[tokio::test(start_paused = true)]
async fn without_events_the_pull_counts() {
    let cluster = cluster("pull=5m");
    cluster.fault(Rule::new(Effect::Refuse(Refusal::Forbidden)).resource("events"));
    let daemon = daemon(cluster).await;
    let created = Instant::now();
    daemon.post("a").await;
    let took = reaped(&daemon, created).await;
    assert!(took >= MINUTE && took < MINUTE + LATE, "{took:?}");
}
