//! Tests of concurrent requests.

use std::collections::HashSet;

use futures::future::join_all;

use testkit::{Daemon, until};

/// Guards that 200 concurrent POSTs of one id create one Pod and one Service, and that all return the same URL.
#[tokio::test]
async fn two_hundred_posts_of_one_id() {
    let daemon = Daemon::listening().await;
    let client = daemon.client();
    let answers = join_all((0..200).map(|_| client.post("a"))).await;
    let urls: HashSet<_> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.body["sandbox_url"].to_string()
        })
        .collect();
    assert_eq!(urls.len(), 1, "{urls:?}");
    assert_eq!(daemon.calls(), ["create pods sandbox-a", "create services sandbox-a-svc"]);
    assert_eq!(daemon.objects(), ["pods sandbox-a", "services sandbox-a-svc"]);
}

/// Guards that concurrent POSTs and DELETEs of one id end with a complete sandbox or with none, as the last request
/// asks.
#[tokio::test]
async fn posts_against_deletes() {
    let daemon = Daemon::listening().await;
    let client = daemon.client();
    for _ in 0..5 {
        let calls = (0..20).map(|n| {
            let client = &client;
            async move { if n % 2 == 0 { client.post("a").await } else { client.delete("a").await } }
        });
        for answer in join_all(calls).await {
            let fine = [200, 409, 503];
            assert!(fine.contains(&answer.status), "{answer:?}");
        }
    }
    assert_eq!(client.post("a").await.status, 200);
    assert_eq!(daemon.objects(), ["pods sandbox-a", "services sandbox-a-svc"]);
    assert_eq!(client.delete("a").await.status, 200);
    assert_eq!(client.get("a").await.status, 404);
    until("all is gone", async || daemon.objects().is_empty()).await;
}

/// Invariant 4: guards that a POST during the old Pod's termination waits for its end and creates a new Pod.
#[tokio::test]
async fn a_post_after_a_delete_gives_a_new_pod() {
    let daemon = Daemon::listening().await;
    let client = daemon.client();
    client.post("a").await;
    client.until_phase("a", "Running").await;
    let uid = |daemon: &Daemon| daemon.cluster.objects("pods", None)[0]["metadata"]["uid"].clone();
    let old = uid(&daemon);
    assert_eq!(client.delete("a").await.status, 200);
    assert_eq!(client.post("a").await.status, 200);
    assert_ne!(uid(&daemon), old);
    assert_eq!(daemon.objects(), ["pods sandbox-a", "services sandbox-a-svc"]);
}
