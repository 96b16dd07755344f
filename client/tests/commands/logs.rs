//! `logs`: its request, its output, and the end of the log.

use client::Exit;
use serde_json::json;

use crate::{
    command, not_found,
    server::{Answer, Server},
};

fn text(headers: &str, body: &str) -> Answer {
    Answer::Raw(format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n{headers}\r\n{body}"))
}

/// Guards that each flag becomes a parameter, and that the log is printed as it is.
#[tokio::test]
async fn flags_become_parameters() {
    for (args, path) in [
        (&["logs", "a"][..], "/api/sandboxes/a/logs?tail=100"),
        (&["logs", "a", "-f", "--tail", "0"], "/api/sandboxes/a/logs?tail=0&follow=true"),
        (
            &["logs", "a", "-p", "--timestamps", "--since", "1h 30m", "-c", "a/b"],
            "/api/sandboxes/a/logs?tail=100&previous=true&timestamps=true&since=5400000ms&container=a%2Fb",
        ),
    ] {
        let server = Server::start(|_, _| text("", "one\n\u{1b}[2Jtwo")).await;
        let outcome = command(&server.url, args).await;
        assert_eq!((outcome.exit, &*outcome.out, &*outcome.err), (Exit::Success, "one\n\u{1b}[2Jtwo", ""));
        let request = &server.requests()[0];
        assert_eq!(request.line, format!("GET {path}"));
        assert!(request.headers.contains("accept: text/plain"), "{request:?}");
    }
}

/// Guards that a log that was cut says so, and that one that breaks off is an error after its lines.
#[tokio::test]
async fn an_incomplete_log_says_so() {
    let server = Server::start(|_, _| text("log-truncated: true\r\n", "one\n")).await;
    let outcome = command(&server.url, &["logs", "a"]).await;
    assert_eq!((outcome.exit, &*outcome.out), (Exit::Success, "one\n"));
    assert!(outcome.err.starts_with("warning: the log is too long"), "{}", outcome.err);

    let server = Server::start(|_, _| text("transfer-encoding: chunked\r\n", "4\r\none\n\r\n")).await;
    let outcome = command(&server.url, &["logs", "a", "--follow"]).await;
    assert_eq!((outcome.exit, &*outcome.out), (Exit::Unavailable, "one\n"));
    assert!(outcome.err.starts_with("error: "), "{}", outcome.err);
}

/// Guards that an error of the daemon is shown with its exit status.
#[tokio::test]
async fn errors_are_shown() {
    let waiting = "Sandbox 'a' has no log yet: its Pod has no node";
    for (status, body, exit) in [
        (404, not_found("a"), Exit::NotFound),
        (409, json!({"detail": waiting, "reason": "LogNotReady"}), Exit::Failed),
        (503, json!({"detail": "logs cannot be read", "reason": "LogForbidden"}), Exit::Unavailable),
    ] {
        let wanted = format!("error: {}", body["detail"].as_str().unwrap());
        let server = Server::start(move |_, _| Answer::Json(status, "", body.clone())).await;
        let outcome = command(&server.url, &["logs", "a"]).await;
        assert_eq!((outcome.exit, &*outcome.out), (exit, ""));
        assert!(outcome.err.starts_with(&wanted), "{}", outcome.err);
    }
}
