//! `wait`, and `create --wait`.

use client::Exit;
use serde_json::json;

use crate::{
    command, not_found, sandbox,
    server::{Answer, Server, events, ok},
};

fn pending() -> serde_json::Value {
    sandbox(
        "a",
        &json!({"status": "Pending", "ready": false, "reason": "Unschedulable", "message": "no room", "hint": "add a node"}),
    )
}

/// Guards the outcome of each state that a wait can meet.
#[tokio::test]
async fn a_wait_ends() {
    let failed = sandbox("a", &json!({"status": "Failed", "ready": false}));
    for (answer, exit, text) in [
        (ok(sandbox("a", &json!({}))), Exit::Success, "sandbox \"a\" ready\n"),
        (
            ok(pending()),
            Exit::TimedOut,
            "error: sandbox \"a\" was not ready within 0s: it is Pending, Unschedulable, no room, add a node\n",
        ),
        (ok(failed), Exit::Failed, "error: sandbox \"a\" does not become ready by itself: it is Failed\n"),
        (Answer::Json(404, "", not_found("a")), Exit::NotFound, "error: Sandbox 'a' not found\n"),
    ] {
        let server = Server::start(move |_, _| answer.clone()).await;
        let outcome = command(&server.url, &["wait", "a", "--timeout", "0s"]).await;
        assert_eq!((outcome.exit, outcome.out + &outcome.err), (exit, text.to_owned()));
        assert_eq!(server.requests()[0].line, "GET /api/sandboxes/a", "it looks once");
    }
}

/// Guards that the daemon is asked to hold the answer, and that a temporary failure is not the end.
#[tokio::test]
async fn a_wait_survives_a_failure() {
    let server = Server::start(|_, number| match number {
        0 => Answer::Json(503, "retry-after: 1\r\n", json!({"detail": "stale"})),
        _ => ok(sandbox("a", &json!({}))),
    })
    .await;
    let outcome = command(&server.url, &["wait", "a", "--timeout", "1m"]).await;
    assert_eq!(outcome.exit, Exit::Success, "{outcome:?}");
    let lines: Vec<_> = server.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(lines, ["GET /api/sandboxes/a?wait=ready&timeout=25000ms"; 2]);
}

/// Guards that the end of a sandbox is waited for on its stream.
#[tokio::test]
async fn the_end_is_waited_for() {
    let server = Server::start(|request, number| match (request.line.as_str(), number) {
        ("GET /api/sandboxes/a", 0) => ok(sandbox("a", &json!({"status": "Terminating", "ready": false}))),
        ("GET /api/sandboxes/a/events", _) => events("event: deleted\ndata: {}\n\n"),
        _ => Answer::Json(404, "", not_found("a")),
    })
    .await;
    for word in ["deleted", "delete"] {
        let outcome = command(&server.url, &["wait", "a", "--for", word]).await;
        assert_eq!((outcome.exit, &*outcome.out), (Exit::Success, "sandbox \"a\" deleted\n"));
    }
}

/// Guards that `create --wait` shows the sandbox as it is afterwards, also if it is not ready.
#[tokio::test]
async fn a_create_waits() {
    for (later, exit) in [(sandbox("a", &json!({})), Exit::Success), (pending(), Exit::TimedOut)] {
        let shown = later.clone();
        let server = Server::start(move |request, _| match request.line.as_str() {
            "POST /api/sandboxes" => ok(sandbox("a", &json!({"status": "Pending", "ready": false}))),
            _ => ok(later.clone()),
        })
        .await;
        let outcome = command(&server.url, &["create", "a", "--wait", "--timeout", "0s", "-o", "json"]).await;
        assert_eq!(outcome.exit, exit, "{outcome:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&outcome.out).unwrap(), shown);
    }
}
