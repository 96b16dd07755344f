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
async fn an_event_says_who_and_why() {
    let (connection, log) = fake::server(|_, _| Answer::Json(201, json!({})));
    let events = Events::new(connection);
    events.tell(&id(), &uid(), ReapReason::Idle, false);
    events.tell(&id(), &uid(), ReapReason::Ttl, true);
    assert_eq!(log.len(), 0, "telling calls nobody");
    run_for(&events, Duration::from_secs(1)).await;

    assert_eq!(log.lines(), ["POST /api/v1/namespaces/rec/events"; 2]);
    let sent = log.all();
    let pod =
        json!({"apiVersion": "v1", "kind": "Pod", "name": "sandbox-a", "namespace": "rec", "uid": "ua"});
    for asked in &sent {
        assert_eq!(asked.body["involvedObject"], pod);
        assert_eq!(asked.body["type"], "Normal");
        assert_eq!(asked.body["source"], json!({"component": "sandbox-provisioner"}));
        assert_eq!(asked.body["reportingComponent"], "sandbox-provisioner");
        assert!(asked.body["metadata"]["name"].as_str().unwrap().starts_with("sandbox-a."));
    }
    assert_ne!(sent[0].body["metadata"]["name"], sent[1].body["metadata"]["name"]);
    assert_eq!(sent[0].body["reason"], "IdleTimeout");
    assert_eq!(sent[0].body["message"], ReapReason::Idle.description());
    assert_eq!(sent[1].body["reason"], "WouldReapTTLExpired");
    assert!(sent[1].body["message"].as_str().unwrap().starts_with("dry run"));
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
        let told =
            Told { id: id(), pod: uid(), cause, rehearsed: true, at: Timestamp::UNIX_EPOCH, number: 0 };
        let reason = event(&told, "rec").reason.unwrap();
        assert!(reason.len() <= 128 && reason.bytes().all(|b| b.is_ascii_alphanumeric()), "{reason}");
    }
}

/// Guards that Events over the limit are dropped and counted, and that `tell` never waits.
#[tokio::test(start_paused = true)]
async fn a_full_queue_drops() {
    let (connection, log) = fake::server(|_, _| Answer::Json(201, json!({})));
    let events = Events::new(connection);
    for _ in 0..QUEUE_MAX + 5 {
        events.tell(&id(), &uid(), ReapReason::Ttl, false);
    }
    assert_eq!(events.dropped(), 5);
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
        events.tell(&id(), &uid(), ReapReason::Ttl, false);
    }
    let begun = Instant::now();
    run_for(&events, Duration::from_secs(6)).await;
    assert_eq!(log.len(), 6);
    let sent = log.all();
    let waited = sent[3].at.saturating_sub(sent[2].at);
    assert_eq!(waited, DEADLINE, "a silent server costs its deadline, {:?} in all", begun.elapsed());
}

/// Guards that a second run continues after the first was dropped.
#[tokio::test(start_paused = true)]
async fn a_second_run_goes_on() {
    let (connection, log) = fake::server(|_, _| Answer::Json(201, json!({})));
    let events = Events::new(connection);
    run_for(&events, Duration::from_millis(10)).await;
    let tell = async {
        sleep(Duration::from_millis(10)).await;
        events.tell(&id(), &uid(), ReapReason::Finished, false);
        sleep(Duration::from_millis(10)).await;
    };
    tokio::select! {
        () = tell => {}
        never = events.run() => match never {},
    }
    assert_eq!(log.len(), 1);
}
