//! The log lines of requests.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use lifecycle::error::SandboxError;
use sandbox_provisioner::{admin::Check, http::body};
use serde_json::Value;
use testkit::{Log, listen};
use tracing::Level;

use crate::{
    fake::{Fake, Script},
    server::{self, KEY},
};

/// Returns the `answered` lines that the request logs at this level.
async fn logged(level: Level, fake: Fake, method: &str, target: &str) -> Vec<Value> {
    let lines = all_logged(level, fake, (method, target), &[], Duration::ZERO).await;
    lines.into_iter().filter(|line| line["message"] == "answered").collect()
}

/// Returns all lines that the request with these headers logs. One that takes longer than `slow_after` is slow.
async fn all_logged(
    level: Level,
    fake: Fake,
    (method, target): (&str, &str),
    headers: &[(&str, &str)],
    slow_after: Duration,
) -> Vec<Value> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(level)
        .with_writer(move || writer.clone())
        .finish();
    let guard = listen(subscriber);
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("x-api-key", KEY)
        .header("x-request-id", "r-1")
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let missing = Check { name: "namespace", outcome: Err("missing".to_owned()), optional: false };
    let frontend = server::frontend(fake, body::Limits::default(), vec![missing]).with_slow_after(slow_after);
    frontend.answer(request.body(Full::<Bytes>::from(r#"{"sandbox_id":"abc"}"#)).unwrap(), None).await;
    drop(guard);
    let text = log.lines("");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Guards that a change logs one line, and that a read or touch logs none at the default level, unless it fails. Each
/// line contains the request id once, in its span or as a field, but not the query or the key.
#[tokio::test]
async fn a_request_logs_one_line() {
    let failing = || Fake::new(Script::Fails(SandboxError::BadRequest("no".into())));
    let panicking = || Fake::new(Script::Panics);
    for (level, fake, method, target, wanted) in [
        (Level::INFO, Fake::default(), "POST", "/api/sandboxes?token=abc", Some(("INFO", 200))),
        (Level::INFO, failing(), "DELETE", "/api/sandboxes/abc", Some(("INFO", 400))),
        (Level::INFO, Fake::default(), "GET", "/api/sandboxes?token=abc", None),
        (Level::INFO, failing(), "GET", "/api/sandboxes", None),
        (Level::INFO, Fake::default(), "POST", "/api/sandboxes/abc/touch", None),
        (Level::DEBUG, Fake::default(), "POST", "/api/sandboxes/abc/touch", Some(("DEBUG", 404))),
        (Level::INFO, panicking(), "POST", "/api/sandboxes/abc/touch", Some(("WARN", 500))),
        (Level::INFO, Fake::default(), "PATCH", "/api/sandboxes/abc", Some(("INFO", 422))),
        (Level::INFO, Fake::default(), "POST", "/api/reaper/resume", Some(("INFO", 200))),
        (Level::INFO, panicking(), "GET", "/api/sandboxes?token=abc", Some(("WARN", 500))),
        (Level::INFO, panicking(), "POST", "/api/sandboxes", Some(("WARN", 500))),
        (Level::DEBUG, Fake::default(), "GET", "/api/sandboxes", Some(("DEBUG", 200))),
        // Probes repeat the request every few seconds while a check fails.
        (Level::INFO, Fake::default(), "GET", "/readyz", None),
        (Level::DEBUG, Fake::default(), "GET", "/readyz", Some(("DEBUG", 503))),
    ] {
        let lines = logged(level, fake, method, target).await;
        let logged =
            lines.first().map(|line| (line["level"].as_str().unwrap(), line["status"].as_u64().unwrap()));
        assert_eq!(
            (logged, lines.len()),
            (wanted, usize::from(wanted.is_some())),
            "{method} {target}: {lines:?}"
        );
        for line in lines {
            let as_field = line["request_id"].as_str();
            let in_span = line["span"]["request_id"].as_str();
            assert_eq!(as_field.xor(in_span), Some("r-1"), "{line}");
            assert_eq!((&line["method"], &line["path"]), (&method.into(), &target.split('?').next().into()));
            assert!(!line.to_string().contains("token") && !line.to_string().contains(KEY), "{line}");
        }
    }
}

/// Guards that each line names the route, without the id.
#[tokio::test]
async fn a_line_has_the_route() {
    for (method, target, route) in [
        ("GET", "/api/sandboxes?limit=5", "/api/sandboxes"),
        ("DELETE", "/api/sandboxes/abc", "/api/sandboxes/{id}"),
        ("GET", "/x", "other"),
    ] {
        let lines = logged(Level::DEBUG, Fake::default(), method, target).await;
        assert_eq!(lines[0]["route"], route, "{target}: {lines:?}");
    }
}

/// Guards that the lines of a request have the trace of its `traceparent`, at every level and also if the line has no span,
/// that an invalid header starts a new trace, and that a request without the header has none.
#[tokio::test]
async fn a_trace_is_in_the_log() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let valid = format!("00-{trace}-00f067aa0ba902b7-01");
    let failing = || Fake::new(Script::Panics);
    for (level, fake, method, target) in [
        (Level::INFO, Fake::default(), "POST", "/api/sandboxes"),
        (Level::DEBUG, Fake::default(), "GET", "/api/sandboxes"),
        (Level::INFO, failing(), "GET", "/api/sandboxes"),
    ] {
        let ids = async |headers: &[(&str, &str)]| {
            let lines = all_logged(level, fake.clone(), (method, target), headers, Duration::ZERO).await;
            let line = lines.into_iter().find(|line| line["message"] == "answered").unwrap();
            let id = |name: &str| line[name].as_str().or(line["span"][name].as_str()).map(str::to_owned);
            [id("trace_id"), id("span_id")]
        };
        let [trace_id, span_id] = ids(&[("traceparent", &valid)]).await;
        assert_eq!(trace_id.as_deref(), Some(trace), "{method} {level}");
        let span_id = span_id.unwrap();
        assert!(span_id.len() == 16 && span_id != "00f067aa0ba902b7", "{span_id}");
        let [trace_id, _] = ids(&[("traceparent", "00-x")]).await;
        assert!(trace_id.is_some_and(|id| id.len() == 32 && id != trace), "{method} {level}");
        assert_eq!(ids(&[]).await, [None, None], "{method} {level}");
    }
}

/// Guards that a slow request is logged as a warning, also a read, but not one that waits on purpose.
#[tokio::test(start_paused = true)]
async fn a_slow_request_is_a_warning() {
    for (target, slow_after, taken, wanted) in [
        ("/api/sandboxes/abc", 5, 6, Some("answered slowly")),
        ("/api/sandboxes/abc", 5, 4, None),
        ("/api/sandboxes/abc", 0, 6, None),
        ("/api/sandboxes/abc?x=1", 5, 6, Some("answered slowly")),
    ] {
        let fake = Fake::new(Script::Waits);
        let resumed = fake.clone();
        let request = all_logged(Level::INFO, fake, ("GET", target), &[], Duration::from_secs(slow_after));
        let resume = async {
            tokio::time::sleep(Duration::from_secs(taken)).await;
            resumed.resume();
        };
        let (lines, ()) = tokio::join!(request, resume);
        let line = lines.iter().find(|line| line["message"].as_str().unwrap().starts_with("answered"));
        assert_eq!(
            line.map(|line| line["message"].as_str().unwrap()),
            wanted,
            "{target} {slow_after}: {lines:?}"
        );
        if let Some(line) = line {
            assert_eq!(
                (&line["level"], &line["status"], &line["request_id"]),
                (&"WARN".into(), &404.into(), &"r-1".into())
            );
            assert!(line["took_us"].as_u64().unwrap() >= 6_000_000, "{line}");
        }
    }
}
