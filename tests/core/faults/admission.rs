//! Tests of admission webhooks that are slow, and of those that change our objects.

use std::time::Duration;

use serde_json::{Value, json};
use simcluster::{Effect, Rule, Verb};
use testkit::{Daemon, NAMESPACE};
use tokio::time::sleep;

use super::recovered;

/// A wait longer than the grace of an orphan.
const GRACE_OVER: Duration = Duration::from_secs(70);

/// A wait longer than the pause between two full lists.
const LISTED_AGAIN: Duration = Duration::from_secs(310);

/// Returns the rule of a webhook that takes this long for this verb.
fn slow(verb: Verb, seconds: u64) -> Rule {
    Rule::new(Effect::Delay(Duration::from_secs(seconds))).verb(verb)
}

/// Counts the calls with this verb.
fn count(daemon: &Daemon, verb: Verb) -> usize {
    daemon.cluster.calls().into_iter().filter(|call| call.verb == verb).count()
}

/// Guards that with a slow webhook a sandbox is created with one write for each object, as long as its caller waits.
#[tokio::test(start_paused = true)]
async fn a_webhook_that_takes_its_time() {
    for seconds in [3, 9, 15, 20] {
        let daemon = Daemon::start().await;
        daemon.cluster.fault(slow(Verb::Create, seconds));
        let before = count(&daemon, Verb::Create);
        let made = daemon.post("a").await;
        assert_eq!(made.status, 200, "{seconds}: {made}");
        assert_eq!(made.took.as_secs(), seconds);
        assert_eq!(count(&daemon, Verb::Create) - before, 2, "{seconds}");
        assert_eq!(daemon.objects(), ["pods sandbox-a", "services sandbox-a-svc"]);
    }
}

/// Guards that the error names a webhook that is slower than callers wait, that the create leaves nothing behind, and
/// that a create succeeds as soon as the webhook is faster.
#[tokio::test(start_paused = true)]
async fn a_webhook_slower_than_callers_wait() {
    for resource in ["pods", "services"] {
        let daemon = Daemon::start().await;
        daemon.cluster.fault(slow(Verb::Create, 30).resource(resource));
        let failed = daemon.post("a").await;
        assert!(failed.took < Duration::from_secs(25), "{:?}", failed.took);
        let operation = if resource == "pods" { "Pod creation" } else { "Service creation" };
        assert_eq!(
            failed.to_string(),
            format!(
                "504 after 5 s | TimedOut | {operation} was not answered by the API server within 22 s, as when an \
                 admission webhook is slow; created objects will be deleted; try again in 5 s"
            )
        );
        assert_eq!(daemon.get("a").await.status, 404);
        recovered("nothing is left", async || daemon.objects().is_empty()).await;
        daemon.cluster.clear_faults();
        daemon.running("a").await;
    }
}

/// Guards that a delete of any length comes to its end, with a caller and without one, and costs one write for each
/// object.
#[tokio::test(start_paused = true)]
async fn a_delete_that_takes_its_time() {
    for (seconds, status) in [(9, 200), (20, 504), (40, 504)] {
        let daemon = Daemon::start().await;
        daemon.running("a").await;
        daemon.cluster.fault(slow(Verb::Delete, seconds));
        let deleted = daemon.delete("a").await;
        assert_eq!(deleted.status, status, "{deleted}");
        assert!(deleted.took < Duration::from_secs(13), "{:?}", deleted.took);
        if status == 504 {
            assert_eq!(
                deleted.to_string(),
                "504 after 5 s | TimedOut | Sandbox deletion did not end within 11 s and goes on: ask again in 5 s"
            );
        }
        recovered("it is gone", async || daemon.objects().is_empty()).await;
        assert_eq!(count(&daemon, Verb::Delete), 2, "{seconds}");
    }
}

/// Guards that a slow webhook delays only the sandbox that waits for it: another one is answered at once.
#[tokio::test(start_paused = true)]
async fn a_slow_webhook_delays_no_other() {
    let daemon = Daemon::start().await;
    daemon.running("b").await;
    daemon.cluster.fault(slow(Verb::Create, 15));
    let (made, other) = tokio::join!(daemon.post("a"), async {
        sleep(Duration::from_secs(1)).await;
        (daemon.get("b").await, daemon.post("b").await, daemon.delete("b").await)
    });
    assert_eq!(made.status, 200);
    for answer in [other.0, other.1, other.2] {
        assert_eq!((answer.status, answer.took.as_secs()), (200, 0), "{answer}");
    }
}

/// Guards that objects that a mutating admission makes unusable are refused with the field, and deleted at once, and
/// that nothing runs on unseen.
#[tokio::test(start_paused = true)]
async fn a_mutation_that_breaks_a_sandbox() {
    let label = |label: &str| format!("metadata.labels[{label:?}] (now absent)");
    for (resource, patch, field) in [
        (
            "pods",
            json!({"metadata": {"labels": {"app": null, "sandbox-id": null, "team": "x"}}}),
            label("app"),
        ),
        ("pods", json!({"metadata": {"labels": {"sandbox-id": null}}}), label("sandbox-id")),
        ("services", json!({"metadata": {"labels": null}}), label("app")),
        (
            "services",
            json!({"spec": {"selector": {"version": "v1"}}}),
            "spec.selector (now {\"sandbox-id\": \"a\", \"version\": \"v1\"})".to_owned(),
        ),
        ("services", json!({"spec": {"type": "ClusterIP"}}), "spec.type (now \"ClusterIP\")".to_owned()),
        ("pods", json!({"metadata": {"name": "x-a"}}), "metadata.name (now \"x-a\")".to_owned()),
        ("services", json!({"metadata": {"name": "x-a"}}), "metadata.name (now \"x-a\")".to_owned()),
    ] {
        let daemon = Daemon::start().await;
        daemon.cluster.fault(Rule::new(Effect::Mutate(patch.clone())).verb(Verb::Create).resource(resource));
        let refused = daemon.post("a").await;
        let (operation, object) = match resource {
            "pods" => ("Pod creation", "Pod \"sandbox-a\""),
            _ => ("Service creation", "Service \"sandbox-a-svc\""),
        };
        assert_eq!(
            refused.to_string(),
            format!(
                "500 | Mutated | {operation} failed: Mutated (a mutating admission has changed {field} of {object}; \
                 exclude the namespace of the sandboxes from it)"
            ),
            "{patch}"
        );
        assert_eq!(daemon.get("a").await.status, 404);
        recovered("nothing is left", async || daemon.objects().is_empty()).await;
        assert!(count(&daemon, Verb::Delete) <= 3, "{patch}");
        daemon.cluster.clear_faults();
        daemon.running("a").await;
    }
}

/// Guards that a mutation that leaves what the daemon relies on, such as an injected container, does not matter.
#[tokio::test(start_paused = true)]
async fn a_harmless_mutation() {
    let daemon = Daemon::start().await;
    let patch = json!({"metadata": {"labels": {"team": "x"}, "annotations": {"injected": "yes"}}});
    daemon.cluster.fault(Rule::new(Effect::Mutate(patch)));
    daemon.running("a").await;
    sleep(LISTED_AGAIN).await;
    assert_eq!(daemon.get("a").await.body["status"], "Running");
}

/// Guards that a Pod in use is never deleted because the labels of its Service were changed, whether by hand or by an
/// admission at an update, and that a Service is never deleted because those of its Pod were. A restart knows no less.
#[tokio::test(start_paused = true)]
async fn changed_labels_make_no_orphan() {
    for (resource, name) in [("pods", "sandbox-a"), ("services", "sandbox-a-svc")] {
        for labels in [json!({}), json!({"app": "x", "sandbox-id": "a"}), json!({"app": "deer-flow-sandbox"})]
        {
            let mut daemon = Daemon::start().await;
            daemon.running("a").await;
            let relabel = |object: &mut Value| object["metadata"]["labels"] = labels.clone();
            daemon.cluster.change(resource, NAMESPACE, name, relabel).unwrap();
            for _ in 0..2 {
                sleep(LISTED_AGAIN + GRACE_OVER).await;
                assert_eq!(daemon.objects(), ["pods sandbox-a", "services sandbox-a-svc"], "{name} {labels}");
                daemon.restart().await;
            }
            let restore = |object: &mut Value| {
                object["metadata"]["labels"] = json!({"app": "deer-flow-sandbox", "sandbox-id": "a"});
            };
            daemon.cluster.change(resource, NAMESPACE, name, restore).unwrap();
            recovered("it is the same sandbox", async || daemon.get("a").await.body["status"] == "Running")
                .await;
        }
    }
}
