//! Tests of failing Pods: the reason that callers read, and that such a sandbox can be deleted.

use std::time::Duration;

use simcluster::{Behaviour, Cluster, Effect, NodeOptions, Options, Refusal, Rule};
use tokio::time::sleep;

use testkit::{Daemon, NAMESPACE, Setup};

use super::recovered;

/// Checks that a POST succeeds before the failure is known, that a GET returns the reason and a hint, and that a DELETE
/// removes everything.
async fn fares(behaviour: &str, shown: &str, hint: &str) {
    let behaviour: Behaviour = behaviour.parse().unwrap();
    let node = Some(NodeOptions { behaviour, ..NodeOptions::default() });
    let daemon = Daemon::on(Cluster::start(Options { node, ..Options::with_namespace(NAMESPACE) })).await;
    daemon.until_ready().await;
    let made = daemon.post("a").await;
    assert_eq!(made.to_string(), "200 | Pending");
    recovered(shown, async || {
        let answer = daemon.get("a").await.to_string();
        answer.starts_with(shown) && answer.ends_with(hint)
    })
    .await;
    assert_eq!(daemon.delete("a").await.status, 200);
    assert_eq!(daemon.get("a").await.status, 404);
    recovered("both are gone", async || daemon.objects().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled() {
    let hint = "check SANDBOX_IMAGE and that the nodes can pull it (registry, credentials, network)";
    let words = "Failed to pull image \"";
    fares("image-pull-error", &format!("200 | Pending | ErrImagePull | {words}"), hint).await;
    fares("image-pull-error", &format!("200 | Pending | ImagePullBackOff | {words}"), hint).await;
}

/// Guards that the reason names a host path that does not exist, its volume and its setting: the status of the Pod only
/// says that its container is being created.
#[tokio::test(start_paused = true)]
async fn a_volume_that_cannot_be_mounted() {
    let hint = "check DEER_FLOW_HOST_BASE_DIR: the path must exist on the node where the Pod runs";
    let words = "MountVolume.SetUp failed for volume \"skills-public\" : hostPath type check failed: \
                 /.deer-flow/skills_view/public is not a directory";
    fares("mount-error", &format!("200 | Pending | FailedMount | {words}"), hint).await;
}

/// Guards that without the right to watch Events the daemon is ready, and gives the reasons of the Pods' status.
#[tokio::test(start_paused = true)]
async fn without_the_right_to_watch_events() {
    let node = Some(NodeOptions { behaviour: "mount-error".parse().unwrap(), ..NodeOptions::default() });
    let cluster = Cluster::start(Options { node, ..Options::with_namespace(NAMESPACE) });
    cluster.fault(Rule::new(Effect::Refuse(Refusal::Forbidden)).resource("events"));
    let daemon = Daemon::on(cluster).await;
    daemon.until_ready().await;
    daemon.post("a").await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(daemon.get("a").await.body["reason"], "ContainerCreating");
    let report = daemon.fetch("/readyz?verbose").await;
    assert_eq!(report.status, 200);
    let text = report.text();
    assert!(text.contains("[-]watch-events failed (optional): Forbidden"), "{text}");
    assert_eq!(daemon.logged("INFO").matches("not allowed to watch Events").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop() {
    let hint = "the sandbox container exits; see `kubectl logs`";
    let shown = "200 | Running | Error | container sandbox exited with code 3, restarted 1 times";
    fares("crash-loop", shown, hint).await;
    fares("crash-loop", "200 | Running | CrashLoopBackOff | back-off 10s restarting", hint).await;
}

#[tokio::test(start_paused = true)]
async fn an_oom_kill() {
    let shown = "200 | Running | OOMKilled | container sandbox was killed: out of memory, limit 1Gi, exit code 137, \
                 restarted 1 times";
    fares("oom", shown, "the sandbox needed more memory than its limit").await;
}

#[tokio::test(start_paused = true)]
async fn no_node_that_fits() {
    let hint = "no node has room or fits; see `kubectl describe pod` and `kubectl get nodes`";
    fares("unschedulable", "200 | Pending | Unschedulable | 0/1 nodes are available", hint).await;
}

#[tokio::test(start_paused = true)]
async fn an_eviction() {
    let hint = "the node ran short of a resource and evicted the Pod";
    fares("evicted", "200 | Failed | Evicted | The node was low on resource: memory.", hint).await;
}

/// Guards that the Pod of a lost node is reported, and that it cannot terminate until the node returns. A DELETE
/// succeeds, the name stays in use, and other sandboxes are created once there is a node for them.
#[tokio::test(start_paused = true)]
async fn a_lost_node() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    daemon.cluster.set_node_lost(true);
    let shown = "200 | Terminating | NodeLost | Node sim-node which was running pod sandbox-a is unresponsive | \
                 the node stopped answering; the Pod's state is not known";
    // Kubernetes makes the Pod unready, without a reason, once the node is not ready.
    recovered("its node is not ready", async || daemon.get("a").await.body["reason"] == "NodeNotReady").await;
    // A Pod tolerates an unreachable node for five minutes.
    sleep(Duration::from_secs(300)).await;
    recovered("it is known to be lost", async || daemon.get("a").await.to_string() == shown).await;
    assert_eq!(daemon.delete("a").await.status, 200);
    assert_eq!(daemon.get("a").await.status, 404);
    let held = daemon.post("a").await;
    assert_eq!(
        held.to_string(),
        "503 after 5 s | StillTerminating | Sandbox 'a' is still terminating; try again in 5 s"
    );
    assert_eq!(daemon.objects(), ["pods sandbox-a"]);

    assert_eq!(daemon.post("b").await.to_string(), "200 | Pending");
    recovered("b waits", async || daemon.get("b").await.body["reason"] == "Unschedulable").await;

    daemon.cluster.set_node_lost(false);
    recovered("the name is free", async || daemon.objects() == ["pods sandbox-b", "services sandbox-b-svc"])
        .await;
    daemon.running("a").await;
    daemon.running("b").await;
}

/// Starts a daemon whose sandboxes crash, and which quotes two lines of their logs.
async fn quoting(cluster: Cluster) -> Daemon {
    let setup = Setup::new(&[("PROVISIONER_EXIT_LOG_LINES", "2")]).cluster(cluster);
    setup.start().await.ready().await
}

fn crashing() -> Cluster {
    let node = Some(NodeOptions { behaviour: "crash-loop".parse().unwrap(), ..NodeOptions::default() });
    Cluster::start(Options { node, ..Options::with_namespace(NAMESPACE) })
}

/// Returns the number of logs that the daemon has read.
fn logs_read(daemon: &Daemon) -> usize {
    daemon.calls().iter().filter(|call| call.contains("pods/log")).count()
}

/// Guards that the reason of an exit has the last lines of the container's log if the settings ask for it, that the log is
/// read once for each exit and never for a GET, and that it is not read by default.
#[tokio::test(start_paused = true)]
async fn the_last_lines_of_the_log() {
    let daemon = quoting(crashing()).await;
    daemon.post("a").await;
    let words = "log: sandbox started in pod deer-flow/sandbox-a | sandbox ended with exit code 3";
    recovered("the back-off quotes the log", async || {
        let body = daemon.get("a").await.body;
        body["reason"] == "CrashLoopBackOff" && body["message"].as_str().unwrap_or_default().ends_with(words)
    })
    .await;
    let before = logs_read(&daemon);
    for _ in 0..100 {
        daemon.get("a").await;
    }
    assert_eq!(logs_read(&daemon), before);
    sleep(Duration::from_secs(600)).await;
    let pod = daemon.cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap();
    let read = u64::try_from(logs_read(&daemon)).unwrap();
    assert!(read >= 2 && read <= restarts + 1, "{read} logs, {restarts} restarts");
    assert!(daemon.fetch("/readyz?verbose").await.text().contains("[+]read-logs ok"));

    let daemon = Daemon::on(crashing()).await.ready().await;
    daemon.post("a").await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(logs_read(&daemon), 0);
    assert!(!daemon.fetch("/readyz?verbose").await.text().contains("read-logs"));
}

/// Guards that without the right to read logs the daemon is ready, gives the reasons without lines, and says once what is
/// missing.
#[tokio::test(start_paused = true)]
async fn without_the_right_to_read_logs() {
    let cluster = crashing();
    cluster.fault(Rule::new(Effect::Refuse(Refusal::Forbidden)).resource("pods/log"));
    let daemon = quoting(cluster).await;
    daemon.post("a").await;
    sleep(Duration::from_secs(1200)).await;
    let message = daemon.get("a").await.body["message"].as_str().unwrap().to_owned();
    assert!(!message.contains("log:"), "{message}");
    let report = daemon.fetch("/readyz?verbose").await;
    assert_eq!(report.status, 200);
    assert!(report.text().contains("[-]read-logs failed (optional): Forbidden"), "{}", report.text());
    assert_eq!(daemon.logged("WARN").matches("not allowed to read logs").count(), 1);
    assert!(logs_read(&daemon) <= 5, "{}", logs_read(&daemon));
}
