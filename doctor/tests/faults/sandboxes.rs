//! Faults of sandboxes, and the deletion of orphans.

use std::time::Duration;

use doctor::{Selection, fix, gather};
use serde_json::{Value, json};
use simcluster::{Behaviour, Course};

use crate::fixture::{Case, NAMESPACE, TIME, an_hour_ago, options, server, template};

/// Starts a cluster with a sandbox `a` of this behaviour, waits for a state of its Pod, and makes it an hour old.
async fn behaving(course: Course, is_there: impl Fn(&Value) -> bool) -> Box<Case> {
    let case = Case::start(options(), template()).await;
    case.cluster.set_behaviour(Behaviour::from(course));
    case.create("a").await;
    let limit = Duration::from_secs(10);
    let all = |pods: &[Value]| pods.iter().any(&is_there);
    case.cluster.wait_for("pods", Some(NAMESPACE), limit, all).await.unwrap();
    case.age();
    Box::new(case)
}

fn waits_with(pod: &Value, reason: &str) -> bool {
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
}

/// Guards the code of each behaviour of a Pod.
#[tokio::test]
async fn faults_of_pods() {
    let runs = |pod: &Value| pod["status"]["phase"] == "Running";
    let case = behaving(Course::ImagePullError, |pod| waits_with(pod, "ImagePullBackOff")).await;
    case.finds("image", &["SP1002"]).await;
    let case =
        behaving(Course::Unschedulable, |pod| pod["status"]["conditions"][0]["status"] == "False").await;
    case.finds("unschedulable", &["SP1203"]).await;
    let case = behaving(Course::MountError, |pod| waits_with(pod, "ContainerCreating")).await;
    case.finds("mount", &["SP1203"]).await;
    let case = behaving(Course::CrashLoop, |pod| waits_with(pod, "CrashLoopBackOff")).await;
    case.finds("crash", &["SP1204"]).await;
    let case = behaving(Course::Oom, |pod| waits_with(pod, "CrashLoopBackOff")).await;
    case.finds("memory", &["SP1204"]).await;
    let case = behaving(Course::NeverReady, runs).await;
    case.finds("never ready", &["SP1205"]).await;
    let case = behaving(Course::Fail, |pod| pod["status"]["phase"] == "Failed").await;
    case.finds("failed", &["SP1207"]).await;
    let case = behaving(Course::Evicted, |pod| pod["status"]["phase"] == "Failed").await;
    case.finds("evicted", &["SP1207"]).await;
}

/// Guards that a young sandbox that starts is not a fault.
#[tokio::test]
async fn a_start_is_not_a_fault() {
    for course in [Course::Creating, Course::NeverReady, Course::Unschedulable] {
        let case = Case::start(options(), template()).await;
        case.cluster.set_behaviour(Behaviour::from(course));
        case.create("a").await;
        case.finds(course.as_str(), &[]).await;
    }
}

#[tokio::test]
async fn a_pod_terminates_for_ever() {
    let case = Case::healthy().await;
    let stuck = Some(Behaviour::from(Course::StuckTerminating));
    case.cluster.set_pod_behaviour(NAMESPACE, "sandbox-a", stuck);
    case.change("pods", "sandbox-a", |pod| {
        pod["metadata"]["deletionTimestamp"] = an_hour_ago().into();
        pod["metadata"]["deletionGracePeriodSeconds"] = 30.into();
        pod["metadata"]["finalizers"] = json!(["example.com/hold"]);
    });
    case.finds("terminating", &["SP1206"]).await;
}

#[tokio::test]
async fn foreign_objects_have_the_names() {
    let case = Case::healthy().await;
    case.put(
        "services",
        json!({
            "metadata": {"name": "sandbox-b-svc", "namespace": NAMESPACE}, "spec": {"ports": [{"port": 80}]},
        }),
    );
    case.finds("a foreign Service", &["SP1202"]).await;
}

/// Guards that orphans are found after the grace, and that a young one is not.
#[tokio::test]
async fn orphans_are_found() {
    for (kind, name) in [("pods", "sandbox-a"), ("services", "sandbox-a-svc")] {
        let case = Case::healthy().await;
        case.cluster.remove(kind, NAMESPACE, name).unwrap();
        case.finds("a young orphan", &[]).await;
        let (kind, name) = if kind == "pods" { ("services", "sandbox-a-svc") } else { ("pods", "sandbox-a") };
        case.change(kind, name, |object| {
            object["metadata"]["creationTimestamp"] = an_hour_ago().into();
        });
        case.finds("an orphan", &["SP1201"]).await;
    }
}

/// Guards that a fix deletes orphans after the grace and nothing else: no foreign object, no whole sandbox, no young orphan,
/// nothing without both labels.
#[tokio::test]
async fn a_fix_deletes_only_orphans() {
    let case = Case::healthy().await.with_sandbox("whole").await.with_sandbox("young").await;
    case.age();
    case.create("partly").await;
    case.cluster.remove("services", NAMESPACE, "sandbox-a-svc").unwrap();
    case.cluster.remove("services", NAMESPACE, "sandbox-young-svc").unwrap();
    case.cluster.remove("services", NAMESPACE, "sandbox-partly-svc").unwrap();
    case.change("pods", "sandbox-partly", |pod| {
        pod["metadata"]["creationTimestamp"] = an_hour_ago().into();
        pod["metadata"]["labels"].as_object_mut().unwrap().remove("app");
    });
    let facts = gather(&case.subject, &Selection::default(), TIME).await;
    let fixed = fix(&case.subject, &facts).await.unwrap();
    let objects: Vec<_> = fixed.iter().map(|fixed| (fixed.object.as_str(), fixed.result.is_ok())).collect();
    assert_eq!(objects, [("Pod sandbox-a", true)]);
    let gone = |pods: &[Value]| pods.iter().all(|pod| pod["metadata"]["name"] != "sandbox-a");
    case.cluster.wait_for("pods", Some(NAMESPACE), TIME, gone).await.unwrap();
    assert_eq!(case.cluster.count("pods", Some(NAMESPACE)), 3);
    assert_eq!(case.cluster.count("services", Some(NAMESPACE)), 1);
}

/// Guards that an object that is whole again, or changed, since the facts were gathered is not deleted.
#[tokio::test]
async fn a_fix_looks_again() {
    let case = Case::healthy().await;
    let service = case.cluster.remove("services", NAMESPACE, "sandbox-a-svc").unwrap();
    case.change("pods", "sandbox-a", |pod| pod["metadata"]["creationTimestamp"] = an_hour_ago().into());
    let facts = gather(&case.subject, &Selection::default(), TIME).await;
    case.put("services", service);
    let fixed = fix(&case.subject, &facts).await.unwrap();
    assert!(fixed[0].result.is_err(), "{fixed:?}");
    assert_eq!(case.cluster.count("pods", Some(NAMESPACE)), 1);
}

/// Guards that an orphan beside a foreign object is left alone, and that the reason names the foreign object.
#[tokio::test]
async fn a_fix_names_the_foreign_object() {
    for (removed, kept) in [("services", "pods"), ("pods", "services")] {
        let case = Case::healthy().await;
        case.age();
        let name = if removed == "pods" { "sandbox-a" } else { "sandbox-a-svc" };
        let mut other = case.cluster.remove(removed, NAMESPACE, name).unwrap();
        let facts = gather(&case.subject, &Selection::default(), TIME).await;
        other["metadata"]["labels"] = json!({});
        case.put(removed, other);
        let fixed = fix(&case.subject, &facts).await.unwrap();
        let what = if removed == "pods" { "Pod" } else { "Service" };
        let why = format!("left alone: {what} \"{name}\" is a foreign object");
        assert_eq!(fixed[0].result, Err(why));
        assert_eq!(case.cluster.count(kept, Some(NAMESPACE)), 1);
    }
}

/// Guards that a fix deletes nothing while a daemon runs, which deletes orphans itself.
#[tokio::test]
async fn a_fix_leaves_it_to_the_daemon() {
    let mut case = Case::healthy().await;
    case.cluster.remove("services", NAMESPACE, "sandbox-a-svc").unwrap();
    case.change("pods", "sandbox-a", |pod| pod["metadata"]["creationTimestamp"] = an_hour_ago().into());
    case.subject.daemon.url = doctor::DaemonUrl::of(server(|_| (200, "{}".to_owned())).await);
    let facts = gather(&case.subject, &Selection::default(), TIME).await;
    assert!(fix(&case.subject, &facts).await.unwrap_err().contains("a daemon runs"));
    assert_eq!(case.cluster.count("pods", Some(NAMESPACE)), 1);
}
