//! Writes that an admission webhook delays, beside writes whose answer is lost.

use super::*;

const NOT_FOUND: &str = "pods \"sandbox-a\" not found";

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Returns the answer of the API server to a read before a create has taken effect.
fn not_found() -> Answer {
    failure(404, "NotFound", NOT_FOUND)
}

/// Guards that a create is waited for as long as its caller waits, and that it is sent once.
#[tokio::test(start_paused = true)]
async fn a_slow_create_is_sent_once() {
    for wait in [9, 15, 21] {
        let (writes, log) = writes(move |_, asked| match asked.method.as_str() {
            "POST" => Answer::Late(seconds(wait), 201, pod("a", "ua", 5, "Pending")),
            _ => not_found(),
        });
        let begun = Instant::now();
        assert!(matches!(create_pod(&writes).await, Outcome::Done(_)), "{wait}");
        assert_eq!(begun.elapsed(), seconds(wait));
        assert_eq!(log.lines().iter().filter(|line| line.starts_with("POST")).count(), 1);
    }
}

/// Guards that a create ends with its caller's time, and that it is then not known whether it took effect.
#[tokio::test(start_paused = true)]
async fn a_create_ends_with_the_time_of_its_caller() {
    let (writes, log) = writes(|_, asked| match asked.method.as_str() {
        "POST" => Answer::Late(seconds(30), 201, pod("a", "ua", 5, "Pending")),
        _ => not_found(),
    });
    let begun = Instant::now();
    assert_eq!(kind(&create_pod(&writes).await), (false, ClusterErrorKind::TimedOut));
    assert_eq!(begun.elapsed(), POST_PATIENCE);
    assert_eq!(log.lines().iter().filter(|line| line.starts_with("POST")).count(), 1);
}

/// Guards that a create whose answer is lost is noticed by a read, long before its caller gives up.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_noticed_by_a_read() {
    let (writes, log) = writes(|_, asked| match asked.method.as_str() {
        "POST" => Answer::Silence,
        _ => Answer::Json(200, pod("a", "ua", 5, "Pending")),
    });
    let begun = Instant::now();
    assert_eq!(kind(&create_pod(&writes).await), (false, ClusterErrorKind::TimedOut));
    assert_eq!(begun.elapsed(), Limits::default().write);
    assert_eq!(log.len(), 2);
}

/// Guards that a delete and a patch, which go on without a caller, may take up to a minute and are sent once.
#[tokio::test(start_paused = true)]
async fn a_slow_delete_or_patch_is_sent_once() {
    for (wait, is_done) in [(9, true), (50, true), (70, false)] {
        let (writes, log) = writes(move |_, asked| match asked.method.as_str() {
            "GET" => Answer::Json(200, pod("a", "ua", 5, "Running")),
            _ => Answer::Late(seconds(wait), 200, pod("a", "ua", 6, "Running")),
        });
        let begun = Instant::now();
        let deleted = writes.delete_pod(id(), only()).await;
        assert_eq!(matches!(deleted, Outcome::Done(_)), is_done, "{deleted:?}");
        let annotations = LifetimePatch {
            last_activity: Some("2026-11-21T04:20:13Z".parse().unwrap()),
            ..Default::default()
        };
        let patched = writes.write_annotations(id(), uid(), annotations).await;
        assert_eq!(matches!(patched, Outcome::Done(_)), is_done, "{patched:?}");
        assert_eq!(begun.elapsed(), 2 * seconds(wait).min(Limits::default().unattended_write));
        assert_eq!(log.lines().iter().filter(|line| !line.starts_with("GET")).count(), 2);
    }
}

/// Guards that a delete and a patch whose answers are lost are noticed by a read.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_a_delete_or_patch_is_noticed() {
    let mut terminating = pod("a", "ua", 6, "Running");
    terminating["metadata"]["deletionTimestamp"] = json!("2026-11-21T04:20:48Z");
    for shown in
        [Answer::Json(200, pod("a", "ub", 9, "Running")), Answer::Json(200, terminating), not_found()]
    {
        let shown = std::sync::Mutex::new(Some(shown));
        let (writes, log) = writes(move |_, asked| match asked.method.as_str() {
            "GET" => shown.lock().unwrap().take().unwrap(),
            _ => Answer::Silence,
        });
        let begun = Instant::now();
        assert_eq!(kind(&writes.delete_pod(id(), only()).await), (false, ClusterErrorKind::TimedOut));
        assert_eq!((begun.elapsed(), log.len()), (Limits::default().write, 2));
    }
    let (writes, log) = writes(|_, asked| {
        let mut object = pod("a", "ua", 8, "Running");
        object["metadata"]["annotations"] = json!({"sandbox-provisioner/ttl": "8h"});
        if asked.method == "GET" { Answer::Json(200, object) } else { Answer::Silence }
    });
    let annotations = LifetimePatch {
        limits: LimitsPatch { ttl: Some(Some(seconds(8 * 3600))), idle_timeout: None },
        ..LifetimePatch::default()
    };
    let begun = Instant::now();
    let patched = writes.write_annotations(id(), uid(), annotations).await;
    assert_eq!(kind(&patched), (false, ClusterErrorKind::TimedOut));
    assert_eq!((begun.elapsed(), log.len()), (Limits::default().write, 2));
}

/// Guards that only a read that the API server does not answer makes waiting useless: a refused read proves that it
/// lives.
#[tokio::test(start_paused = true)]
async fn a_refused_read_does_not_end_the_wait() {
    for (read, is_done) in [(403, true), (429, true), (500, false), (503, false)] {
        let (writes, _) = writes(move |_, asked| match asked.method.as_str() {
            "POST" => Answer::Late(seconds(9), 201, pod("a", "ua", 5, "Pending")),
            _ => failure(read, "", "no"),
        });
        let created = create_pod(&writes).await;
        assert_eq!(matches!(created, Outcome::Done(_)), is_done, "{read}: {created:?}");
    }
}
