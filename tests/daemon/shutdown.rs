//! Tests of shutdown: real processes and signals, and a cluster in this process whose creates are slow.

use std::time::Duration;

use futures::future::join_all;
use http::Method;
use serde_json::json;
use simcluster::{Cluster, Course, Effect, NodeOptions, Options, Rule, Verb};
use testkit::{Answer, Client, NAMESPACE, Process, ServedCluster, Setup, command, within};
use tokio::{net::TcpStream, task::JoinHandle, time::Instant};

use crate::PROGRAM;

/// The bound of every wait.
const LONG: Duration = Duration::from_secs(60);

/// Serves a cluster whose creates take this long.
async fn slow(delay: Duration) -> ServedCluster {
    let cluster = Cluster::start(Options::default());
    if !delay.is_zero() {
        for resource in ["pods", "services"] {
            cluster.fault(Rule::new(Effect::Delay(delay)).verb(Verb::Create).resource(resource));
        }
    }
    ServedCluster::http(cluster).await
}

/// Starts the program on this cluster and waits until it is ready.
async fn start(cluster: &ServedCluster, variables: &[(&str, &str)]) -> Process {
    let kubeconfig = cluster.kubeconfig(None);
    let variables = [variables, &[("KUBECONFIG_PATH", kubeconfig.to_str().unwrap())]].concat();
    ready(Process::serve(PROGRAM, &variables).await).await
}

async fn ready(process: Process) -> Process {
    let client = process.client();
    within(LONG, "the daemon is ready", async || readiness(&client).await == Some(200)).await;
    process
}

/// Returns the status of `/readyz`, or `None` if there is no answer.
async fn readiness(client: &Client) -> Option<u16> {
    client.try_call(Method::GET, "/readyz", None).await.ok().map(|answer| answer.status)
}

/// Starts a create. It returns `None` if the connection ends without an answer.
fn create(client: &Client, id: &str) -> JoinHandle<Option<Answer>> {
    let client = client.clone();
    let body = json!({ "sandbox_id": id });
    tokio::spawn(async move { client.try_call(Method::POST, "/api/sandboxes", Some(body)).await.ok() })
}

/// Returns the number of Pods and of Services.
fn objects(cluster: &ServedCluster) -> (usize, usize) {
    let count = |resource| cluster.cluster.count(resource, Some(NAMESPACE));
    (count("pods"), count("services"))
}

/// Waits until the daemon has sent a create of a Pod.
async fn until_creates_are_in_flight(cluster: &ServedCluster) {
    let calls = || cluster.cluster.count_calls(Verb::Create, "pods");
    within(LONG, "creates are in flight", async || calls() > 0).await;
}

async fn until_not_ready(client: &Client) {
    within(LONG, "the daemon is not ready", async || readiness(client).await == Some(503)).await;
}

/// Guards that after a signal readiness fails first while requests are still served, that every create in flight is
/// completed and answered, that connections are then refused, and that the exit status is 0.
#[tokio::test]
async fn a_hundred_creates_in_flight_all_end() {
    for signal in ["TERM", "INT", "HUP"] {
        let cluster = slow(Duration::from_millis(400)).await;
        let mut daemon = start(&cluster, &[("PROVISIONER_DRAIN_DELAY", "2s")]).await;
        let client = daemon.client();
        assert_eq!(readiness(&client).await, Some(200));
        let creates: Vec<_> = (0..100).map(|n| create(&client, &format!("s{n}"))).collect();
        within(LONG, "a Pod is created", async || objects(&cluster).0 > 0).await;
        daemon.signal(signal).await;
        until_not_ready(&client).await;
        let served = client.fetch("/health").await;
        assert_eq!(served.status, 200, "requests are still served");
        assert_eq!(served.header("connection"), Some("close"));
        for create in join_all(creates).await {
            let answer = create.unwrap().expect("no connection is reset");
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        assert_eq!(daemon.status().await, Some(0), "SIG{signal}");
        assert!(TcpStream::connect(daemon.address()).await.is_err());
        assert_eq!(objects(&cluster), (100, 100));
    }
}

/// Guards that creates that cannot end before the drain deadline are answered before it, that the exit status shows it,
/// and that no orphan remains.
#[tokio::test]
async fn what_cannot_end_is_answered() {
    let cluster = slow(Duration::from_secs(4)).await;
    // The delay lets requests arrive whose connections are already open.
    let variables = [("PROVISIONER_DRAIN_DELAY", "1s"), ("PROVISIONER_DRAIN_DEADLINE", "2s")];
    let mut daemon = start(&cluster, &variables).await;
    let creates: Vec<_> = (0..100).map(|n| create(&daemon.client(), &format!("s{n}"))).collect();
    until_creates_are_in_flight(&cluster).await;
    daemon.signal("TERM").await;
    for create in join_all(creates).await {
        let answer = create.unwrap().expect("no connection is reset");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.text().contains("shutting down"), "{answer:?}");
        assert!(answer.retry_after().is_some(), "{answer:?}");
    }
    assert_eq!(daemon.status().await, Some(3));
    let (pods, services) = objects(&cluster);
    assert_eq!(pods, services, "no create is half done");
}

/// Guards that a second signal ends the process at once with that signal's exit status, whatever is in flight.
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for (second, status) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let cluster = slow(Duration::from_secs(600)).await;
        let mut daemon = start(&cluster, &[]).await;
        let client = daemon.client();
        let create = create(&client, "a");
        until_creates_are_in_flight(&cluster).await;
        daemon.signal("TERM").await;
        until_not_ready(&client).await;
        daemon.signal(second).await;
        assert_eq!(daemon.status().await, Some(status), "SIG{second}");
        // The connection is reset, or on a slow machine the answer is that the cluster does not respond.
        assert!(create.await.unwrap().is_none_or(|answer| answer.status != 200));
    }
}

/// Guards that the end of the terminal does not stop a daemon under `nohup`.
#[tokio::test]
async fn an_ignored_hangup_stays_ignored() {
    let cluster = slow(Duration::ZERO).await;
    let kubeconfig = cluster.kubeconfig(None);
    let variables = [("KUBECONFIG_PATH", kubeconfig.to_str().unwrap()), ("NODE_HOST", "127.0.0.1")];
    let script = format!("trap '' HUP; exec {PROGRAM} serve --listen 127.0.0.1:0");
    let process = Process::start(command("/bin/sh", &["-c", &script], &variables)).await;
    let mut daemon = ready(process).await;
    daemon.signal("HUP").await;
    // If HUP were not ignored, TERM would be the second signal.
    daemon.signal("TERM").await;
    assert_eq!(daemon.status().await, Some(0));
}

/// Guards that an idle daemon stops without a delay, with the exit status 0.
#[tokio::test]
async fn an_idle_daemon_goes_soon() {
    let cluster = slow(Duration::ZERO).await;
    let mut daemon = start(&cluster, &[("PROVISIONER_DRAIN_DEADLINE", "10m")]).await;
    let idle = TcpStream::connect(daemon.address()).await.unwrap();
    daemon.signal("TERM").await;
    assert_eq!(daemon.status().await, Some(0));
    drop(idle);
}

/// Guards that a credential plugin that hangs and a kubeconfig that cannot be read to its end are reported, and do not delay
/// the shutdown.
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
        let variables = [("KUBECONFIG_PATH", kubeconfig.to_str().unwrap()), ("PATH", "/usr/bin:/bin")];
        let mut daemon = Process::serve(PROGRAM, &variables).await;
        let client = daemon.client();
        within(LONG, "the reason is shown", async || client.fetch("/readyz").await.text().contains(reason))
            .await;
        daemon.signal("TERM").await;
        assert_eq!(daemon.status().await, Some(0), "{reason}");
    }
}

/// Guards that a shutdown does not wait for the requests that wait for a sandbox: they are answered with the state
/// reached.
#[tokio::test]
async fn waits_for_a_sandbox_end_with_the_drain() {
    let node = NodeOptions { behaviour: Course::NeverReady.into(), ..NodeOptions::default() };
    let cluster = Cluster::start(Options { node: Some(node), ..Options::default() });
    let daemon = Setup::new(&[]).cluster(cluster).listening().start().await.ready().await;
    let client = daemon.client();
    client.post("a").await;
    client.until_phase("a", "Running").await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.fetch("/api/sandboxes/a?wait=ready").await }
    });
    let stopped = daemon.stop().await;
    assert_eq!((stopped.rejected, stopped.cut), (0, 0));
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, &answer.body["ready"]), (200, &json!(false)));
    assert!(answer.took < Duration::from_secs(20), "{:?}", answer.took);
}

/// Guards that a shutdown ends the streams of events in order, does not wait for them, and does not count them as cut.
#[tokio::test]
async fn streams_end_with_the_drain() {
    let daemon =
        Setup::new(&[]).cluster(Cluster::start(Options::default())).listening().start().await.ready().await;
    let client = daemon.client();
    client.post("a").await;
    let mut streams = Vec::new();
    for path in ["/api/events", "/api/sandboxes/a/events"] {
        let mut events = client.events(path, None).await.unwrap();
        events.until("synced").await;
        streams.push(events);
    }
    let start = Instant::now();
    let stopped = daemon.stop().await;
    assert_eq!((stopped.rejected, stopped.cut), (0, 0));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    for events in &mut streams {
        events.until("end").await;
    }
}
