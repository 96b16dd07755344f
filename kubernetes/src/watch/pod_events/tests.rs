use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;
use crate::{
    fake::{self, Answer, Asked, End, Log, failure, list},
    watch::tests::RecordedSink,
};

/// Watches the Events of a scripted server for this long.
async fn follow(
    length: Duration,
    script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
) -> (Vec<String>, Option<String>, Log) {
    let (connection, log) = fake::server(script);
    let (sink, state) = (Arc::new(RecordedSink::default()), State::default());
    let _ = timeout(length, watch(connection, Arc::clone(&sink) as Arc<dyn WatchSink>, state.clone())).await;
    (sink.events(), state.why_not(), log)
}

fn event(pod: &str, reason: &str, version: u64) -> Value {
    json!({
        "metadata": {"name": format!("{pod}.{version:x}"), "namespace": "rec", "resourceVersion": version.to_string()},
        "involvedObject": {"kind": "Pod", "namespace": "rec", "name": pod, "uid": "ua"},
        "reason": reason, "message": "words", "type": "Warning", "count": 3,
        "source": {"component": "kubelet"},
    })
}

/// Guards that the Events about sandboxes' Pods are passed on, of the list and of the watch, and no others. An Event
/// with odd fields is like one about no sandbox.
#[tokio::test(start_paused = true)]
async fn events_about_sandboxes_are_passed_on() {
    let line = |event: Value| (Duration::ZERO, json!({"type": "ADDED", "object": event}).to_string());
    let (told, failed, log) = follow(Duration::from_secs(5), move |_, asked| {
        if asked.is_watch() {
            let lines = vec![
                line(event("sandbox-a", "Unhealthy", 12)),
                line(json!({"metadata": {"resourceVersion": "13"}, "involvedObject": 7, "reason": [], "message": {}})),
                line(event("sandbox-b", "FailedMount", 14)),
            ];
            return Answer::Watch(lines, End::Never);
        }
        list(
            11,
            "",
            &[
                event("sandbox-a", "FailedMount", 9),
                event("other", "FailedMount", 8),
                event("sandbox-a", "Danced", 7),
            ],
        )
    })
    .await;
    assert_eq!(told, ["a ua FailedMount words", "a ua Unhealthy words", "b ua FailedMount words"]);
    assert_eq!(failed, None);
    assert_eq!(log.lines(), ["GET /api/v1/namespaces/rec/events"; 2]);
    let selector = SELECTOR.replace('=', "%3D").replace('!', "%21").replace(',', "%2C");
    let selector = format!("fieldSelector={selector}");
    assert!(
        log.all().iter().all(|asked| asked.query.contains(&selector)),
        "{selector}: {}",
        log.all()[0].query
    );
}

/// Guards that the API server leaves out no Event that is used.
#[test]
fn only_events_without_use_are_left_out() {
    let mut terms = SELECTOR.split(',');
    assert_eq!(terms.next(), Some("involvedObject.kind=Pod"));
    for term in terms {
        let reason = term.strip_prefix("reason!=").unwrap();
        assert_eq!(pod_event::PodEventKind::parse(reason), None, "{reason}");
    }
}

/// Guards that an Event comes with the time of its last occurrence, in each of the fields that components write, and
/// with whether it is old news.
#[tokio::test(start_paused = true)]
async fn an_event_has_its_time() {
    let at = |fields: Value, version| {
        let mut event = event("sandbox-a", "Pulled", version);
        event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        event
    };
    let (told, _, _) = follow(Duration::from_secs(5), move |_, asked| {
        let (first, last) = ("2026-01-02T03:04:05Z", "2026-01-02T03:05:00Z");
        let kubelet = at(json!({"firstTimestamp": first, "lastTimestamp": last, "eventTime": null}), 9);
        let series = json!({"count": 2, "lastObservedTime": "2026-01-02T03:06:00.5Z"});
        let micro = "2026-01-02T03:04:05.123456Z";
        if asked.is_watch() {
            let scheduler = at(json!({"lastTimestamp": null, "eventTime": micro, "series": series}), 12);
            let line = json!({"type": "ADDED", "object": scheduler}).to_string();
            return Answer::Watch(vec![(Duration::ZERO, line)], End::Never);
        }
        let odd = at(json!({"lastTimestamp": 7, "eventTime": micro, "series": "x"}), 10);
        list(11, "", &[kubelet, odd])
    })
    .await;
    assert_eq!(
        told,
        [
            "a ua Pulled words at 2026-01-02T03:05:00Z, list",
            "a ua Pulled words at 2026-01-02T03:04:05.123456Z, list",
            "a ua Pulled words at 2026-01-02T03:06:00.5Z, watch",
        ]
    );
}

/// Guards that the container and the time of an Event are passed on: that of its first occurrence, also if it was repeated,
/// and for Events of the newer API, or with odd times, the next best.
#[tokio::test(start_paused = true)]
async fn an_event_has_its_container_and_its_first_time() {
    let with = |version: u64, more: Value| {
        let mut event = event("sandbox-a", "Pulling", version);
        event["metadata"]["creationTimestamp"] = "2026-01-01T00:00:09Z".into();
        event["involvedObject"]["fieldPath"] = "spec.containers{sandbox}".into();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let items = [
        with(1, json!({"firstTimestamp": "2026-01-01T00:00:01Z", "lastTimestamp": "2026-01-01T00:00:05Z"})),
        with(2, json!({"firstTimestamp": null, "eventTime": "2026-01-01T00:00:02.345678Z"})),
        with(3, json!({"firstTimestamp": "yesterday", "eventTime": null})),
    ];
    let (told, ..) = follow(Duration::from_secs(5), move |_, asked| {
        if asked.is_watch() { Answer::Watch(vec![], End::Never) } else { list(11, "", &items) }
    })
    .await;
    let of = |time: &str| format!(", first 2026-01-01T00:00:{time}Z of spec.containers{{sandbox}}");
    let all = ["01", "02.345678", "09"].map(of);
    assert!(told.len() == 3 && told.iter().zip(&all).all(|(told, of)| told.ends_with(of)), "{told:?}");
}

/// Guards that without the right nothing breaks: the reason is known, and the API server is asked rarely.
#[tokio::test(start_paused = true)]
async fn without_the_right_it_is_asked_rarely() {
    let (told, failed, log) = follow(Duration::from_secs(3600), |_, _| {
        failure(403, "Forbidden", "events is forbidden: User \"x\" cannot list resource \"events\"")
    })
    .await;
    assert_eq!(told, [""; 0]);
    assert!(failed.unwrap().contains("cannot list resource"));
    assert!(log.len() <= 13, "{}", log.len());
}

/// Guards that a watch that works again is noticed, and that the Events of the meantime are passed on.
#[tokio::test(start_paused = true)]
async fn it_resumes_after_an_outage() {
    let (told, failed, _) = follow(Duration::from_secs(60), |before, asked| match before {
        0..=3 => Answer::Broken(std::io::ErrorKind::ConnectionRefused),
        _ if asked.is_watch() => Answer::Watch(vec![], End::InOrderAfter(Duration::from_secs(30))),
        _ => list(11, "", &[event("sandbox-a", "FailedMount", 9)]),
    })
    .await;
    assert_eq!(told, ["a ua FailedMount words"]);
    assert_eq!(failed, None);
}
