use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::fake::{self, Answer, failure};

fn id() -> SandboxId {
    SandboxId::parse("a").unwrap()
}

fn uid() -> Uid {
    Uid("ua".into())
}

/// Writes the queued Events for this time, on a paused clock.
async fn run_for(events: &Events, time: Duration) {
    assert!(timeout(time, events.run()).await.is_err());
}

/// Guards all fields of an Event that `kubectl` shows, and the object it refers to.
#[tokio::test(start_paused = true)]
async fn an_event_names_the_pod_and_the_reason() {
    let (connection, log) = fake::server(|_, _| Answer::Json(201, json!({})));
    let events = Events::new(connection);
    events.record(&id(), &uid(), ReapReason::Idle, false);
    events.record(&id(), &uid(), ReapReason::Ttl, true);
    assert_eq!(log.len(), 0, "recording makes no call");
    run_for(&events, Duration::from_secs(1)).await;

    assert_eq!(log.lines(), ["POST /apis/events.k8s.io/v1/namespaces/rec/events"; 2]);
    let sent = log.all();
    let pod =
        json!({"apiVersion": "v1", "kind": "Pod", "name": "sandbox-a", "namespace": "rec", "uid": "ua"});
    for asked in &sent {
        assert_eq!(asked.body["regarding"], pod);
        assert_eq!(asked.body["type"], "Normal");
        assert_eq!(asked.body["action"], "Reap");
        assert_eq!(asked.body["reportingController"], "sandbox-provisioner");
        assert_eq!(asked.body["reportingInstance"], "sandbox-provisioner");
        assert!(asked.body["eventTime"].is_string());
        assert!(asked.body["metadata"]["name"].as_str().unwrap().starts_with("sandbox-a."));
    }
    assert_ne!(sent[0].body["metadata"]["name"], sent[1].body["metadata"]["name"]);
    assert_eq!(sent[0].body["reason"], "IdleTimeout");
    assert_eq!(sent[0].body["note"], ReapReason::Idle.description());
    assert_eq!(sent[1].body["reason"], "WouldReapTTLExpired");
    assert!(sent[1].body["note"].as_str().unwrap().starts_with("dry run"));
}

/// Guards that Kubernetes accepts the reason of every Event. Otherwise all Events of that reason would be lost.
#[test]
fn reasons_are_words_of_at_most_128() {
    for cause in [
        ReapReason::Ttl,
        ReapReason::Idle,
        ReapReason::NeverReady,
        ReapReason::Finished,
        ReapReason::NodeLost,
    ] {
        let Event { reason, note, .. } = event(cause.name(), cause.description(), true);
        assert!(note.is_some_and(|note| note.len() <= 1024));
        assert!(reason.len() <= 128 && reason.bytes().all(|b| b.is_ascii_alphanumeric()), "{reason}");
    }
}

/// Guards that Events over the limit are dropped and counted, and that `record` never waits.
#[tokio::test(start_paused = true)]
async fn a_full_queue_drops() {
    let (connection, log) = fake::server(|_, _| Answer::Json(201, json!({})));
    let events = Events::new(connection);
    for _ in 0..QUEUE_MAX + 5 {
        events.record(&id(), &uid(), ReapReason::Ttl, false);
    }
    assert_eq!(events.dropped.load(Ordering::Relaxed), 5);
    run_for(&events, Duration::from_secs(1)).await;
    assert_eq!(log.len(), QUEUE_MAX);
}

/// Guards that a failed Event does not prevent the next one, and that no Event is retried.
#[tokio::test(start_paused = true)]
async fn a_failure_costs_one_event() {
    let forbidden = "events is forbidden: User \"x\" cannot create resource \"events\"";
    let (connection, log) = fake::server(move |before, _| match before {
        0 | 1 => failure(403, "Forbidden", forbidden),
        2 => Answer::Silence,
        3 => Answer::Broken(std::io::ErrorKind::ConnectionReset),
        4 => Answer::Text(429, vec![("retry-after", "1")], "Too many requests"),
        _ => Answer::Json(201, json!({})),
    });
    let events = Events::new(connection);
    for _ in 0..6 {
        events.record(&id(), &uid(), ReapReason::Ttl, false);
    }
    let begun = Instant::now();
    run_for(&events, Duration::from_secs(6)).await;
    assert_eq!(log.len(), 6);
    let sent = log.all();
    let waited = sent[3].at.saturating_sub(sent[2].at);
    assert_eq!(waited, DEADLINE, "a silent server costs its deadline, {:?} in all", begun.elapsed());
}

/// Guards that a repeated Event is counted on the first one, as `kubectl` shows it.
#[tokio::test(start_paused = true)]
async fn a_repeated_event_is_a_series() {
    let (connection, log) = fake::server(|_, _| Answer::Json(201, json!({})));
    let events = Events::new(connection);
    for _ in 0..3 {
        events.record(&id(), &uid(), ReapReason::Idle, true);
    }
    run_for(&events, Duration::from_secs(1)).await;
    let sent = log.all();
    let name = sent[0].body["metadata"]["name"].as_str().unwrap();
    let patch = format!("PATCH /apis/events.k8s.io/v1/namespaces/rec/events/{name}");
    assert_eq!(log.lines()[1..], [patch.clone(), patch]);
    assert_eq!((&sent[1].body["series"]["count"], &sent[2].body["series"]["count"]), (&json!(2), &json!(3)));
}

/// Guards that a second run continues after the first was dropped.
#[tokio::test(start_paused = true)]
async fn a_second_run_continues() {
    let (connection, log) = fake::server(|_, _| Answer::Json(201, json!({})));
    let events = Events::new(connection);
    run_for(&events, Duration::from_millis(10)).await;
    let record = async {
        sleep(Duration::from_millis(10)).await;
        events.record(&id(), &uid(), ReapReason::Finished, false);
        sleep(Duration::from_millis(10)).await;
    };
    tokio::select! {
        () = record => {}
        never = events.run() => match never {},
    }
    assert_eq!(log.len(), 1);
}
