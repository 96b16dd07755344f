//! Resizing in place, on the whole daemon: for a caller, and after the start of a sandbox with more CPU.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simcluster::{CallMark, Capacity, Cluster, Effect, NodeOptions, Options, Refusal, Resize, Rule, Verb};
use testkit::{Answer, Daemon, NAMESPACE, until};
use tokio::time::sleep;

use crate::settings_file::with;

const PROFILES: &str = "
[profiles.default]
cpu = { request = '200m', limit = '1' }
memory = { request = '256Mi', limit = '1Gi' }

[profiles.default.overrides]
cpu = { min = '100m', max = '64' }
memory = { min = '512Mi', max = '1Ti' }

[profiles.whole]
cpu = '1'
memory = '1Gi'

[profiles.whole.overrides]
cpu = { max = '64' }

[profiles.boosted]
extends = 'default'
start_cpu = '4'
";

fn cluster(resize: Resize) -> Cluster {
    Cluster::start(Options { resize, ..Options::with_namespace(NAMESPACE) })
}

/// Starts a cluster whose node has four cores.
fn small(resize: Resize) -> Cluster {
    let node = NodeOptions {
        capacity: Capacity { cpu_millis: 4000, ..Capacity::default() },
        ..NodeOptions::default()
    };
    Cluster::start(Options { resize, node: Some(node), ..Options::with_namespace(NAMESPACE) })
}

async fn create(daemon: &Daemon, id: &str, profile: &str) -> Answer {
    let body = json!({"sandbox_id": id, "profile": profile});
    daemon.call(Method::POST, "/api/sandboxes", Some(body)).await
}

async fn patch(daemon: &Daemon, id: &str, resources: Value) -> Answer {
    let body = json!({ "resources": resources });
    daemon.call(Method::PATCH, &format!("/api/sandboxes/{id}"), Some(body)).await
}

/// Waits until the container has what its Pod says, as far as the kubelet reports it, and returns the sandbox.
async fn settled(daemon: &Daemon, id: &str) -> Value {
    daemon.running(id).await;
    let is_reported = async || {
        let pod = daemon.cluster.object("pods", NAMESPACE, &format!("sandbox-{id}")).unwrap();
        pod["status"]["containerStatuses"][0]["resources"]["limits"].is_object()
    };
    until("the kubelet reports the resources", is_reported).await;
    daemon.get(id).await.body
}

async fn until_state(daemon: &Daemon, id: &str, state: &str) -> Value {
    let is = async || daemon.get(id).await.body["resize"]["state"] == state;
    until(&format!("{id} is {state}"), is).await;
    daemon.get(id).await.body
}

fn cpu_of(cluster: &Cluster, id: &str) -> Value {
    let pod = cluster.object("pods", NAMESPACE, &format!("sandbox-{id}")).unwrap();
    pod["spec"]["containers"][0]["resources"]["limits"]["cpu"].clone()
}

fn resizes(cluster: &Cluster, since: CallMark) -> usize {
    cluster.calls_since(since).iter().filter(|call| call.resource == "pods/resize").count()
}

/// Guards that a PATCH resizes a sandbox without a restart, with one write, and that the answers say how far it is.
#[tokio::test(start_paused = true)]
async fn a_sandbox_is_resized_in_place() {
    let cluster = cluster(Resize::default());
    let daemon = with(&cluster, PROFILES).await;
    create(&daemon, "a", "default").await;
    let before = settled(&daemon, "a").await;
    assert_eq!(before.get("resize"), None);

    let mark = cluster.mark();
    let resized = patch(&daemon, "a", json!({"cpu": "2", "memory": "2Gi"})).await;
    assert_eq!(resized.status, 200, "{resized}");
    assert_eq!(resized.body["resources"]["cpu"], "2");
    assert_eq!(resized.body["resize"], json!({"state": "Proposed", "actual": {"cpu": "1", "memory": "1Gi"}}));
    assert_eq!(resizes(&cluster, mark), 1);
    let done = until_state(&daemon, "a", "Done").await;
    assert_eq!(done["resize"], json!({"state": "Done"}));
    assert_eq!(done["resources"], json!({"cpu": "2", "memory": "2Gi", "ephemeral_storage": "500Mi"}));
    assert_eq!(done["container_id"], before["container_id"], "the same Pod");
    let pod = cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
    let requests = &pod["spec"]["containers"][0]["resources"]["requests"];
    assert_eq!((&requests["cpu"], &requests["memory"]), (&json!("200m"), &json!("256Mi")));

    let same = patch(&daemon, "a", json!({"cpu": "2000m"})).await;
    assert_eq!((same.status, &same.body["resize"]["state"]), (200, &json!("Done")), "{same}");
    let again = create(&daemon, "a", "default").await;
    assert_eq!(again.body.get("resources_not_applied"), None);
}

/// Guards that one PATCH changes the limits of the lifetime and the resources, that nothing is written if one of them is
/// refused, and what is said if only the limits fail.
#[tokio::test(start_paused = true)]
async fn one_patch_changes_limits_and_resources() {
    let cluster = cluster(Resize::default());
    let daemon = with(&cluster, PROFILES).await;
    create(&daemon, "a", "default").await;
    settled(&daemon, "a").await;
    let patch = async |body: Value| daemon.call(Method::PATCH, "/api/sandboxes/a", Some(body)).await;
    let mark = cluster.mark();
    for body in [
        json!({"resources": {"cpu": "65"}, "ttl": "1h"}),
        json!({"resources": {"cpu": "2"}, "ttl": "soon"}),
        json!({"resources": {"cpu": "2"}, "ttl": "9999d"}),
    ] {
        let refused = patch(body.clone()).await;
        assert!(matches!(refused.status, 400 | 422), "{body}: {refused}");
    }
    let writes = |mark| cluster.calls_since(mark).into_iter().filter(|call| call.verb == Verb::Patch).count();
    assert_eq!(writes(mark), 0);

    let changed = patch(json!({"resources": {"cpu": "2"}, "ttl": "1h", "idle_timeout": "10m"})).await;
    assert_eq!((changed.status, &changed.body["resources"]["cpu"]), (200, &json!("2")), "{changed}");
    assert!(changed.body["resize"]["state"].is_string(), "{changed}");
    assert_eq!(changed.body["reap_reason"], "IdleTimeout", "{changed}");
    assert_eq!(cpu_of(&cluster, "a"), "2");

    let refuse = Rule::new(Effect::Refuse(Refusal::Forbidden)).verb(Verb::Patch).resource("pods");
    cluster.fault(refuse);
    let half = patch(json!({"resources": {"cpu": "3"}, "ttl": "2h"})).await;
    assert_eq!((half.status, &half.body["reason"]), (500, &json!("Forbidden")), "{half}");
    let detail = half.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("the sandbox was resized, but its limits were not changed: "), "{detail}");
    assert_eq!(cpu_of(&cluster, "a"), "3");
}

/// Guards that the quality of service of a Pod whose requests are its limits stays, so that the API server accepts it.
#[tokio::test(start_paused = true)]
async fn a_request_follows_its_limit() {
    let cluster = cluster(Resize::default());
    let daemon = with(&cluster, PROFILES).await;
    create(&daemon, "a", "whole").await;
    settled(&daemon, "a").await;
    let resized = patch(&daemon, "a", json!({"cpu": "500m"})).await;
    assert_eq!(resized.status, 200, "{resized}");
    until_state(&daemon, "a", "Done").await;
    let pod = cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    let resources = &pod["spec"]["containers"][0]["resources"];
    assert_eq!(
        (&resources["limits"]["cpu"], &resources["requests"]["cpu"]),
        (&json!("500m"), &json!("500m"))
    );
}

/// Guards that nothing beyond the bounds of the sandbox's profile reaches the cluster, and that a missing sandbox is a 404.
#[tokio::test(start_paused = true)]
async fn resizes_are_bounded() {
    let cluster = cluster(Resize::default());
    let daemon = with(&cluster, PROFILES).await;
    create(&daemon, "a", "default").await;
    create(&daemon, "w", "whole").await;
    settled(&daemon, "a").await;
    let mark = cluster.mark();
    for (id, resources, expected) in [
        ("a", json!({"cpu": "65"}), "resources.cpu: 65 is above 64, the maximum of the profile default"),
        (
            "a",
            json!({"cpu": "2", "memory": "1Mi"}),
            "resources.memory: 1Mi is below 512Mi, the minimum of the",
        ),
        ("a", json!({"cpu": "two"}), "resources.cpu: \"two\" is not allowed; allowed: a number of cores"),
        (
            "a",
            json!({"ephemeral_storage": "1Gi"}),
            "resources.ephemeral_storage: Kubernetes resizes only cpu and memory",
        ),
        (
            "w",
            json!({"memory": "2Gi"}),
            "resources.memory: the profile whole does not let a request set this",
        ),
    ] {
        let refused = patch(&daemon, id, resources).await;
        assert_eq!(refused.status, 400, "{refused}");
        assert!(refused.body["detail"].as_str().unwrap().starts_with(expected), "{refused}");
    }
    assert_eq!(patch(&daemon, "none", json!({"cpu": "2"})).await.status, 404);
    assert_eq!(cluster.calls_since(mark), []);
}

/// Guards what callers see of a cluster that cannot, of one that refuses, and of one in which the right is missing.
#[tokio::test(start_paused = true)]
async fn refusals_are_clear() {
    let old = cluster(Resize::Absent);
    let daemon = with(&old, PROFILES).await;
    create(&daemon, "a", "default").await;
    daemon.running("a").await;
    let refused = patch(&daemon, "a", json!({"cpu": "2"})).await;
    assert_eq!((refused.status, &refused.body["reason"]), (501, &json!("ResizeNotSupported")), "{refused}");
    let gone = patch(&daemon, "b", json!({"cpu": "2"})).await;
    assert_eq!(gone.status, 404, "a missing sandbox is not a missing subresource");
    drop(daemon);

    let new = small(Resize::Checked);
    let daemon = with(&new, PROFILES).await;
    create(&daemon, "a", "whole").await;
    settled(&daemon, "a").await;
    let refused = patch(&daemon, "a", json!({"cpu": "64"})).await;
    assert_eq!((refused.status, &refused.body["reason"]), (400, &json!("ResizeRefused")), "{refused}");
    assert!(
        refused.body["detail"].as_str().unwrap().contains("enough allocatable resources: cpu"),
        "{refused}"
    );
    new.fault(Rule::new(Effect::Refuse(Refusal::Forbidden)).resource("pods/resize"));
    let refused = patch(&daemon, "a", json!({"cpu": "2"})).await;
    assert_eq!((refused.status, &refused.body["reason"]), (500, &json!("Forbidden")), "{refused}");
    assert_eq!(cpu_of(&new, "a"), "1");
}

/// Guards that a node that has no room at present, and one that is too small, show as such, and that a smaller resize
/// ends that.
#[tokio::test(start_paused = true)]
async fn a_node_without_room_shows() {
    let cluster = small(Resize::Unchecked);
    let daemon = with(&cluster, PROFILES).await;
    for id in ["a", "b"] {
        create(&daemon, id, "whole").await;
        settled(&daemon, id).await;
    }
    for (cpu, state) in [("3500m", "Deferred"), ("5", "Infeasible")] {
        assert_eq!(patch(&daemon, "a", json!({"cpu": cpu})).await.status, 200);
        let shown = until_state(&daemon, "a", state).await;
        assert_eq!(shown["resize"]["actual"]["cpu"], "1");
        assert!(
            shown["resize"]["message"].as_str().unwrap().starts_with("Node didn't have enough"),
            "{shown}"
        );
        assert!(shown["ready"].as_bool().unwrap(), "it goes on with what it has");
    }
    assert_eq!(patch(&daemon, "a", json!({"cpu": "2"})).await.status, 200);
    until_state(&daemon, "a", "Done").await;
}

/// Guards that a sandbox has more CPU until it is ready, and then that of its profile, with one write; and that nothing
/// but the lowering tells it from another sandbox.
#[tokio::test(start_paused = true)]
async fn a_sandbox_starts_with_more_cpu() {
    let cluster = cluster(Resize::default());
    let daemon = with(&cluster, PROFILES).await;
    let listed = daemon.fetch("/api/profiles").await;
    assert_eq!(listed.body["profiles"][0]["start_cpu"], "4", "{listed}");
    let mark = cluster.mark();
    let body = json!({"sandbox_id": "a", "profile": "boosted", "resources": {"cpu": "1"}});
    let made = daemon.call(Method::POST, "/api/sandboxes", Some(body.clone())).await;
    assert_eq!((made.status, &made.body["resources"]["cpu"]), (200, &json!("4")), "{made}");
    assert_eq!(made.body.get("resources_not_applied"), None, "it gets this CPU");
    assert_eq!(made.body["ready"], false);
    until("the CPU is lowered", async || cpu_of(&cluster, "a") == "1").await;
    assert!(daemon.get("a").await.body["ready"].as_bool().unwrap());
    sleep(Duration::from_secs(600)).await;
    assert_eq!(resizes(&cluster, mark), 1);
    let shown = daemon.get("a").await.body;
    assert_eq!((&shown["resources"]["cpu"], shown["resize"]["state"].as_str()), (&json!("1"), Some("Done")));

    // A later resize, also to the CPU of the start, stays.
    assert_eq!(patch(&daemon, "a", json!({"cpu": "4"})).await.status, 200);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(cpu_of(&cluster, "a"), "4");
}

/// Guards that a resize before the sandbox is ready is the one that it has afterwards.
#[tokio::test(start_paused = true)]
async fn a_resize_during_the_start_stays() {
    let cluster = cluster(Resize::default());
    let daemon = with(&cluster, PROFILES).await;
    create(&daemon, "a", "boosted").await;
    let resized = patch(&daemon, "a", json!({"cpu": "3"})).await;
    assert_eq!((resized.status, &resized.body["ready"]), (200, &json!(false)), "{resized}");
    daemon.running("a").await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(cpu_of(&cluster, "a"), "3");
}

/// Guards that the CPU is lowered although the daemon dies before it: while the sandbox starts, or with a failed attempt.
#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_with_the_start() {
    let first = cluster(Resize::default());
    let daemon = with(&first, PROFILES).await;
    create(&daemon, "a", "boosted").await;
    drop(daemon);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cpu_of(&first, "a"), "4", "it became ready without a daemon");
    let daemon = with(&first, PROFILES).await;
    until("the CPU is lowered", async || cpu_of(&first, "a") == "1").await;
    drop(daemon);

    let second = cluster(Resize::default());
    second.fault(Rule::new(Effect::Refuse(Refusal::Unavailable)).resource("pods/resize"));
    let daemon = with(&second, PROFILES).await;
    create(&daemon, "a", "boosted").await;
    daemon.running("a").await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cpu_of(&second, "a"), "4");
    drop(daemon);
    second.clear_faults();
    let _daemon = with(&second, PROFILES).await;
    until("the CPU is lowered", async || cpu_of(&second, "a") == "1").await;
}

/// Guards that a cluster that cannot resize, or does not let the daemon, is reported once, that sandboxes keep the CPU of
/// their start, and that the API server gets few calls.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_cannot_resize_is_noted_once() {
    for (resize, is_forbidden, words) in [
        (Resize::Absent, false, "this cluster cannot resize Pods in place"),
        (Resize::default(), true, "not allowed to resize Pods in place"),
    ] {
        let cluster = cluster(resize);
        if is_forbidden {
            cluster.fault(Rule::new(Effect::Refuse(Refusal::Forbidden)).resource("pods/resize"));
        }
        let daemon = with(&cluster, PROFILES).await;
        let mark = cluster.mark();
        for id in ["a", "b", "c"] {
            create(&daemon, id, "boosted").await;
            daemon.running(id).await;
        }
        sleep(Duration::from_secs(600)).await;
        assert_eq!(daemon.logged(words).lines().count(), 1, "{}", daemon.logged(""));
        assert_eq!(cpu_of(&cluster, "a"), "4");
        assert!(daemon.get("a").await.body["ready"].as_bool().unwrap());
        let patches = cluster.calls_since(mark).into_iter().filter(|call| call.verb == Verb::Patch);
        assert_eq!(patches.count(), 3, "one for each sandbox");
    }
}
