//! Watches: their events, their bookmarks, and their ends.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::client::{Watch, call, create, delete, pod, still_cluster};

/// Guards that a watch without a version first shows what there is.
#[tokio::test(start_paused = true)]
async fn a_watch_without_a_version_begins_with_the_present() {
    let cluster = still_cluster();
    create(&cluster, &pod("a")).await;
    let mut watch = Watch::open(&cluster, "").await;
    assert_eq!(watch.line().await, ("ADDED".into(), "a".into()));
    create(&cluster, &pod("b")).await;
    assert_eq!(watch.line().await, ("ADDED".into(), "b".into()));
}

/// Guards that a watch with a selector reports an object that starts to match as ADDED, and one that stops as DELETED.
#[tokio::test(start_paused = true)]
async fn a_selector_makes_objects_come_and_go() {
    let cluster = still_cluster();
    let query = format!("resourceVersion={}&labelSelector=seen", cluster.version());
    let mut watch = Watch::open(&cluster, &query).await;
    create(&cluster, &pod("a")).await;
    for (value, expected) in [(json!("1"), "ADDED"), (json!("2"), "MODIFIED"), (json!(null), "DELETED")] {
        call(&cluster, "PATCH", "pods/a", &json!({"metadata": {"labels": {"seen": value}}})).await;
        assert_eq!(watch.line().await, (expected.into(), "a".into()));
    }
    call(&cluster, "PATCH", "pods/a", &json!({"metadata": {"labels": {"seen": "1"}}})).await;
    delete(&cluster, "pods/a").await;
    let kinds = [watch.line().await.0, watch.line().await.0, watch.line().await.0];
    assert_eq!(kinds, ["ADDED", "MODIFIED", "DELETED"]);
}

/// Guards freshness: a quiet watch says once a minute, and at its end, how far it has come.
#[tokio::test(start_paused = true)]
async fn a_quiet_watch_sends_bookmarks() {
    let cluster = still_cluster();
    let query = format!("resourceVersion={}&allowWatchBookmarks=true&timeoutSeconds=100", cluster.version());
    let mut watch = Watch::open(&cluster, &query).await;
    let start = Instant::now();
    assert_eq!(watch.line().await.0, "BOOKMARK");
    assert_eq!(start.elapsed(), Duration::from_secs(60));
    cluster.make_namespace("other");
    let last = watch.next().await.unwrap().unwrap();
    assert_eq!(last["object"]["metadata"]["resourceVersion"], cluster.version().to_string());
    assert_eq!(watch.next().await, None);
    assert_eq!(start.elapsed(), Duration::from_secs(100));
}
