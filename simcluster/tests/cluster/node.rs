//! The node as a whole: its capacity, its silence, and its Events.

use std::time::Duration;

use serde_json::{Value, json};
use simcluster::{Behaviour, Capacity, Cluster, Course, NodeOptions, Options};

use crate::client::{self, NS, SOON, behaving, call, cluster, create, delete, is_ready, pod};

fn asking(name: &str, cpu: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
    pod
}

/// The names of the Pods that are ready.
fn ready(pods: &[Value]) -> Vec<&str> {
    pods.iter().filter(|pod| is_ready(pod)).map(|pod| pod["metadata"]["name"].as_str().unwrap()).collect()
}

async fn until(cluster: &Cluster, within: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
    cluster.wait_for("pods", Some(NS), within, |pods| pods.iter().any(&wanted)).await.unwrap().remove(0)
}

fn reasons(cluster: &Cluster) -> Vec<String> {
    let mut events = cluster.objects("events", Some(NS));
    events.sort_by_key(|event| event["metadata"]["name"].to_string());
    events.iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect()
}

/// Guards capacity: a Pod that does not fit waits with the scheduler's message. Pods are bound in the order they came
/// once there is capacity: after a deletion, an end, or a larger node.
#[tokio::test(start_paused = true)]
async fn a_full_node_makes_pods_wait_for_room() {
    let node = NodeOptions {
        capacity: Capacity { cpu_millis: 2000, ..Capacity::default() },
        ..NodeOptions::default()
    };
    let cluster = Cluster::start(Options { node: Some(node), ..Options::with_namespace(NS) });
    for name in ["a", "b", "c", "d"] {
        create(&cluster, &asking(name, "1")).await;
    }
    tokio::time::sleep(SOON).await;
    let pods = cluster.objects("pods", Some(NS));
    assert_eq!(ready(&pods), ["a", "b"]);
    let scheduled = &pods[2]["status"]["conditions"][0];
    assert_eq!((&scheduled["type"], &scheduled["reason"]), (&json!("PodScheduled"), &json!("Unschedulable")));
    assert_eq!(
        scheduled["message"],
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are \
         available: 1 No preemption victims found for incoming pod."
    );
    delete(&cluster, "pods/a").await;
    cluster.wait_for("pods", Some(NS), SOON, |pods| ready(pods) == ["b", "c"]).await.unwrap();
    cluster.set_capacity(Capacity { cpu_millis: 3000, ..cluster.capacity() });
    cluster.wait_for("pods", Some(NS), SOON, |pods| ready(pods) == ["b", "c", "d"]).await.unwrap();
    // One that has ended needs no room.
    create(&cluster, &asking("e", "1")).await;
    cluster.set_pod_behaviour(NS, "b", Some(Course::Succeed.into()));
    cluster.wait_for("pods", Some(NS), SOON, |pods| ready(pods) == ["c", "d", "e"]).await.unwrap();
}

/// Guards the missing claim: the Pod is taken as soon as the claim is there.
#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_its_claim() {
    let cluster = cluster();
    let mut waiting = pod("a");
    waiting["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]);
    create(&cluster, &waiting).await;
    let pod = until(&cluster, SOON, |p| p["status"]["conditions"][0]["reason"] == "Unschedulable").await;
    let message = &pod["status"]["conditions"][0]["message"];
    assert_eq!(message, "0/1 nodes are available: persistentvolumeclaim \"data\" not found. not found");
    let size = json!({"requests": {"storage": "1Gi"}});
    let claim =
        json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": size}});
    assert_eq!(call(&cluster, "POST", "persistentvolumeclaims", &claim).await.0, 201);
    until(&cluster, SOON, is_ready).await;
}

/// Guards what a lost node looks like: Pods are not ready after its grace, are marked for deletion when they tolerate it
/// no longer, and stay; new ones are not scheduled. When the node is back all of that is put right.
#[tokio::test(start_paused = true)]
async fn a_node_is_lost_and_comes_back() {
    let cluster = cluster();
    create(&cluster, &pod("a")).await;
    until(&cluster, SOON, is_ready).await;
    cluster.set_node_lost(true);
    tokio::time::sleep(Duration::from_secs(49)).await;
    assert!(is_ready(&cluster.object("pods", NS, "a").unwrap()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ready_condition = || {
        let node = cluster.object("nodes", "", "sim-node").unwrap();
        (node["status"]["conditions"][3]["status"].clone(), node["status"]["conditions"][3]["reason"].clone())
    };
    assert_eq!(ready_condition(), (json!("Unknown"), json!("NodeStatusUnknown")));
    let lost = cluster.object("pods", NS, "a").unwrap();
    assert!(!is_ready(&lost));
    // Kubernetes leaves the phase as it was.
    assert_eq!(
        (&lost["status"]["phase"], lost["metadata"].get("deletionTimestamp")),
        (&json!("Running"), None)
    );
    create(&cluster, &pod("new")).await;
    tokio::time::sleep(Duration::from_secs(301)).await;
    let marked = cluster.object("pods", NS, "a").unwrap();
    assert_eq!(marked["status"]["reason"], "NodeLost");
    assert_eq!(marked["status"]["message"], "Node sim-node which was running pod a is unresponsive");
    assert!(marked["metadata"].get("deletionTimestamp").is_some());
    let message = &cluster.object("pods", NS, "new").unwrap()["status"]["conditions"][0]["message"];
    assert!(message.as_str().unwrap().contains("1 node(s) had untolerated taint(s)."), "{message}");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(cluster.object("pods", NS, "a").is_some());
    cluster.set_node_lost(false);
    cluster.wait_for("pods", Some(NS), SOON, |pods| ready(pods) == ["new"] && pods.len() == 1).await.unwrap();
    assert_eq!(ready_condition(), (json!("True"), json!("KubeletReady")));
}

/// Guards cordoning: no new Pod is bound to the node until it is uncordoned.
#[tokio::test(start_paused = true)]
async fn a_cordoned_node_takes_nothing_new() {
    let cluster = cluster();
    cluster.wait_for("nodes", None, SOON, |nodes| nodes.len() == 1).await.unwrap();
    cluster.change("nodes", "", "sim-node", |node| node["spec"]["unschedulable"] = true.into()).unwrap();
    create(&cluster, &pod("a")).await;
    until(&cluster, SOON, |pod| pod["status"]["conditions"][0]["reason"] == "Unschedulable").await;
    cluster.change("nodes", "", "sim-node", |node| node["spec"]["unschedulable"] = false.into()).unwrap();
    until(&cluster, SOON, is_ready).await;
}

/// Guards a node that is away for less than its Pods bear: they are ready again, and nothing else happened to them.
#[tokio::test(start_paused = true)]
async fn a_node_that_is_back_in_time_costs_nothing_but_readiness() {
    let cluster = cluster();
    let made = create(&cluster, &pod("a")).await;
    until(&cluster, SOON, is_ready).await;
    cluster.set_node_lost(true);
    until(&cluster, 4 * SOON, |pod| !is_ready(pod)).await;
    cluster.set_node_lost(false);
    let back = until(&cluster, SOON, is_ready).await;
    assert_eq!(back["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(back["status"]["containerStatuses"][0]["restartCount"], 0);
}

/// Guards the two ways a single Pod is lost: as Kubernetes shows it today, and with the phase its API still has.
#[tokio::test(start_paused = true)]
async fn a_lost_pod_stays_in_deletion() {
    for (behaviour, phase) in [("node-lost", "Running"), ("unknown", "Unknown")] {
        let cluster = cluster();
        create(&cluster, &behaving("a", behaviour)).await;
        until(&cluster, SOON, is_ready).await;
        let lost = until(&cluster, SOON, |pod| !is_ready(pod)).await;
        assert_eq!(lost["status"]["phase"], phase);
        delete(&cluster, "pods/a").await;
        tokio::time::sleep(20 * SOON).await;
        let stays = cluster.object("pods", NS, "a").unwrap();
        assert_eq!(stays["status"]["reason"], "NodeLost");
        delete(&cluster, "pods/a?gracePeriodSeconds=0").await;
        assert_eq!(cluster.count("pods", Some(NS)), 0);
    }
}

/// Guards the eviction: one report, with phase, reason, message and condition, and the Events that explain it.
#[tokio::test(start_paused = true)]
async fn an_evicted_pod_says_why() {
    let cluster = cluster();
    create(&cluster, &behaving("a", "evicted")).await;
    let evicted = until(&cluster, SOON, |pod| pod["status"]["phase"] == "Failed").await;
    let status = &evicted["status"];
    assert_eq!(status["reason"], "Evicted");
    assert!(status["message"].as_str().unwrap().starts_with("The node was low on resource: memory."));
    let target = status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "DisruptionTarget");
    assert_eq!(target.unwrap()["reason"], "TerminationByKubelet");
    assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["exitCode"], 137);
    assert_eq!(reasons(&cluster), ["Scheduled", "Pulled", "Created", "Started", "Evicted", "Killing"]);
    let events = cluster.objects("events", Some(NS));
    let killing = events.iter().find(|event| event["reason"] == "Killing").unwrap();
    assert_eq!(killing["involvedObject"]["fieldPath"], "spec.containers{sandbox}");
    assert_eq!(killing["message"], "Stopping container sandbox");
}

/// Guards readiness that is lost after it was had.
#[tokio::test(start_paused = true)]
async fn readiness_can_be_lost() {
    let cluster = cluster();
    create(&cluster, &behaving("a", "readiness-lost, after=20s")).await;
    until(&cluster, SOON, is_ready).await;
    let unready = until(&cluster, SOON, |pod| !is_ready(pod)).await;
    let container = &unready["status"]["containerStatuses"][0];
    assert_eq!((&container["started"], &container["restartCount"]), (&json!(true), &json!(0)));
    assert_eq!(unready["status"]["phase"], "Running");
}

/// Guards slow ends: a container that takes longer than its grace is killed at its end, and says so.
#[tokio::test(start_paused = true)]
async fn a_slow_end_ends_with_the_grace_period() {
    let cluster = cluster();
    create(&cluster, &behaving("a", "terminate=10m")).await;
    until(&cluster, SOON, is_ready).await;
    let mut watch = client::Watch::open(&cluster, &format!("resourceVersion={}", cluster.version())).await;
    let before = tokio::time::Instant::now();
    delete(&cluster, "pods/a?gracePeriodSeconds=20").await;
    let mut last = Value::Null;
    while cluster.count("pods", Some(NS)) > 0 || last["type"] != "DELETED" {
        last = watch.next().await.unwrap().unwrap();
    }
    assert_eq!(before.elapsed(), Duration::from_secs(20));
    let ended = &last["object"]["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&ended["exitCode"], &last["object"]["status"]["phase"]), (&json!(137), &json!("Failed")));
}

/// Guards the delays that behaviours set: the start's, the pull's, and those of all Pods at once.
#[tokio::test(start_paused = true)]
async fn starts_and_pulls_take_as_long_as_is_said() {
    let behaviour: Behaviour = "start=5s, pull=20s".parse().unwrap();
    let node = NodeOptions { behaviour, ..NodeOptions::default() };
    let cluster = Cluster::start(Options { node: Some(node), ..Options::with_namespace(NS) });
    let before = tokio::time::Instant::now();
    create(&cluster, &pod("a")).await;
    until(&cluster, SOON, is_ready).await;
    assert_eq!(before.elapsed().as_secs(), 25);
    assert_eq!(reasons(&cluster), ["Scheduled", "Pulling", "Pulled", "Created", "Started"]);
}

/// Guards the way out of trouble: a Pod whose failures come to an end gets ready.
#[tokio::test(start_paused = true)]
async fn failures_end_where_that_is_said() {
    for behaviour in ["image-pull-error", "crash-loop", "mount-error", "run-error"] {
        let cluster = cluster();
        create(&cluster, &behaving("a", &format!("{behaviour}, failures=3"))).await;
        tokio::time::sleep(10 * SOON).await;
        let pod = cluster.object("pods", NS, "a").unwrap();
        assert!(is_ready(&pod), "{behaviour}: {:#}", pod["status"]);
    }
}

/// Guards init containers: they run one after the other, and the Pod is initialized only then.
#[tokio::test(start_paused = true)]
async fn init_containers_run_first() {
    let cluster = cluster();
    let mut watch = client::Watch::open(&cluster, "").await;
    let mut pod = pod("a");
    pod["spec"]["initContainers"] = json!([{"name": "one", "image": "i:1"}, {"name": "two", "image": "i:1"}]);
    create(&cluster, &pod).await;
    let mut states = Vec::new();
    loop {
        let event = watch.next().await.unwrap().unwrap();
        let reported = &event["object"]["status"];
        let state = |list: &str, place: usize| {
            let state = reported[list][place]["state"].as_object();
            state.and_then(|state| state.keys().next().cloned()).unwrap_or_default()
        };
        let inits = "initContainerStatuses";
        let seen = [state(inits, 0), state(inits, 1), state("containerStatuses", 0)].join(" ");
        if states.last() != Some(&seen) {
            states.push(seen);
        }
        if is_ready(&event["object"]) {
            break;
        }
    }
    let expected = [
        "  ",
        "waiting waiting waiting",
        "running waiting waiting",
        "terminated running waiting",
        "terminated terminated running",
    ];
    assert_eq!(states, expected);
}

/// Guards the Events' hour: they are counted up while their message comes, and go an hour after it came last.
#[tokio::test(start_paused = true)]
async fn events_go_an_hour_after_they_came_last() {
    let cluster = cluster();
    create(&cluster, &behaving("a", "crash-loop, failures=5")).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let count = |reason: &str| {
        let events = cluster.objects("events", Some(NS));
        events.iter().find(|event| event["reason"] == reason).map(|event| event["count"].as_i64())
    };
    assert_eq!(count("Started"), Some(Some(6)));
    assert!(count("Scheduled").is_some());
    tokio::time::sleep(Duration::from_secs(3010)).await;
    // The first of all is old now; the starts went on for some minutes.
    assert!(count("Scheduled").is_none() && count("Started").is_some());
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(cluster.count("events", Some(NS)), 0);
}
