//! `?wait=ready`: the requests that wait, and their parameters.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use sandbox_provisioner::http::body;
use serde_json::{Value, json};

use crate::{
    fake::Fake,
    server::{self, KEY},
};

/// Sends requests, and returns the status and the body of each response.
async fn ask(fake: &Fake, requests: &[(&str, &str)]) -> Vec<(u16, Value)> {
    let frontend = server::frontend(fake.clone(), body::Limits::default(), Vec::new());
    let mut answers = Vec::new();
    for (method, target) in requests {
        let body = if *method == "POST" { r#"{"sandbox_id":"s0"}"# } else { "" };
        let request = Request::builder().method(*method).uri(*target).header("x-api-key", KEY);
        let request = request.header("content-type", "application/json");
        let answer = frontend.answer(request.body(Full::<Bytes>::from(body)).unwrap(), None).await;
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        answers.push((parts.status.as_u16(), serde_json::from_slice(&bytes).unwrap()));
    }
    answers
}

/// Guards that a POST waits after its create and a GET instead of its look, for the time that it asks for, and that no other
/// request waits.
#[tokio::test(start_paused = true)]
async fn posts_and_gets_wait_if_they_ask_for_it() {
    let fake = Fake::default();
    let answers = ask(
        &fake,
        &[
            ("GET", "/api/sandboxes/s0?wait=ready"),
            ("POST", "/api/sandboxes?wait=ready&timeout=10s"),
            ("GET", "/api/sandboxes/s0?wait=ready"),
            ("GET", "/api/sandboxes/s0?timeout=5s"),
            ("GET", "/api/sandboxes/s0/presence?wait=ready"),
            ("POST", "/api/sandboxes/s0/touch?wait=ready"),
            ("GET", "/api/sandboxes?wait=ready"),
        ],
    )
    .await;
    let statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [404, 200, 200, 200, 200, 200, 200]);
    let calls = [
        "wait s0 for 25000 ms",
        "create s0",
        "wait s0 for 10000 ms",
        "wait s0 for 25000 ms",
        "get s0",
        "presence s0",
        "touch s0",
        "list",
    ];
    assert_eq!(fake.calls(), calls);
}

/// Guards that an invalid parameter is a 422 that names it, before anything is done.
#[tokio::test(start_paused = true)]
async fn invalid_parameters_are_refused_before_anything_is_done() {
    let fake = Fake::default();
    let requests =
        [("POST", "/api/sandboxes?wait=ready&timeout=26s"), ("GET", "/api/sandboxes/s0?wait=running")];
    let answers = ask(&fake, &requests).await;
    let rule = "a duration such as \"10s\" or \"500ms\", at most 25s";
    let wanted = [
        json!({"type": "time_delta_parsing", "loc": ["query", "timeout"], "input": "26s",
            "msg": format!("Input should be {rule}"), "ctx": {"error": rule}}),
        json!({"type": "literal_error", "loc": ["query", "wait"], "input": "running",
            "msg": "Input should be 'ready'", "ctx": {"expected": "'ready'"}}),
    ];
    for ((status, body), wanted) in answers.iter().zip(wanted) {
        assert_eq!((*status, &body["detail"]), (422, &json!([wanted])));
    }
    assert_eq!(fake.calls(), [""; 0]);
}
