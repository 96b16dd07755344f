//! Fault switches, as a client meets them.

use std::time::Duration;

use serde_json::Value;
use simcluster::{ConnectionLost, Effect, Refusal, Rule, Verb, WatchFault};
use tokio::time::{Instant, timeout};

use crate::client::{NS, Watch, call, create, get, pod, send, still_cluster};

/// Guards that a refusal applies to the calls it names, changes nothing, and is in the record.
#[tokio::test(start_paused = true)]
async fn a_refused_create_has_no_effect() {
    let cluster = still_cluster();
    cluster
        .fault(Rule::new(Effect::Refuse(Refusal::EtcdTimeout)).verb(Verb::Create).resource("pods").times(1));
    let (status, body) = call(&cluster, "POST", "pods", &pod("a")).await;
    assert_eq!((status, &body["message"]), (500, &"etcdserver: request timed out".into()));
    assert_eq!(cluster.count("pods", Some(NS)), 0);
    create(&cluster, &pod("a")).await;
    let calls = cluster.calls();
    let seen: Vec<_> = calls.iter().map(|c| (c.verb, c.name.as_deref(), c.status)).collect();
    assert_eq!(seen, [(Verb::Create, Some("a"), Some(500)), (Verb::Create, Some("a"), Some(201))]);
}

/// Guards the lost answer, with the write carried out or not.
#[tokio::test(start_paused = true)]
async fn an_answer_can_be_lost_after_or_before_the_effect() {
    for (effect, made) in [(Effect::DropAnswer, 1), (Effect::DropBefore, 0)] {
        let cluster = still_cluster();
        cluster.fault(Rule::new(effect).named("a"));
        let lost = send(&cluster, "POST", "pods", &pod("a")).await;
        assert_eq!(lost.unwrap_err(), ConnectionLost::Reset);
        assert_eq!(cluster.count("pods", Some(NS)), made);
        assert_eq!(cluster.calls()[0].status, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_can_be_late_or_never_answered() {
    let cluster = still_cluster();
    let late = cluster.fault(Rule::new(Effect::Delay(Duration::from_secs(7))));
    let before = Instant::now();
    create(&cluster, &pod("a")).await;
    assert_eq!(before.elapsed(), Duration::from_secs(7));
    cluster.remove_fault(late);
    for (effect, name, made) in [(Effect::Silent, "b", false), (Effect::HangAnswer, "c", true)] {
        cluster.clear_faults();
        cluster.fault(Rule::new(effect));
        let pending = timeout(Duration::from_secs(600), send(&cluster, "POST", "pods", &pod(name))).await;
        assert!(pending.is_err());
        assert_eq!(cluster.object("pods", NS, name).is_some(), made);
    }
}

/// Guards "the server is away": calls are refused, hanging ones and watches are cut, objects stay.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_takes_its_connections_with_it() {
    let cluster = still_cluster();
    create(&cluster, &pod("a")).await;
    let mut watch = Watch::open(&cluster, &format!("resourceVersion={}", cluster.version())).await;
    cluster.set_away(true);
    assert_eq!(watch.next().await, Some(Err(ConnectionLost::Reset)));
    let refused = send(&cluster, "GET", "pods", &Value::Null).await;
    assert_eq!(refused.unwrap_err(), ConnectionLost::Refused);
    assert_eq!(cluster.refused(), 1);
    cluster.set_away(false);
    assert_eq!(get(&cluster, "pods/a").await.0, 200);
}

/// Guards that a restart makes a watcher list again.
#[tokio::test(start_paused = true)]
async fn a_restart_loses_the_watch_window() {
    let cluster = still_cluster();
    let version = cluster.version();
    create(&cluster, &pod("a")).await;
    cluster.restart();
    let mut watch = Watch::open(&cluster, &format!("resourceVersion={version}")).await;
    let event = watch.next().await.unwrap().unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&"ERROR".into(), &410.into()));
    assert_eq!(watch.next().await, None);
}

/// Guards that an expired window also breaks off a paged list.
#[tokio::test(start_paused = true)]
async fn an_expired_window_breaks_off_a_paged_list() {
    let cluster = still_cluster();
    for name in ["a", "b", "c"] {
        create(&cluster, &pod(name)).await;
    }
    let (_, page) = get(&cluster, "pods?limit=2").await;
    let token = page["metadata"]["continue"].as_str().unwrap();
    assert_eq!(get(&cluster, &format!("pods?limit=2&continue={token}")).await.0, 200);
    create(&cluster, &pod("d")).await;
    cluster.expire_watch_window();
    assert_eq!(get(&cluster, &format!("pods?limit=2&continue={token}")).await.0, 410);
}

#[tokio::test(start_paused = true)]
async fn a_watch_can_stall_break_double_and_lose() {
    let open = async |fault| {
        let cluster = still_cluster();
        cluster.fault(Rule::new(Effect::Watch(fault)));
        let watch = Watch::open(&cluster, &format!("resourceVersion={}", cluster.version())).await;
        for name in ["a", "b", "c"] {
            create(&cluster, &pod(name)).await;
        }
        (cluster, watch)
    };
    let (_cluster, mut watch) = open(WatchFault::Stall).await;
    assert!(timeout(Duration::from_secs(7200), watch.next()).await.is_err());

    let (_cluster, mut watch) = open(WatchFault::CutAfter(2)).await;
    assert_eq!([watch.line().await.1, watch.line().await.1], ["a", "b"]);
    assert_eq!(watch.next().await, Some(Err(ConnectionLost::Reset)));

    let (_cluster, mut watch) = open(WatchFault::Double).await;
    assert_eq!([watch.line().await.1, watch.line().await.1, watch.line().await.1], ["a", "a", "b"]);

    let (_cluster, mut watch) = open(WatchFault::Lossy(2)).await;
    assert_eq!([watch.line().await.1, watch.line().await.1], ["a", "c"]);

    let (_cluster, mut watch) = open(WatchFault::Late(Duration::from_secs(9))).await;
    let before = Instant::now();
    assert_eq!(watch.line().await.1, "a");
    assert_eq!(before.elapsed(), Duration::from_secs(9));
}

/// Guards that watches that were stalled go on where they were, with nothing lost.
#[tokio::test(start_paused = true)]
async fn stalled_watches_go_on_without_loss() {
    let cluster = still_cluster();
    let mut watch = Watch::open(&cluster, &format!("resourceVersion={}", cluster.version())).await;
    cluster.stall_watches(true);
    create(&cluster, &pod("a")).await;
    assert!(timeout(Duration::from_secs(600), watch.next()).await.is_err());
    cluster.stall_watches(false);
    assert_eq!(watch.line().await, ("ADDED".into(), "a".into()));
}
