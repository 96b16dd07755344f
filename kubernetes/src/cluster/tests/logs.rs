//! The logs of containers.

use futures::StreamExt as _;
use lifecycle::log::BYTES_MAX;

use super::*;
use crate::fake::End;

const SECOND: Duration = Duration::from_secs(1);

fn text(text: &'static str) -> Answer {
    Answer::Text(200, vec![("content-type", "text/plain")], text)
}

/// Guards the parameters of the call, which are those of Kubernetes, and that it is made once.
#[tokio::test(start_paused = true)]
async fn parameters_are_those_of_kubernetes() {
    let usual = "container=sandbox&tailLines=100";
    for (query, follows, wanted) in [
        (LogQuery::default(), false, format!("{usual}&limitBytes={BYTES_MAX}")),
        (LogQuery::default(), true, format!("{usual}&follow=true")),
        (
            LogQuery {
                container: Some("proxy".into()),
                tail: 0,
                previous: true,
                timestamps: true,
                since: Some(Duration::from_millis(1001)),
            },
            true,
            "container=proxy&tailLines=0&previous=true&timestamps=true&sinceSeconds=2&follow=true".to_owned(),
        ),
        (
            LogQuery { since: Some(Duration::from_millis(1)), ..LogQuery::default() },
            true,
            format!("{usual}&sinceSeconds=1&follow=true"),
        ),
    ] {
        let (cluster, log) = writes(|_, _| text("line\n"));
        if follows {
            let parts = cluster.follow_log(id(), query).await.unwrap();
            assert_eq!(parts.collect::<Vec<_>>().await, [Ok(b"line\n".to_vec())]);
        } else {
            assert_eq!(cluster.read_log(id(), query).await.unwrap().bytes, b"line\n");
        }
        assert_eq!(log.lines(), ["GET /api/v1/namespaces/rec/pods/sandbox-a/log"]);
        let sorted = |query: &str| {
            let mut pairs: Vec<_> =
                query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
            pairs.sort();
            pairs
        };
        assert_eq!(sorted(&log.all()[0].query), sorted(&wanted));
    }
}

/// Guards that a log that is silent does not fail: the API server answers with its first line, which may come hours later.
#[tokio::test(start_paused = true)]
async fn a_silent_log_is_followed() {
    let hour = 3600 * SECOND;
    let (cluster, _) = writes(move |_, _| Answer::Late(hour, 200, json!({"line": 1})));
    let start = Instant::now();
    let mut log = cluster.follow_log(id(), LogQuery::default()).await.unwrap();
    assert!(start.elapsed() <= 5 * SECOND, "{:?}", start.elapsed());
    assert!(String::from_utf8(log.next().await.unwrap().unwrap()).unwrap().contains("\"line\":1"));
    assert_eq!((start.elapsed(), log.next().await), (hour, None));
}

/// Guards that logs that are followed do not use up the calls in flight, before and after their first line.
#[tokio::test(start_paused = true)]
async fn followers_leave_calls_for_others() {
    let limits = Limits { in_flight: 1, ..Limits::default() };
    let (cluster, _) = limited(
        |n, _| match n {
            0 => Answer::Silence,
            1 => Answer::Watch(vec![(Duration::ZERO, "line".to_owned())], End::Never),
            _ => text("line\n"),
        },
        limits,
    );
    let _silent = cluster.follow_log(id(), LogQuery::default()).await.unwrap();
    let mut open = cluster.follow_log(id(), LogQuery::default()).await.unwrap();
    assert!(open.next().await.unwrap().is_ok());
    assert_eq!(cluster.read_log(id(), LogQuery::default()).await.unwrap().bytes, b"line\n");
}

/// Guards that a refusal is an error at once, a late one an error of the stream, and that a connection that breaks is not the
/// end of the log.
#[tokio::test(start_paused = true)]
async fn failures_are_not_the_end_of_a_log() {
    let waiting = "container \"sandbox\" in pod \"sandbox-a\" is waiting to start: ContainerCreating";
    for (message, kind) in [
        (waiting, ClusterErrorKind::ContainerWaiting),
        ("container \"sandbox\" in pod \"sandbox-a\" is not available", ClusterErrorKind::ContainerWaiting),
        (
            "previous terminated container \"sandbox\" in pod \"sandbox-a\" not found",
            ClusterErrorKind::NoPreviousContainer,
        ),
        ("container x is not valid for pod sandbox-a", ClusterErrorKind::Invalid),
    ] {
        let (cluster, _) = writes(move |_, _| failure(400, "BadRequest", message));
        let read = cluster.read_log(id(), LogQuery::default()).await.unwrap_err();
        let followed = cluster.follow_log(id(), LogQuery::default()).await.err().unwrap();
        assert_eq!((read.kind, &*read.message), (kind, message));
        assert_eq!(followed, read);
    }
    let (cluster, _) =
        writes(|_, _| Answer::Late(60 * SECOND, 500, json!({"status": "Failure", "code": 500})));
    let mut log = cluster.follow_log(id(), LogQuery::default()).await.unwrap();
    assert_eq!(log.next().await.unwrap().unwrap_err().kind, ClusterErrorKind::ServerError);

    let lines = || vec![(SECOND, "one".to_owned())];
    let (cluster, _) =
        writes(move |_, _| Answer::Watch(lines(), End::Broken(std::io::ErrorKind::ConnectionReset)));
    let mut log = cluster.follow_log(id(), LogQuery::default()).await.unwrap();
    assert_eq!(log.next().await, Some(Ok(b"one\n".to_vec())));
    assert!(log.next().await.unwrap().is_err());
}

/// Guards that more bytes than were asked for, or a text that does not arrive in time, are errors.
#[tokio::test(start_paused = true)]
async fn a_log_is_bounded_in_bytes_and_time() {
    let long: &'static str = "x".repeat(BYTES_MAX + 1).leak();
    let (cluster, _) = writes(move |_, _| text(long));
    assert_eq!(
        cluster.read_log(id(), LogQuery::default()).await.unwrap_err().kind,
        ClusterErrorKind::ServerError
    );
    let (cluster, _) = writes(|_, _| Answer::Silence);
    let start = Instant::now();
    assert_eq!(
        cluster.read_log(id(), LogQuery::default()).await.unwrap_err().kind,
        ClusterErrorKind::TimedOut
    );
    assert_eq!(start.elapsed(), lifecycle::budget::READ);
}
