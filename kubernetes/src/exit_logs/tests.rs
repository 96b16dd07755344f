use std::collections::HashMap as Map;

use lifecycle::{observed::ResourceVersion, traits::WatchEvent};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;
use crate::{
    fake::{self, Answer, Asked, Log, failure},
    observe,
    watch::tests::RecordedSink,
};

/// Returns the Pod of this sandbox, whose container has ended at this second.
fn ended(id: &str, state: &str, second: u32) -> (SandboxId, ObservedPod) {
    let end = json!({"terminated": {"reason": "Error", "exitCode": 3, "finishedAt": format!("2026-01-01T00:00:{second:02}Z")}});
    let (state, last) = match state {
        "terminated" => (end, json!({})),
        _ => (json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}), end),
    };
    let pod: Value = json!({
        "metadata": {"uid": format!("u{id}"), "resourceVersion": "7"},
        "status": {"phase": "Running", "containerStatuses": [{"name": "sandbox", "state": state, "lastState": last}]},
    });
    (SandboxId::parse(id).unwrap(), observe::pod(&serde_json::from_value(pod).unwrap()).unwrap())
}

/// Sends these Pods through the tap, each after a second, and reads logs for this long.
async fn follow(
    length: Duration,
    lines: u16,
    pods: Vec<(SandboxId, ObservedPod)>,
    script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
) -> (Vec<String>, Option<String>, Log) {
    let (connection, log) = fake::server(script);
    let sink = Arc::new(RecordedSink::default());
    let logs = Arc::new(ExitLogs::new(connection, lines));
    let tap = logs.tap(sink.clone());
    let tell = async {
        for (id, pod) in pods {
            sleep(Duration::from_secs(1)).await;
            tap.pods(WatchEvent::Applied(id, pod));
        }
    };
    let run = logs.run(sink.clone());
    let _ = timeout(length, async { futures::join!(tell, run) }).await;
    let told = sink.events().into_iter().filter(|line| line.contains("lines:")).collect();
    (told, logs.why_not(), log)
}

fn text(text: &'static str) -> Answer {
    Answer::Text(200, vec![("content-type", "text/plain")], text)
}

/// Guards that the log of an end is asked for once, of the current run or of the previous one, and is passed on.
#[tokio::test(start_paused = true)]
async fn each_end_is_asked_for_once() {
    let pods = vec![
        ended("a", "terminated", 1),
        ended("a", "waiting", 1),
        ended("b", "waiting", 2),
        ended("b", "waiting", 2),
        ended("a", "terminated", 9),
    ];
    let (told, failed, log) = follow(Duration::from_secs(60), 3, pods, |_, _| text("first\nno key\n")).await;
    assert_eq!(failed, None);
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|line| line.contains("lines: \"first | no key\"")), "{told:?}");
    let log_of = |id: &str| format!("GET /api/v1/namespaces/rec/pods/sandbox-{id}/log");
    assert_eq!(log.lines(), [log_of("a"), log_of("b"), log_of("a")]);
    let previous: Vec<_> = log.all().iter().map(|asked| asked.query.contains("previous=true")).collect();
    assert_eq!(previous, [false, true, false]);
    let query = &log.all()[0].query;
    for part in ["container=sandbox", "tailLines=3", "limitBytes=16384"] {
        assert!(query.contains(part), "{query}");
    }
}

/// Guards that without the setting nothing is asked for, and that a Pod that is deleted is forgotten.
#[tokio::test(start_paused = true)]
async fn it_is_off_by_default() {
    let (told, _, log) =
        follow(Duration::from_secs(60), 0, vec![ended("a", "terminated", 1)], |_, _| text("x")).await;
    assert_eq!((told.len(), log.len()), (0, 0));

    let (connection, _) = fake::server(|_, _| text("x"));
    let logs = Arc::new(ExitLogs::new(connection, 1));
    let tap = logs.tap(Arc::new(RecordedSink::default()));
    let (a, pod) = ended("a", "terminated", 1);
    let (b, other) = ended("b", "terminated", 1);
    tap.pods(WatchEvent::Applied(a.clone(), pod.clone()));
    tap.pods(WatchEvent::Applied(b.clone(), other));
    tap.pods(WatchEvent::Deleted(b, pod.uid.clone(), ResourceVersion(9)));
    assert_eq!(logs.queued.lock().keys().collect::<Vec<_>>(), [&a]);
    tap.pods(WatchEvent::Listed { objects: vec![], unreadable: vec![], version: ResourceVersion(10) });
    assert_eq!(*logs.queued.lock(), Map::new());
}

/// Guards that a crash of many sandboxes at once, or an API server that refuses, costs at most a call a second (invariant
/// 10), and that only the newest failure is told.
#[tokio::test(start_paused = true)]
async fn the_calls_are_bounded() {
    let crash = || (0..500).map(|n| ended(&format!("s{n}"), "terminated", 1)).collect::<Vec<_>>();
    let minutes = Duration::from_secs(600);
    let (told, ..) = follow(minutes, 3, crash(), |_, _| text("x")).await;
    assert_eq!(told.len(), 500, "one a second is no flood");
    for (code, reason, calls, shown) in [
        (429, "TooManyRequests", 61, Some("TooManyRequests")),
        (500, "InternalError", 61, Some("InternalError")),
        (403, "Forbidden", 3, Some("Forbidden")),
        (404, "NotFound", 601, None),
        (400, "BadRequest", 601, None),
    ] {
        let (told, failed, log) = follow(minutes, 3, crash(), move |_, _| failure(code, reason, "no")).await;
        assert_eq!(told.len(), 0);
        assert!(log.len() <= calls, "{reason}: {}", log.len());
        assert_eq!(failed.is_some(), shown.is_some(), "{reason}: {failed:?}");
    }
}

/// Guards that the queue is bounded while a call takes long.
#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let (connection, log) = fake::server(|_, _| Answer::Silence);
    let logs = Arc::new(ExitLogs::new(connection, 1));
    let tap = logs.tap(Arc::new(RecordedSink::default()));
    for n in 0..1000 {
        let (id, pod) = ended(&format!("s{n}"), "terminated", 1);
        tap.pods(WatchEvent::Applied(id, pod));
    }
    let _ = timeout(Duration::from_secs(3600), logs.run(Arc::new(RecordedSink::default()))).await;
    assert_eq!(log.len(), QUEUE_MAX);
}
