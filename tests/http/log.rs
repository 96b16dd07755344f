//! What stands in the log about a request.

use std::{
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use lifecycle::error::SandboxError;
use sandbox_provisioner::{admin::Check, http::body};
use serde_json::Value;
use tracing::Level;

use crate::{
    fake::{Fake, Script},
    listen::listen,
    server::{self, KEY},
};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All that is logged down to this level while the request is answered.
async fn logged(level: Level, fake: Fake, method: &str, target: &str) -> Vec<Value> {
    let sink = Sink::default();
    let writer = sink.clone();
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
    let missing = Check { name: "namespace", outcome: Err("gone".to_owned()) };
    let edge = server::edge(fake, body::Limits::default(), vec![missing]);
    edge.answer(request.body(Full::<Bytes>::from(r#"{"sandbox_id":"abc"}"#)).unwrap(), None).await;
    drop(guard);
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message"] == "answered").collect()
}

/// One line a request that changes something; none, at the usual level, for one that reads or touches, unless it
/// fails.
/// Each has the request's id exactly once, in its span or by itself, and neither the query nor the key.
#[tokio::test]
async fn a_request_is_one_line() {
    let failing = || Fake::that(Script::Fails(SandboxError::BadRequest("no".into())));
    let ill = || Fake::that(Script::Panics);
    for (level, fake, method, target, wanted) in [
        (Level::INFO, Fake::default(), "POST", "/api/sandboxes?token=abc", Some(("INFO", 200))),
        (Level::INFO, failing(), "DELETE", "/api/sandboxes/abc", Some(("INFO", 400))),
        (Level::INFO, Fake::default(), "GET", "/api/sandboxes?token=abc", None),
        (Level::INFO, failing(), "GET", "/api/sandboxes", None),
        (Level::INFO, Fake::default(), "POST", "/api/sandboxes/abc/touch", None),
        (Level::DEBUG, Fake::default(), "POST", "/api/sandboxes/abc/touch", Some(("DEBUG", 404))),
        (Level::INFO, ill(), "POST", "/api/sandboxes/abc/touch", Some(("WARN", 500))),
        (Level::INFO, Fake::default(), "PATCH", "/api/sandboxes/abc", Some(("INFO", 422))),
        (Level::INFO, Fake::default(), "POST", "/api/reaper/resume", Some(("INFO", 200))),
        (Level::INFO, ill(), "GET", "/api/sandboxes?token=abc", Some(("WARN", 500))),
        (Level::INFO, ill(), "POST", "/api/sandboxes", Some(("WARN", 500))),
        (Level::DEBUG, Fake::default(), "GET", "/api/sandboxes", Some(("DEBUG", 200))),
        // A probe asks again every few seconds, for as long as something is missing.
        (Level::INFO, Fake::default(), "GET", "/readyz", None),
        (Level::DEBUG, Fake::default(), "GET", "/readyz", Some(("DEBUG", 503))),
    ] {
        let lines = logged(level, fake, method, target).await;
        let told =
            lines.first().map(|line| (line["level"].as_str().unwrap(), line["status"].as_u64().unwrap()));
        assert_eq!(
            (told, lines.len()),
            (wanted, usize::from(wanted.is_some())),
            "{method} {target}: {lines:?}"
        );
        for line in lines {
            let by_itself = line["request_id"].as_str();
            let in_span = line["span"]["request_id"].as_str();
            assert_eq!(by_itself.xor(in_span), Some("r-1"), "{line}");
            assert_eq!((&line["method"], &line["path"]), (&method.into(), &target.split('?').next().into()));
            assert!(!line.to_string().contains("token") && !line.to_string().contains(KEY), "{line}");
        }
    }
}
