//! Tests of failing Pods: the reason that callers read, and that such a sandbox can be deleted.

use std::time::Duration;

use simcluster::{Behaviour, Cluster, Effect, NodeOptions, Options, Refusal, Rule};
use tokio::time::sleep;

use testkit::{Daemon, NAMESPACE};

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
