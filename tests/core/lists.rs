//! Lists with parameters, and the state of the cluster, on the whole daemon.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simcluster::{Cluster, Effect, Options, Refusal, Rule};
use testkit::{Answer, Daemon, NAMESPACE};

use crate::settings_file::with;

const PROFILES: &str = "
[profiles.default]
labels = { tier = 'small' }

[profiles.default.overrides]
labels = ['team.example.com/']
";

async fn daemon() -> Daemon {
    with(&Cluster::start(Options::with_namespace(NAMESPACE)), PROFILES).await
}

async fn restart(daemon: Daemon) -> Daemon {
    let cluster = daemon.cluster.clone();
    drop(daemon);
    with(&cluster, PROFILES).await
}

async fn create(daemon: &Daemon, id: &str, fields: Value) -> Value {
    let mut body = json!({"sandbox_id": id});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let made = daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    assert_eq!(made.status, 200, "{made}");
    made.body
}

async fn list(daemon: &Daemon, query: &str) -> Vec<String> {
    let list = daemon.fetch(&format!("/api/sandboxes?{query}")).await;
    assert_eq!(list.status, 200, "{list}");
    let sandboxes = list.body["sandboxes"].as_array().unwrap();
    sandboxes.iter().map(|sandbox| sandbox["sandbox_id"].as_str().unwrap().to_owned()).collect()
}

async fn list_after(daemon: &Daemon, tag: &str) -> Answer {
    daemon.send(Method::GET, "/api/sandboxes", &[("if-none-match", tag)], None).await
}

/// Guards that sandboxes are found by the user, the thread and the labels of their POST, also after a restart, and that a
/// sandbox of DeerFlow's provisioner, which does not write them, is not found by user or thread.
#[tokio::test(start_paused = true)]
async fn sandboxes_are_found_by_what_their_create_said() {
    let daemon = daemon().await;
    let fields = json!({"user_id": "alice", "thread_id": "T_1", "labels": {"team.example.com/name": "b"}});
    let made = create(&daemon, "a", fields).await;
    create(&daemon, "b", json!({"user_id": "bob"})).await;
    create(&daemon, "c", json!({})).await;
    let labels = json!({"team.example.com/name": "b", "tier": "small"});
    assert_eq!(
        (&made["user_id"], &made["thread_id"], &made["labels"]),
        (&json!("alice"), &json!("T_1"), &labels)
    );
    let hide = |pod: &mut Value| pod["metadata"]["annotations"] = Value::Null;
    daemon.cluster.change("pods", NAMESPACE, "sandbox-c", hide).unwrap();
    let daemon = restart(daemon).await;
    for (query, ids) in [
        ("user_id=alice", &["a"][..]),
        ("user_id=alice,bob", &["a", "b"]),
        ("thread_id=T_1", &["a"]),
        ("thread_id=b", &["b"]),
        ("user_id=default", &[]),
        ("label=team.example.com/name=b", &["a"]),
        ("label=tier+in+(small),!team.example.com/name", &["b", "c"]),
        ("label=app", &[]),
        ("profile=default&status=Pending,Running", &["a", "b", "c"]),
    ] {
        assert_eq!(list(&daemon, query).await, ids, "{query}");
    }
    assert_eq!(daemon.get("a").await.body["labels"], labels);
}

/// Guards that the tag of a list is that of its content: a touch or a restart of the daemon changes it, and a request that
/// changes nothing does not.
#[tokio::test(start_paused = true)]
async fn a_tag_counts_only_in_its_daemon_and_until_a_change() {
    let daemon = daemon().await;
    create(&daemon, "a", json!({"ttl": "1h", "idle_timeout": "10m"})).await;
    daemon.running("a").await;
    let tag = |answer: &Answer| answer.header("etag").unwrap().to_owned();
    let first = daemon.fetch("/api/sandboxes").await;
    assert_eq!(list_after(&daemon, &tag(&first)).await.status, 304);
    daemon.get("a").await;
    daemon.fetch("/api/clusters").await;
    assert_eq!(list_after(&daemon, &tag(&first)).await.status, 304);

    tokio::time::sleep(Duration::from_secs(60)).await;
    daemon.call(Method::POST, "/api/sandboxes/a/touch", None).await;
    let touched = list_after(&daemon, &tag(&first)).await;
    assert_eq!(touched.status, 200);
    assert_ne!(touched.body["sandboxes"][0]["idle_since"], first.body["sandboxes"][0]["idle_since"]);

    let daemon = restart(daemon).await;
    let restarted = list_after(&daemon, &tag(&touched)).await;
    assert_eq!(restarted.status, 200);
    assert_ne!(tag(&restarted), tag(&touched));
}

/// Guards that a stream of events that begins at the version of a list has exactly the changes after the list.
#[tokio::test(start_paused = true)]
async fn a_stream_continues_a_list() {
    let daemon = daemon().await;
    create(&daemon, "a", json!({})).await;
    daemon.running("a").await;
    let version = daemon.fetch("/api/sandboxes?limit=10").await.body["version"].as_str().unwrap().to_owned();
    daemon.delete("a").await;
    let mut events =
        daemon.events("/api/events", Some(&version)).await.map_err(|answer| answer.to_string()).unwrap();
    let told = events.until("synced").await;
    assert!(told.iter().all(|event| !event.starts_with("added")), "{told:?}");
    assert!(told.iter().any(|event| event.starts_with("deleted a")), "{told:?}");
}

/// Guards that the state of the cluster shows its version, its sandboxes and since when they are known, and that an outage
/// is shown as the problem that it is.
#[tokio::test(start_paused = true)]
async fn the_cluster_is_shown_with_its_outage() {
    let daemon = daemon().await;
    create(&daemon, "a", json!({})).await;
    daemon.running("a").await;
    let cluster = daemon.fetch("/api/clusters").await.body["clusters"][0].clone();
    assert_eq!((&cluster["name"], &cluster["ready"]), (&json!("default"), &json!(true)), "{cluster}");
    assert!(cluster["version"].as_str().unwrap().starts_with("v1."), "{cluster}");
    assert_eq!(cluster["sandboxes"], json!({"count": 1, "ready": 1, "by_status": {"Running": 1}}));
    assert_eq!(cluster["creates"]["room"], 1024);
    assert_eq!(cluster["problems"], json!([]));
    let since = cluster["fresh_since"].as_str().unwrap().to_owned();

    daemon.cluster.fault(Rule::new(Effect::Refuse(Refusal::Forbidden)));
    tokio::time::sleep(Duration::from_secs(120)).await;
    let away = daemon.fetch("/api/clusters").await;
    assert_eq!(away.status, 200);
    let cluster = &away.body["clusters"][0];
    assert_eq!((&cluster["ready"], &cluster["fresh_since"]), (&json!(false), &Value::Null));
    assert_eq!(cluster["sandboxes"]["count"], 1, "as it was observed last");
    let problems: Vec<_> =
        cluster["problems"].as_array().unwrap().iter().map(|problem| problem["check"].clone()).collect();
    assert!(
        problems.contains(&json!("watch-pods")) && problems.contains(&json!("watch-services")),
        "{cluster}"
    );

    daemon.cluster.clear_faults();
    daemon.until_ready().await;
    let cluster = daemon.fetch("/api/clusters").await.body["clusters"][0].clone();
    assert_eq!(cluster["ready"], true, "{cluster}");
    assert!(*cluster["fresh_since"].as_str().unwrap() > *since, "{cluster}, before: {since}");
}
