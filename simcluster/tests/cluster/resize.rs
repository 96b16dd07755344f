//! Resizing Pods in place.

use std::time::Duration;

use serde_json::{Value, json};
use simcluster::{Capacity, Cluster, NodeOptions, Options, Resize};

use crate::client::{NS, SOON, call, create, delete, get, is_ready, pod};

fn small_cluster(resize: Resize) -> Cluster {
    let node = NodeOptions {
        capacity: Capacity { cpu_millis: 4000, ..Capacity::default() },
        ..NodeOptions::default()
    };
    Cluster::start(Options { node: Some(node), resize, ..Options::with_namespace(NS) })
}

fn sized(name: &str, cpu: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}, "limits": {"cpu": "4"}});
    pod
}

fn patch(cpu: &str) -> Value {
    let resources = json!({"requests": {"cpu": cpu}, "limits": {"cpu": "4"}});
    json!({"spec": {"containers": [{"name": "sandbox", "image": "img:1", "resources": resources}]}})
}

async fn ready(cluster: &Cluster, name: &str) {
    until(cluster, name, is_ready).await;
}

async fn until(cluster: &Cluster, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let found = |pods: &[Value]| pods.iter().find(|p| p["metadata"]["name"] == name).cloned();
    let seen = |pods: &[Value]| found(pods).is_some_and(|pod| wanted(&pod));
    found(&cluster.wait_for("pods", Some(NS), SOON, seen).await.unwrap()).unwrap()
}

fn condition(pod: &Value, kind: &str) -> Option<Value> {
    pod["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind).cloned()
}

fn cpu_of(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]["resources"]["requests"]["cpu"]
}

/// Guards a resize from the request to its end: the Pod runs on, and each step is in its status.
#[tokio::test(start_paused = true)]
async fn a_pod_is_resized_while_it_runs() {
    let cluster = small_cluster(Resize::Checked);
    create(&cluster, &sized("a", "1")).await;
    ready(&cluster, "a").await;
    let (status, answer) = call(&cluster, "PATCH", "pods/a/resize", &patch("2")).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["metadata"]["generation"], 2);
    let during = until(&cluster, "a", |pod| condition(pod, "PodResizeInProgress").is_some()).await;
    assert_eq!(during["status"]["containerStatuses"][0]["allocatedResources"]["cpu"], "2");
    assert_eq!(cpu_of(&during), "1");
    let done = until(&cluster, "a", |pod| cpu_of(pod) == "2").await;
    assert_eq!(condition(&done, "PodResizeInProgress"), None);
    assert_eq!(done["status"]["observedGeneration"], 2);
    assert!(is_ready(&done) && done["status"]["containerStatuses"][0]["restartCount"] == 0);
    // The room is taken now.
    create(&cluster, &sized("b", "2500m")).await;
    until(&cluster, "b", |pod| pod["status"]["conditions"][0]["reason"] == "Unschedulable").await;
    assert_eq!(call(&cluster, "PATCH", "pods/a/resize", &patch("1")).await.0, 200);
    ready(&cluster, "b").await;
}

/// Guards that a resize waits for room, says why, and is done when there is some; or is taken back.
#[tokio::test(start_paused = true)]
async fn a_resize_without_room_is_deferred() {
    let cluster = small_cluster(Resize::Checked);
    for name in ["a", "b"] {
        create(&cluster, &sized(name, "1500m")).await;
        ready(&cluster, name).await;
    }
    assert_eq!(call(&cluster, "PATCH", "pods/a/resize", &patch("3")).await.0, 200);
    let waiting = until(&cluster, "a", |pod| condition(pod, "PodResizePending").is_some()).await;
    let pending = condition(&waiting, "PodResizePending").unwrap();
    assert_eq!((&pending["reason"], &pending["observedGeneration"]), (&json!("Deferred"), &json!(2)));
    let why = "Node didn't have enough resource: cpu, requested: 3000, used: 1500, capacity: 4000";
    assert_eq!(pending["message"], why);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(cpu_of(&get(&cluster, "pods/a").await.1), "1500m");
    delete(&cluster, "pods/b").await;
    let done = until(&cluster, "a", |pod| cpu_of(pod) == "3").await;
    assert_eq!(condition(&done, "PodResizePending"), None);

    create(&cluster, &sized("c", "1")).await;
    ready(&cluster, "c").await;
    assert_eq!(call(&cluster, "PATCH", "pods/a/resize", &patch("3500m")).await.0, 200);
    until(&cluster, "a", |pod| condition(pod, "PodResizePending").is_some()).await;
    assert_eq!(call(&cluster, "PATCH", "pods/a/resize", &patch("3")).await.0, 200);
    until(&cluster, "a", |pod| condition(pod, "PodResizePending").is_none()).await;
}

/// Guards what becomes of a size that the node can never hold: by release a rejection or a condition.
#[tokio::test(start_paused = true)]
async fn a_size_beyond_the_node_is_infeasible() {
    for resize in [Resize::Checked, Resize::Unchecked] {
        let cluster = small_cluster(resize);
        let mut large = sized("a", "1");
        large["spec"]["containers"][0]["resources"]["limits"] = json!({"cpu": "8"});
        create(&cluster, &large).await;
        ready(&cluster, "a").await;
        let mut wanted = patch("5");
        wanted["spec"]["containers"][0]["resources"]["limits"] = json!({"cpu": "8"});
        let (status, answer) = call(&cluster, "PATCH", "pods/a/resize", &wanted).await;
        if resize == Resize::Checked {
            let message = "pods \"a\" is forbidden: node didn't have enough allocatable resources: cpu, requested: \
                           5000, allocatable: 4000";
            assert_eq!((status, &answer["message"]), (403, &json!(message)));
            continue;
        }
        assert_eq!(status, 200);
        let pod = until(&cluster, "a", |pod| condition(pod, "PodResizePending").is_some()).await;
        let pending = condition(&pod, "PodResizePending").unwrap();
        let why = "Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000";
        assert_eq!((&pending["reason"], &pending["message"]), (&json!("Infeasible"), &json!(why)));
        cluster.set_capacity(Capacity { cpu_millis: 9000, ..cluster.capacity() });
        until(&cluster, "a", |pod| cpu_of(pod) == "5").await;
    }
}

/// Guards an older cluster: it knows no such path, and its discovery does not list it.
#[tokio::test(start_paused = true)]
async fn an_older_cluster_has_no_such_subresource() {
    let cluster = small_cluster(Resize::Absent);
    create(&cluster, &sized("a", "1")).await;
    let (status, answer) = call(&cluster, "PATCH", "pods/a/resize", &patch("2")).await;
    assert_eq!((status, &answer["reason"]), (404, &json!("NotFound")));
    assert_eq!(answer["message"], "the server could not find the requested resource");
}

/// Guards that resources change only through the subresource, and that the refusal says what may change.
#[tokio::test(start_paused = true)]
async fn refused_changes_of_resources_say_why() {
    let cluster = small_cluster(Resize::Checked);
    create(&cluster, &sized("a", "1")).await;
    ready(&cluster, "a").await;
    let (status, answer) = call(&cluster, "PATCH", "pods/a", &patch("2")).await;
    assert_eq!(status, 422);
    assert!(answer["message"].as_str().unwrap().contains("pod updates may not change fields other than"));
    let mut best_effort = patch("1");
    best_effort["spec"]["containers"][0]["resources"] = json!({});
    let (status, answer) = call(&cluster, "PATCH", "pods/a/resize", &best_effort).await;
    let message = "Pod \"a\" is invalid: [spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result \
                   of resizing, spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed, \
                   spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed]";
    assert_eq!((status, &answer["message"]), (422, &json!(message)));
    let pod = get(&cluster, "pods/a").await.1;
    assert_eq!(pod["metadata"]["generation"], 1);
}

/// Guards that a container restarts if the policy of the resource says so.
#[tokio::test(start_paused = true)]
async fn a_policy_may_restart_the_container() {
    let cluster = small_cluster(Resize::Checked);
    let mut policed = sized("a", "1");
    let policy = json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
    policed["spec"]["containers"][0]["resizePolicy"] = policy.clone();
    create(&cluster, &policed).await;
    ready(&cluster, "a").await;
    let mut wanted = patch("2");
    let (status, answer) = call(&cluster, "PATCH", "pods/a/resize", &wanted).await;
    assert_eq!(status, 422, "the policy is dropped: {answer}");
    wanted["spec"]["containers"][0]["resizePolicy"] = policy;
    assert_eq!(call(&cluster, "PATCH", "pods/a/resize", &wanted).await.0, 200);
    let pod = until(&cluster, "a", |pod| cpu_of(pod) == "2" && is_ready(pod)).await;
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(
        (&status["restartCount"], &status["lastState"]["terminated"]["exitCode"]),
        (&json!(1), &json!(137))
    );
}
