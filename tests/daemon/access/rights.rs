//! Tests of the daemon's permissions, and of the messages when one is missing.

use std::{collections::BTreeSet, time::Duration};

use http::Method;
use serde_json::{Value, json};
use simcluster::{Effect, Rule, Verb};
use testkit::{Answer, Client, NAMESPACE, until};

use super::guarded::{ACCOUNT, Guarded, objects, powerless};

/// More than the default of the staleness limit.
const STALENESS_LIMIT: Duration = Duration::from_secs(120);

/// Guards that the shipped role has every permission that the daemon uses, and no other.
#[tokio::test]
async fn the_shipped_role_is_enough_and_no_more() {
    let guarded = Guarded::shipped().await;
    // The answers get lost, so that the daemon must read the objects.
    for resource in ["pods", "services"] {
        guarded.cluster.fault(Rule::new(Effect::DropAnswer).verb(Verb::Create).resource(resource).times(1));
    }
    let daemon = guarded.daemon(&guarded.token(ACCOUNT)).await;
    daemon.until_ready().await;
    for id in ["a", "b"] {
        let made = daemon.post(id).await;
        assert_eq!(made.status, 200, "{made:?}");
        daemon.until_phase(id, "Running").await;
    }
    assert_eq!(daemon.fetch("/api/sandboxes").await.body["count"], 2);
    // One is deleted. The other gets a limit and is reaped.
    let limited = daemon.call(Method::PATCH, "/api/sandboxes/b", Some(json!({"ttl": "1s"}))).await;
    assert_eq!(limited.status, 200, "{limited:?}");
    let gone = daemon.delete("a").await;
    assert_eq!(gone.status, 200, "{gone:?}");
    until("all is gone", async || guarded.cluster.count("pods", Some(NAMESPACE)) == 0).await;
    let reports = |event: &Value| event["reason"] == "TTLExpired";
    until("an Event reports it", async || guarded.cluster.objects("events", None).iter().any(reports)).await;
    let _ = daemon.stop().await;

    assert_eq!(guarded.refused(), [""; 0], "missing in the role");
    let used: BTreeSet<String> =
        guarded.cluster.calls().iter().map(|call| format!("{} {}", call.verb, call.resource)).collect();
    let unused: Vec<_> = granted().into_iter().filter(|right| !used.contains(right)).collect();
    assert_eq!(unused, [""; 0], "granted and never used");
}

/// Guards that the metrics show when the token of a service account ends, and when it was issued.
#[tokio::test]
async fn the_end_of_a_token_is_shown() {
    let guarded = Guarded::shipped().await;
    let daemon = guarded.daemon(&guarded.token(ACCOUNT)).await;
    daemon.until_ready().await;
    let scrape = daemon.fetch("/metrics").await.text();
    let value = |name: &str| -> i64 {
        let name = format!(
            "sandbox_provisioner_credential_{name}_seconds{{cluster=\"default\",credential=\"token\"}} "
        );
        scrape.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    };
    assert_eq!(value("lifetime"), 3600);
    let left = value("expiry_timestamp") - jiff::Timestamp::now().as_second();
    assert!((3500..=3600).contains(&left), "{left}");
}

/// Guards that without the role the daemon runs unready, and that `/readyz` and answers name the missing permission.
#[tokio::test]
async fn without_the_role_it_says_what_is_missing() {
    let guarded = Guarded::shipped().await;
    guarded.create(&powerless()).await;
    let daemon = guarded.daemon(&guarded.token("powerless")).await;
    let unready = until_unready(&daemon, "cannot list resource").await;
    let user = "system:serviceaccount:sandbox-provisioner:powerless";
    assert!(unready.contains("[-]watch-pods") && unready.contains(user), "{unready}");
    assert_eq!(daemon.fetch("/livez").await.status, 200);
    let refused = daemon.post("a").await;
    assert!(says(&refused, "forbidden"), "{refused:?}");
    assert_eq!(guarded.cluster.count("pods", None), 0);
}

/// Guards that after permissions are revoked known state is still served and errors are clear, and that the daemon
/// recovers by itself when they are granted again.
#[tokio::test]
async fn rights_that_go_and_come_back() {
    let guarded = Guarded::shipped().await;
    let daemon = guarded.daemon(&guarded.token(ACCOUNT)).await;
    daemon.until_ready().await;
    assert_eq!(daemon.post("a").await.status, 200);
    daemon.until_phase("a", "Running").await;

    let binding = guarded.cluster.remove("rolebindings", NAMESPACE, ACCOUNT).unwrap();
    let refused = daemon.post("b").await;
    assert!(says(&refused, "cannot create resource"), "{refused:?}");
    assert!(refused.status >= 400, "{refused:?}");
    // As on a real API server, an open watch continues without permission.
    guarded.cluster.cut_watches();
    pass_the_staleness_limit(&guarded, "list pods").await;
    until_unready(&daemon, "is forbidden").await;

    guarded.cluster.put("rolebindings", binding).unwrap();
    daemon.until_ready().await;
    assert_eq!(daemon.get("a").await.body["status"], "Running");
    assert_eq!(daemon.post("b").await.status, 200);
}

/// Guards that the message for an expired token differs from that for a missing permission.
#[tokio::test]
async fn an_expired_token_is_reported() {
    let guarded = Guarded::shipped().await;
    let daemon = guarded.daemon(&guarded.token(ACCOUNT)).await;
    daemon.until_ready().await;
    guarded.cluster.remove("serviceaccounts", super::guarded::HOME, ACCOUNT).unwrap();
    let refused = daemon.post("b").await;
    assert!(says(&refused, "Unauthorized") && !says(&refused, "forbidden"), "{refused:?}");
    guarded.cluster.cut_watches();
    pass_the_staleness_limit(&guarded, "list services").await;
    until_unready(&daemon, "Unauthorized").await;
}

fn says(answer: &Answer, words: &str) -> bool {
    answer.body["detail"].as_str().is_some_and(|detail| detail.contains(words))
}

/// Waits until the watch is rejected, then advances the clock past the staleness limit.
async fn pass_the_staleness_limit(guarded: &Guarded, call: &str) {
    until(&format!("{call} is refused"), async || guarded.refused().iter().any(|refused| refused == call))
        .await;
    tokio::time::pause();
    tokio::time::advance(STALENESS_LIMIT).await;
    tokio::time::resume();
}

/// Waits until `/readyz` fails with these words, and returns its text.
async fn until_unready(client: &Client, words: &str) -> String {
    let mut said = String::new();
    until(&format!("readiness says {words:?}"), async || {
        let answer = client.fetch("/readyz?verbose").await;
        said = answer.text();
        answer.status == 503 && said.contains(words)
    })
    .await;
    said
}

/// Returns each permission of the shipped roles, as `list pods`.
fn granted() -> BTreeSet<String> {
    let list = |value: &Value| {
        let items = value.as_array().unwrap().iter();
        items.map(|item| item.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut rights = BTreeSet::new();
    for role in objects() {
        for rule in role["rules"].as_array().into_iter().flatten() {
            for verb in list(&rule["verbs"]) {
                rights.extend(list(&rule["resources"]).iter().map(|resource| format!("{verb} {resource}")));
            }
        }
    }
    assert!(rights.len() > 5, "{rights:?}");
    rights
}
