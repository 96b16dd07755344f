//! The larger fault switches: answers that break off, servers that lag, old states, events out of order, and an hour of
//! all of it at once.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::Value;
use simcluster::{Call, Cluster, ConnectionLost, Effect, Options, Refusal, Rule, Times, Verb, WatchFault};
use tokio::time::timeout;

use crate::client::{
    self, NS, SOON, Watch, call, cluster, create, delete, get, is_ready, pod, send, still_cluster,
};

/// Guards the half answer: it begins as a good one, and breaks off where the rule says.
#[tokio::test(start_paused = true)]
async fn an_answer_can_break_off() {
    let cluster = still_cluster();
    cluster.fault(Rule::new(Effect::CutBody(10)));
    let answer = send(&cluster, "POST", "pods", &pod("a")).await.unwrap();
    assert_eq!(answer.status(), 201);
    let mut body = answer.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 10);
    assert_eq!(body.frame().await.unwrap().unwrap_err(), ConnectionLost::Reset);
    assert_eq!(cluster.count("pods", Some(NS)), 1);
}

/// Guards the replica that lags: reads are answered from the state at the time of the rule, writes reach the truth.
#[tokio::test(start_paused = true)]
async fn reads_can_be_stale() {
    let cluster = still_cluster();
    create(&cluster, &pod("old")).await;
    let rule = cluster.fault(Rule::new(Effect::StaleRead).resource("pods"));
    create(&cluster, &pod("new")).await;
    delete(&cluster, "pods/old?gracePeriodSeconds=0").await;
    assert_eq!((get(&cluster, "pods/old").await.0, get(&cluster, "pods/new").await.0), (200, 404));
    let mut watch = Watch::open(&cluster, "").await;
    assert_eq!(watch.line().await.1, "old");
    assert!(timeout(SOON, watch.next()).await.is_err());
    cluster.remove_fault(rule);
    assert_eq!((get(&cluster, "pods/old").await.0, get(&cluster, "pods/new").await.0), (404, 200));
}

/// Guards a restored backup, with versions that continue or go back: the results of a list and of a watch after it.
#[tokio::test(start_paused = true)]
async fn an_old_state_can_come_back() {
    for keep_counting in [true, false] {
        let cluster = still_cluster();
        create(&cluster, &pod("old")).await;
        let snapshot = cluster.snapshot();
        delete(&cluster, "pods/old?gracePeriodSeconds=0").await;
        create(&cluster, &pod("new")).await;
        let version = cluster.version();
        let mut watch = Watch::open(&cluster, &format!("resourceVersion={version}")).await;
        cluster.restore(&snapshot, keep_counting);
        assert_eq!(watch.next().await, Some(Err(ConnectionLost::Reset)));
        assert_eq!((get(&cluster, "pods/old").await.0, get(&cluster, "pods/new").await.0), (200, 404));
        let mut watch = Watch::open(&cluster, &format!("resourceVersion={version}")).await;
        if keep_counting {
            assert_eq!(watch.next().await.unwrap().unwrap()["object"]["code"], 410);
        } else {
            // The version comes from a future that never was.
            assert_eq!(get(&cluster, &format!("pods?resourceVersion={version}")).await.0, 504);
            assert!(timeout(SOON, watch.next()).await.is_err());
        }
    }
}

/// Guards that the node follows a restored state: it starts a Pod again, and forgets a Pod that the state does not
/// have.
#[tokio::test(start_paused = true)]
async fn the_node_follows_a_restored_state() {
    let cluster = cluster();
    let snapshot = cluster.snapshot();
    create(&cluster, &pod("a")).await;
    let early = cluster.snapshot();
    cluster.wait_for("pods", Some(NS), SOON, |pods| pods.iter().all(is_ready)).await.unwrap();
    cluster.restore(&early, false);
    cluster.wait_for("pods", Some(NS), SOON, |pods| pods.iter().all(is_ready)).await.unwrap();
    cluster.restore(&snapshot, false);
    create(&cluster, &pod("b")).await;
    cluster.wait_for("pods", Some(NS), SOON, |pods| pods.len() == 1 && is_ready(&pods[0])).await.unwrap();
}

/// Guards watches that go wrong later, or only now and then.
#[tokio::test(start_paused = true)]
async fn a_watch_can_go_wrong_after_a_while() {
    let open = async |fault| {
        let cluster = still_cluster();
        cluster.fault(Rule::new(Effect::Watch(fault)));
        let watch = Watch::open(&cluster, &format!("resourceVersion={}", cluster.version())).await;
        for number in 0..8 {
            create(&cluster, &pod(&format!("p{number}"))).await;
        }
        (cluster, watch)
    };
    let (_cluster, mut watch) = open(WatchFault::StallAfter(2)).await;
    assert_eq!([watch.line().await.1, watch.line().await.1], ["p0", "p1"]);
    assert!(timeout(Duration::from_secs(3600), watch.next()).await.is_err());

    let (_cluster, mut watch) = open(WatchFault::ExpireAfter(1)).await;
    assert_eq!(watch.line().await.1, "p0");
    assert_eq!(watch.next().await.unwrap().unwrap()["object"]["code"], 410);
    assert_eq!(watch.next().await, None);

    let (_cluster, mut watch) = open(WatchFault::Reorder { among: 8, seed: 2 }).await;
    let mut names = Vec::new();
    for _ in 0..8 {
        names.push(watch.line().await.1);
    }
    let (mut sorted, before) = (names.clone(), names);
    sorted.sort();
    assert_ne!(before, sorted);
    assert_eq!(sorted.len(), 8);

    let (_cluster, mut watch) = open(WatchFault::LossyShare { per_mille: 1000, seed: 0 }).await;
    assert!(timeout(SOON, watch.next()).await.is_err());
}

/// Guards the wall clock's steps: stamps jump, durations do not.
#[tokio::test(start_paused = true)]
async fn the_wall_clock_can_be_stepped() {
    let cluster = cluster();
    let before = cluster.now();
    cluster.step_clock(jiff::SignedDuration::from_hours(-1));
    let made = create(&cluster, &pod("a")).await;
    let stamp: jiff::Timestamp = made["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap();
    assert!(before.duration_since(stamp) >= jiff::SignedDuration::from_mins(59));
    cluster.wait_for("pods", Some(NS), SOON, |pods| pods.iter().all(is_ready)).await.unwrap();
}

/// A client that makes, looks at and deletes Pods for an hour, whatever it is answered.
async fn an_hour(seed: u64) -> (Vec<Call>, Vec<Value>, u64) {
    let node = simcluster::NodeOptions {
        times: Times { ready: Duration::from_secs(2), ..Times::default() },
        ..simcluster::NodeOptions::default()
    };
    let cluster = Cluster::start(Options {
        start: Some(jiff::Timestamp::UNIX_EPOCH),
        seed: Some(seed),
        node: Some(node),
        ..Options::with_namespace(NS)
    });
    let share = |effect, share| Rule::new(effect).share(share, seed);
    cluster.fault(share(Effect::Refuse(Refusal::EtcdTimeout), 0.1).verb(Verb::Create));
    cluster.fault(share(Effect::DropAnswer, 0.1).writes());
    cluster.fault(share(Effect::Refuse(Refusal::TooManyRequests), 0.2));
    cluster.fault(share(Effect::Delay(Duration::from_secs(3)), 0.2));
    cluster.fault(share(Effect::Silent, 0.05));
    cluster.fault(Rule::new(Effect::Watch(WatchFault::LossyShare { per_mille: 100, seed })));
    let end = tokio::time::Instant::now() + Duration::from_secs(3600);
    let mut round = 0_u64;
    while tokio::time::Instant::now() < end {
        round += 1;
        let name = format!("p{}", round % 7);
        let patience = Duration::from_secs(10);
        let path = format!("pods/{name}");
        let _ = timeout(patience, send(&cluster, "POST", "pods", &pod(&name))).await;
        let _ = timeout(patience, send(&cluster, "GET", &path, &Value::Null)).await;
        if round.is_multiple_of(3) {
            let _ = timeout(patience, send(&cluster, "DELETE", &path, &Value::Null)).await;
        }
        if round.is_multiple_of(50) {
            cluster.away_for(Duration::from_secs(20));
        }
        if round.is_multiple_of(70) {
            cluster.restart();
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    (cluster.calls(), cluster.objects("pods", None), cluster.refused())
}

/// Guards the promise of a seed: an hour of faults takes a moment, and the same seed gives the same calls, answers and
/// objects to the last field; another seed gives others.
#[tokio::test(start_paused = true)]
async fn an_hour_of_faults_is_repeatable() {
    let real = std::time::Instant::now();
    let first = an_hour(7).await;
    assert!(first.0.len() > 500, "{}", first.0.len());
    let answers: std::collections::BTreeSet<_> = first.0.iter().map(|call| call.status).collect();
    assert!(answers.contains(&None) && answers.contains(&Some(429)) && answers.contains(&Some(500)));
    assert_eq!(an_hour(7).await, first);
    assert_ne!(an_hour(8).await.0, first.0);
    assert!(real.elapsed() < Duration::from_secs(60));
}

/// Guards that a rule counts only the calls that match it, in the order they come.
#[tokio::test(start_paused = true)]
async fn a_count_is_of_calls_that_match() {
    let cluster = still_cluster();
    cluster.fault(
        Rule::new(Effect::Refuse(Refusal::Unavailable)).verb(Verb::Create).resource("services").nth(2),
    );
    let service = |name: &str| client::service(name, "a");
    assert_eq!(call(&cluster, "POST", "services", &service("a")).await.0, 201);
    create(&cluster, &pod("a")).await;
    assert_eq!(call(&cluster, "POST", "services", &service("b")).await.0, 503);
    assert_eq!(call(&cluster, "POST", "services", &service("b")).await.0, 201);
    assert_eq!(cluster.faults()[0].matched, 3);
}
