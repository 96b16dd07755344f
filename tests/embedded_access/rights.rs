//! What the daemon may do, and what it says when it may not.

use std::{collections::BTreeSet, time::Duration};

use http::Method;
use serde_json::{Value, json};
use simcluster::{Effect, Rule, Verb};
use testkit::{Answer, Client, NAMESPACE, until};

use super::guarded::{ACCOUNT, Guarded, objects, powerless};

/// More than the default of the setting.
const STALENESS_LIMIT: Duration = Duration::from_secs(120);

/// All of its work is done under the shipped role, nothing that it asks for is refused, and each right in the
/// role is one that it uses.
#[tokio::test]
async fn the_shipped_role_is_enough_and_no_more() {
    let guarded = Guarded::shipped().await;
    // Answers that get lost: it has to look whether its creates took effect.
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
    // The one is deleted, the other is given a limit and reaped.
    let limited = daemon.call(Method::PATCH, "/api/sandboxes/b", Some(json!({"ttl": "1s"}))).await;
    assert_eq!(limited.status, 200, "{limited:?}");
    let gone = daemon.delete("a").await;
    assert_eq!(gone.status, 200, "{gone:?}");
    until("all is gone", async || guarded.cluster.count("pods", Some(NAMESPACE)) == 0).await;
    let told = |event: &Value| event["reason"] == "TTLExpired";
    until("it is told why", async || guarded.cluster.objects("events", None).iter().any(told)).await;
    let _ = daemon.stop().await;

    assert_eq!(guarded.refused(), [""; 0], "what the role lacks");
    let used: BTreeSet<String> =
        guarded.cluster.calls().iter().map(|call| format!("{} {}", call.verb, call.resource)).collect();
    let unused: Vec<_> = granted().into_iter().filter(|right| !used.contains(right)).collect();
    assert_eq!(unused, [""; 0], "what the role grants and nobody needs");
}

/// Without the role: it runs, is not ready, and says in both places what is forbidden to whom.
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

/// Rights that are taken away while it runs, and given back: what it knows it still tells, what it cannot do it
/// refuses in clear words, and it comes good by itself.
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
    // An open watch outlives the right to it, here as there.
    guarded.cluster.cut_watches();
    outlive_what_is_known(&guarded, "list pods").await;
    until_unready(&daemon, "is forbidden").await;

    guarded.cluster.put("rolebindings", binding).unwrap();
    daemon.until_ready().await;
    assert_eq!(daemon.get("a").await.body["status"], "Running");
    assert_eq!(daemon.post("b").await.status, 200);
}

/// A token that has ended is told from a right that is missing.
#[tokio::test]
async fn a_token_that_ends_is_told() {
    let guarded = Guarded::shipped().await;
    let daemon = guarded.daemon(&guarded.token(ACCOUNT)).await;
    daemon.until_ready().await;
    guarded.cluster.remove("serviceaccounts", super::guarded::HOME, ACCOUNT).unwrap();
    let refused = daemon.post("b").await;
    assert!(says(&refused, "Unauthorized") && !says(&refused, "forbidden"), "{refused:?}");
    guarded.cluster.cut_watches();
    outlive_what_is_known(&guarded, "list services").await;
    until_unready(&daemon, "Unauthorized").await;
}

fn says(answer: &Answer, words: &str) -> bool {
    answer.body["detail"].as_str().is_some_and(|detail| detail.contains(words))
}

/// Waits until the watch was refused, and then until what it told before counts no longer: the clock is set forward.
async fn outlive_what_is_known(guarded: &Guarded, call: &str) {
    until(&format!("{call} is refused"), async || guarded.refused().iter().any(|refused| refused == call))
        .await;
    tokio::time::pause();
    tokio::time::advance(STALENESS_LIMIT).await;
    tokio::time::resume();
}

/// Waits until readiness fails with these words, and returns all that it says.
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

/// Each right of the shipped roles, as `list pods`.
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
