//! Streams of events: the changes that they show, their resumption and their end.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simcluster::{Cluster, Course, NodeOptions, Options};
use testkit::{Daemon, Event, Events, NAMESPACE, Setup};
use tokio::time::{Instant, sleep, timeout};

const ALL: &str = "/api/events";

fn of(id: &str) -> String {
    format!("/api/sandboxes/{id}/events")
}

/// Starts a daemon whose sandboxes boot in this time.
async fn daemon(variables: &[(&str, &str)]) -> Daemon {
    let node = Some(NodeOptions::default());
    let cluster = Cluster::start(Options { node, ..Options::with_namespace(NAMESPACE) });
    Setup::new(variables).cluster(cluster).start().await.ready().await
}

async fn open(daemon: &Daemon, path: &str, after: Option<&str>) -> Events {
    daemon.events(path, after).await.map_err(|answer| answer.to_string()).unwrap()
}

/// Opens a stream, and returns it with its first events.
async fn begin(daemon: &Daemon, path: &str, after: Option<&str>) -> (Events, Vec<String>) {
    let mut events = open(daemon, path, after).await;
    let first = events.until("synced").await;
    (events, first)
}

/// Reads events until one has this name, and returns it.
async fn named(events: &mut Events, name: &str) -> Event {
    loop {
        let event = events.next().await.expect("the stream goes on");
        if event.name == name {
            return event;
        }
    }
}

/// Guards the events of a whole life, on the stream of all sandboxes and on that of one, with data that equals the
/// response to a GET, and that a sandbox without a caller has none.
#[tokio::test(start_paused = true)]
async fn a_life_is_told() {
    let daemon = daemon(&[]).await;
    let (mut all, first) = begin(&daemon, ALL, None).await;
    assert_eq!(first, ["synced"]);
    assert_eq!(daemon.events(&of("a"), None).await.err().unwrap().status, 404);
    daemon.post("a").await;
    let (mut one, first) = begin(&daemon, &of("a"), None).await;
    assert_eq!(first, ["added a Pending", "synced"]);
    assert_eq!(named(&mut one, "ready").await.data, daemon.get("a").await.body);
    let patch = Some(json!({"ttl": "1h"}));
    let patched = daemon.call(Method::PATCH, "/api/sandboxes/a", patch).await.body;
    let limits = named(&mut one, "limits").await.data;
    assert_eq!(limits, patched);
    daemon.delete("a").await;
    let gone = named(&mut one, "deleted").await.data;
    assert_eq!(gone, daemon.get("a").await.body);
    assert_eq!((&gone["sandbox_id"], &gone["status"]), (&json!("a"), &json!("NotFound")));
    assert_eq!(one.shown().await, "end");
    let told = all.until("deleted").await;
    let names: Vec<_> = told.iter().map(|event| event.split(' ').next().unwrap()).collect();
    assert_eq!((names[0], names.last()), ("added", Some(&"deleted")), "{told:?}");
    for name in ["ready", "limits"] {
        assert_eq!(names.iter().filter(|other| **other == name).count(), 1, "{told:?}");
    }
}

/// Guards that a reap has an event of its own, with the reason that the 404 of a GET has.
#[tokio::test(start_paused = true)]
async fn a_reap_is_told_with_its_reason() {
    let daemon = daemon(&[]).await;
    let body = Some(json!({"sandbox_id": "a", "ttl": "10s"}));
    daemon.call(Method::POST, "/api/sandboxes", body).await;
    let (mut one, _) = begin(&daemon, &of("a"), None).await;
    let (mut all, _) = begin(&daemon, ALL, None).await;
    let reaped = named(&mut one, "reaped").await;
    assert_eq!(reaped.data["reaped"]["reason"], "TTLExpired");
    assert_eq!(named(&mut all, "reaped").await.data, reaped.data);
    assert_eq!(one.shown().await, "end");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(daemon.get("a").await.body, reaped.data);
    let answer = daemon.events(&of("a"), None).await.err().unwrap();
    assert_eq!((answer.status, &answer.body["reaped"]["reason"]), (404, &json!("TTLExpired")));
}

/// Guards that an event follows the watch event without a poll: in the same instant of the paused clock.
#[tokio::test(start_paused = true)]
async fn an_event_follows_the_watch_at_once() {
    let daemon = daemon(&[]).await;
    daemon.running("a").await;
    let (mut all, _) = begin(&daemon, ALL, None).await;
    let (mut one, _) = begin(&daemon, &of("a"), None).await;
    let conditions = json!([{"type": "Ready", "status": "False"}]);
    let change = |pod: &mut Value| pod["status"]["conditions"] = conditions.clone();
    daemon.cluster.change("pods", NAMESPACE, "sandbox-a", change).unwrap();
    let changed = Instant::now();
    for events in [&mut all, &mut one] {
        let event = named(events, "unready").await;
        assert_eq!(event.data, daemon.get("a").await.body);
    }
    assert!(changed.elapsed() <= Duration::from_millis(50), "{:?}", changed.elapsed());
}

/// Guards that a resumed stream shows exactly the missed changes, also the end of a sandbox, and that an id of an
/// earlier process, or one that is not an id, leads to a reset and the present state.
#[tokio::test(start_paused = true)]
async fn a_stream_is_resumed() {
    let mut daemon = daemon(&[]).await;
    daemon.running("a").await;
    let (mut all, _) = begin(&daemon, ALL, None).await;
    daemon.running("b").await;
    let added = named(&mut all, "added").await.id.unwrap();
    let missed = all.until("ready").await;
    daemon.delete("b").await;
    let (_, resumed) = begin(&daemon, ALL, Some(&added)).await;
    assert_eq!(resumed[..missed.len()], missed);
    assert!(resumed.contains(&"deleted b NotFound".to_owned()), "{resumed:?}");
    let mut one = open(&daemon, &of("b"), Some(&added)).await;
    assert_eq!(one.until("end").await, [&resumed[..resumed.len() - 1], &["end".to_owned()]].concat());
    daemon.restart().await;
    daemon.until_ready().await;
    for id in [&*added, "", "x", "00000000-99999"] {
        let (_, resumed) = begin(&daemon, ALL, Some(id)).await;
        assert_eq!(resumed, ["reset", "added a Running", "synced"], "{id}");
        assert_eq!(daemon.events(&of("b"), Some(id)).await.err().unwrap().status, 404, "{id}");
    }
}

/// Guards that a quiet stream has a comment every 8 s, and does not end.
#[tokio::test(start_paused = true)]
async fn a_quiet_stream_has_comments() {
    let daemon = daemon(&[]).await;
    let (mut all, _) = begin(&daemon, ALL, None).await;
    let mut last = Instant::now();
    for _ in 0..1000 {
        let comment = all.next().await.unwrap();
        assert_eq!((&*comment.name, last.elapsed().as_secs()), (": no changes", 8));
        last = Instant::now();
    }
    sleep(Duration::from_secs(5)).await;
    daemon.post("a").await;
    assert_eq!(all.shown().await, "added a Pending");
}

/// Guards that a stream does not begin on a stale state, and that one that is open tells within a second that its copy is
/// not current, and when it is again.
#[tokio::test(start_paused = true)]
async fn a_stale_state_is_told() {
    let daemon = daemon(&[("PROVISIONER_STALENESS_LIMIT", "40s")]).await;
    daemon.running("a").await;
    let (mut all, _) = begin(&daemon, ALL, None).await;
    let (mut one, _) = begin(&daemon, &of("a"), None).await;
    daemon.cluster.away_for(Duration::from_secs(100));
    let stale = named(&mut all, "stale").await;
    assert_eq!(stale.data["reason"], "Stale");
    let got = daemon.get("a").await;
    assert_eq!((got.status, &got.body["reason"]), (503, &json!("Stale")));
    named(&mut one, "stale").await;
    for path in [ALL, &of("a")] {
        let answer = daemon.events(path, None).await.err().unwrap();
        assert_eq!((answer.status, answer.retry_after()), (503, Some(5)), "{answer}");
    }
    named(&mut one, "fresh").await;
    named(&mut all, "fresh").await;
    assert_eq!(daemon.get("a").await.status, 200);
}

/// Guards that streams are limited in number, that other requests are not delayed by them, and that a stream that ends
/// makes room.
#[tokio::test(start_paused = true)]
async fn streams_are_limited() {
    let daemon = daemon(&[("PROVISIONER_MAX_STREAMS", "3")]).await;
    daemon.post("a").await;
    let mut open = Vec::new();
    for path in [ALL, &of("a"), ALL] {
        open.push(begin(&daemon, path, None).await);
    }
    for path in [ALL, &of("a")] {
        let answer = daemon.events(path, None).await.err().unwrap();
        let wanted = "503 after 5 s | Busy | 3 streams are open, which is the maximum; try again in 5 s";
        assert_eq!(answer.to_string(), wanted);
    }
    assert_eq!(daemon.get("a").await.status, 200);
    open.pop();
    begin(&daemon, ALL, None).await;
}

/// Guards that streams end when the daemon drains, and that later ones are refused.
#[tokio::test(start_paused = true)]
async fn streams_end_with_the_drain() {
    let daemon = daemon(&[]).await;
    daemon.post("a").await;
    let (mut all, _) = begin(&daemon, ALL, None).await;
    let (mut one, _) = begin(&daemon, &of("a"), None).await;
    let start = Instant::now();
    daemon.fleet().end_waits();
    for events in [&mut all, &mut one] {
        timeout(Duration::from_millis(100), events.until("end")).await.expect("it ends at once");
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    let answer = daemon.events(ALL, None).await.err().unwrap();
    assert_eq!((answer.status, &answer.body["reason"]), (503, &json!("ShuttingDown")));
}

/// Guards that streams have only GET, and need the key.
#[tokio::test(start_paused = true)]
async fn streams_have_only_get_and_need_the_key() {
    let daemon = daemon(&[("PROVISIONER_API_KEY", "k")]).await;
    daemon.post("a").await;
    for path in [ALL, &of("a")] {
        for method in [Method::HEAD, Method::POST, Method::DELETE, Method::PUT] {
            let answer = daemon.call(method, path, None).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
        }
        assert_eq!(daemon.with_key(None).events(path, None).await.err().unwrap().status, 401);
        begin(&daemon, path, None).await;
    }
}

/// Guards that a failed sandbox and its reason are told.
#[tokio::test(start_paused = true)]
async fn reasons_are_told() {
    let node = NodeOptions { behaviour: Course::ImageNeverPull.into(), ..NodeOptions::default() };
    let cluster = Cluster::start(Options { node: Some(node), ..Options::with_namespace(NAMESPACE) });
    let daemon = Daemon::on(cluster).await.ready().await;
    let (mut all, _) = begin(&daemon, ALL, None).await;
    daemon.post("a").await;
    loop {
        let event = named(&mut all, "reason").await;
        if event.data["reason"] == "ErrImageNeverPull" {
            assert_eq!(event.data, daemon.get("a").await.body);
            return;
        }
    }
}
