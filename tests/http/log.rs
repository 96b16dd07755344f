//! The log lines of requests.

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
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(level)
        .with_writer(move || writer.clone())
        .finish();
    let guard = listen(subscriber);
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("x-api-key", KEY)
        .header("x-request-id", "r-1")
        .header("content-type", "application/json");
    let missing = Check { name: "namespace", outcome: Err("missing".to_owned()), optional: false };
    let frontend = server::frontend(fake, body::Limits::default(), vec![missing]);
    frontend.answer(request.body(Full::<Bytes>::from(r#"{"sandbox_id":"abc"}"#)).unwrap(), None).await;
    drop(guard);
    let text = log.lines("");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message"] == "answered").collect()
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
