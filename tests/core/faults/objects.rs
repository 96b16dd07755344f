//! Tests of rejected creates, foreign objects and manual changes.

use std::time::Duration;

use serde_json::{Value, json};
use simcluster::{Cluster, Effect, Options, Refusal, Rule, Verb};
use tokio::time::sleep;

use testkit::{Daemon, NAMESPACE};

use super::recovered;

/// A wait longer than the grace of an orphan.
const GRACE_OVER: Duration = Duration::from_secs(70);

fn quota(hard: &Value) -> Value {
    json!({"metadata": {"namespace": NAMESPACE, "name": "q"}, "spec": {"hard": hard}})
}

/// Guards that if a webhook rejects the Pod or the Service, the other object is deleted at once. Both are written at
/// the same time.
#[tokio::test(start_paused = true)]
async fn a_webhook_that_refuses() {
    for (resource, operation) in [("pods", "Pod creation"), ("services", "Service creation")] {
        let daemon = Daemon::start().await;
        let message = "admission webhook \"policy.example\" denied the request: not here".to_owned();
        let refusal = Refusal::Other { code: 403, reason: "Forbidden".into(), message };
        daemon.cluster.fault(Rule::new(Effect::Refuse(refusal)).verb(Verb::Create).resource(resource));
        let expected = format!(
            "500 | Denied | {operation} failed: Denied (admission webhook \"policy.example\" denied the request: not here)"
        );
        assert_eq!(daemon.post("a").await.to_string(), expected);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(daemon.objects(), [""; 0]);
        assert_eq!(daemon.get("a").await.status, 404);
        assert!(daemon.logged("WARN").contains("denied the request"), "{}", daemon.logged(""));
        daemon.cluster.clear_faults();
        daemon.running("a").await;
    }
}

/// Guards that an exceeded quota for either object is a 503 that names it, and that a create succeeds after a DELETE.
#[tokio::test(start_paused = true)]
async fn a_quota_that_is_used_up() {
    for (hard, expected) in [
        (
            json!({"pods": "1"}),
            "503 after 5 s | QuotaExceeded | Pod creation failed for now: QuotaExceeded (pods \"sandbox-a\" is forbidden: \
             exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1); try again in 5 s",
        ),
        (
            json!({"services": "1"}),
            "503 after 5 s | QuotaExceeded | Service creation failed for now: QuotaExceeded (services \"sandbox-a-svc\" is \
             forbidden: exceeded quota: q, requested: services=1, used: services=1, limited: services=1); try again in 5 s",
        ),
    ] {
        let daemon = Daemon::start().await;
        daemon.cluster.put("resourcequotas", quota(&hard)).unwrap();
        daemon.running("b").await;
        assert_eq!(daemon.post("a").await.to_string(), expected);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(daemon.objects(), ["pods sandbox-b", "services sandbox-b-svc"]);
        assert!(daemon.logged("WARN").contains("exceeded quota"), "{}", daemon.logged(""));
        assert_eq!(daemon.delete("b").await.status, 200);
        recovered("there is room", async || daemon.post("a").await.status == 200).await;
    }
}

/// Guards that the API server's 500 "range is full" is reported as a 503 with its meaning, and that a create succeeds
/// after a DELETE.
#[tokio::test(start_paused = true)]
async fn node_ports_that_are_used_up() {
    let options = Options { node_ports: 30000..=30000, ..Options::with_namespace(NAMESPACE) };
    let daemon = Daemon::on(Cluster::start(options)).await;
    daemon.until_ready().await;
    daemon.running("b").await;
    assert_eq!(
        daemon.post("a").await.to_string(),
        "503 after 5 s | NodePortsExhausted | Service creation failed for now: NodePortsExhausted (Internal error \
         occurred: failed to allocate a nodePort: range is full); try again in 5 s"
    );
    sleep(Duration::from_secs(1)).await;
    assert_eq!(daemon.objects(), ["pods sandbox-b", "services sandbox-b-svc"]);
    assert!(daemon.logged("WARN").contains("NodePortsExhausted"), "{}", daemon.logged(""));
    assert_eq!(daemon.delete("b").await.status, 200);
    recovered("there is room", async || daemon.post("a").await.status == 200).await;
}

/// Guards that a POST returns 200 if a create succeeded but its answer was lost, because the daemon reads the object.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost() {
    for (effect, at_most) in [(Effect::DropAnswer, 1), (Effect::HangAnswer, 9)] {
        for resource in ["pods", "services"] {
            let daemon = Daemon::start().await;
            daemon.cluster.fault(Rule::new(effect.clone()).verb(Verb::Create).resource(resource).times(1));
            let made = daemon.post("a").await;
            assert_eq!(made.status, 200, "{effect:?} {resource}: {made}");
            assert!(made.took <= Duration::from_secs(at_most), "{effect:?} {resource}: {:?}", made.took);
            assert_eq!(daemon.objects(), ["pods sandbox-a", "services sandbox-a-svc"]);
        }
    }
}

/// Guards that a sandbox whose Pod a finalizer holds is gone for callers, that a POST of its id waits and then reports
/// the termination, and that the id is usable again once the finalizer is removed.
#[tokio::test(start_paused = true)]
async fn a_finalizer_that_holds() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    let finalizers = |value: Value| {
        let change = |pod: &mut Value| pod["metadata"]["finalizers"] = value;
        daemon.cluster.change("pods", NAMESPACE, "sandbox-a", change).unwrap();
    };
    finalizers(json!(["example.com/hold"]));
    assert_eq!(daemon.delete("a").await.status, 200);
    assert_eq!(daemon.get("a").await.status, 404);
    for _ in 0..3 {
        let held = daemon.post("a").await;
        assert_eq!(
            held.to_string(),
            "503 after 5 s | StillTerminating | Sandbox 'a' is still terminating; try again in 5 s"
        );
        assert!(held.took >= Duration::from_secs(20), "it waits for the end: {:?}", held.took);
        assert_eq!(daemon.objects(), ["pods sandbox-a"], "no Service is made for a Pod that goes");
    }
    assert!(daemon.logged("WARN").contains("still terminating"), "{}", daemon.logged(""));
    finalizers(Value::Null);
    daemon.running("a").await;
}

/// Guards that a foreign object with the name of the Pod or the Service is a 409 that names it. It is never deleted,
/// and the other object is removed.
#[tokio::test(start_paused = true)]
async fn a_foreign_object() {
    let theirs =
        |name: &str, spec: Value| json!({"metadata": {"namespace": NAMESPACE, "name": name}, "spec": spec});
    for (resource, object, what) in [
        (
            "pods",
            theirs("sandbox-a", json!({"containers": [{"name": "c", "image": "i"}]})),
            "Pod \"sandbox-a\"",
        ),
        ("services", theirs("sandbox-a-svc", json!({"ports": [{"port": 80}]})), "Service \"sandbox-a-svc\""),
    ] {
        let daemon = Daemon::start().await;
        daemon.cluster.put(resource, object.clone()).unwrap();
        let expected = format!(
            "409 | NotOurs | Sandbox 'a' cannot be made: {what} is not managed by this service; choose another sandbox_id"
        );
        assert_eq!(daemon.post("a").await.to_string(), expected);
        assert_eq!(daemon.delete("a").await.status, 200, "there is nothing of ours");
        sleep(GRACE_OVER).await;
        let name = object["metadata"]["name"].as_str().unwrap();
        assert_eq!(daemon.objects(), [format!("{resource} {name}")]);
        assert!(
            !daemon
                .cluster
                .calls()
                .iter()
                .any(|call| { call.verb == Verb::Delete && call.name.as_deref() == Some(name) })
        );
    }
}

/// Guards that an object that is deleted manually makes the sandbox a 404 at once, and that the orphan is removed.
#[tokio::test(start_paused = true)]
async fn a_half_deleted_by_hand() {
    for (resource, name, then) in [
        ("pods", "sandbox-a", "404 | NotFound | Sandbox 'a' not found"),
        ("services", "sandbox-a-svc", "404 | NotFound | Sandbox 'a' not found"),
    ] {
        let daemon = Daemon::start().await;
        daemon.running("a").await;
        daemon.cluster.remove(resource, NAMESPACE, name).unwrap();
        let took = recovered(then, async || daemon.get("a").await.to_string() == then).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        sleep(GRACE_OVER).await;
        assert_eq!(daemon.objects(), [""; 0], "an orphan goes after its grace");
        assert_eq!(daemon.get("a").await.status, 404);
        daemon.running("a").await;
    }
}

/// Guards that a Pod whose label is changed manually becomes a foreign object: it is not touched, its Service is kept,
/// because it may be in use, and its name is in use.
#[tokio::test(start_paused = true)]
async fn a_pod_relabelled_for_good() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    let relabel = |pod: &mut Value| pod["metadata"]["labels"]["app"] = json!("quarantine");
    daemon.cluster.change("pods", NAMESPACE, "sandbox-a", relabel).unwrap();
    recovered("it is noticed", async || daemon.get("a").await.body["status"] == "NotFound").await;
    let taken = daemon.post("a").await;
    assert_eq!(
        taken.to_string(),
        "409 | NotOurs | Sandbox 'a' cannot be made: Pod \"sandbox-a\", whose labels have been changed, is not managed \
         by this service; choose another sandbox_id"
    );
    sleep(GRACE_OVER).await;
    assert_eq!(daemon.objects(), ["pods sandbox-a", "services sandbox-a-svc"]);
    assert_eq!(daemon.get("a").await.status, 404);
    assert_eq!(daemon.delete("a").await.status, 200);
    assert_eq!(daemon.objects(), ["pods sandbox-a"], "a DELETE takes what has our labels");
}

/// Guards that no sandbox has the Services of others in its environment, where Kubernetes puts them unless told not to.
#[tokio::test(start_paused = true)]
async fn services_are_not_in_the_environment() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    let pod = daemon.cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    assert_eq!(pod["spec"]["enableServiceLinks"], false);
}
