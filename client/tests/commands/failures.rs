//! Daemons that cannot be reached, that refuse, and servers that are not daemons.

use std::io;

use client::Exit;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use crate::{
    KEY, command, command_to, command_with, sandbox,
    server::{Answer, Server, ok},
};

/// Guards the sentence and the exit status of each failure.
#[tokio::test]
async fn every_failure_has_a_sentence() {
    let html = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
    let redirect = "HTTP/1.1 302 Found\r\nlocation: https://login.example/\r\ncontent-length: 0\r\n\r\n";
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 600\r\n\r\n{";
    let later = json!({"detail": "cluster state is stale; try again in 2 s", "reason": "Stale"});
    for (answer, exit, sentence) in [
        (
            Answer::Json(401, "", json!({"detail": "Unauthorized"})),
            Exit::Unauthorized,
            "the daemon does not accept the API key from PROVISIONER_API_KEY",
        ),
        (
            Answer::Raw("HTTP/1.1 401 X\r\ncontent-length: 12\r\n\r\nUnauthorized".to_owned()),
            Exit::Unauthorized,
            "the daemon does not accept the API key from PROVISIONER_API_KEY",
        ),
        (
            Answer::Json(503, "retry-after: 2\r\n", later),
            Exit::Unavailable,
            "cluster state is stale; try again in 2 s (Stale)",
        ),
        (
            Answer::Json(404, "", json!({"detail": "Not Found"})),
            Exit::NotFound,
            "the daemon does not have this call; it may be older than this program",
        ),
        (
            Answer::Json(403, "", json!({"kind": "Status", "message": "forbidden"})),
            Exit::Unavailable,
            "URL is not a sandbox provisioner, or a proxy answered in its place: status 403 Forbidden with application/json",
        ),
        (
            Answer::Raw(html.to_owned()),
            Exit::Unavailable,
            "URL is not a sandbox provisioner, or a proxy answered in its place: status 200 OK with text/html",
        ),
        (
            Answer::Raw(redirect.to_owned()),
            Exit::Unavailable,
            "URL is not a sandbox provisioner, or a proxy answered in its place: status 302 Found, to https://login.example/",
        ),
        (
            ok(json!({"items": []})),
            Exit::Unavailable,
            "URL is not a sandbox provisioner, or a proxy answered in its place: status 200 OK with another JSON document",
        ),
        (
            Answer::Raw(cut.to_owned()),
            Exit::Unavailable,
            "URL closed the connection before its answer was complete",
        ),
        (
            Answer::Raw(String::new()),
            Exit::Unavailable,
            "URL closed the connection before its answer was complete",
        ),
        (
            Answer::Raw("\u{15}\u{3}\u{3}".to_owned()),
            Exit::Unavailable,
            "URL did not answer in HTTP; perhaps it needs https://",
        ),
    ] {
        let sent = format!("{answer:?}");
        let server = Server::start(move |_, _| answer.clone()).await;
        let outcome = command(&server.url, &["get"]).await;
        let sentence = format!("error: {}", sentence.replace("URL", &server.url));
        assert!(outcome.err.starts_with(&sentence), "{sent}: {}", outcome.err);
        assert_eq!((outcome.exit, &*outcome.out), (exit, ""), "{sent}");
    }
}

#[tokio::test]
async fn a_missing_key_is_explained() {
    let server = Server::start(|_, _| Answer::Json(401, "", json!({"detail": "Unauthorized"}))).await;
    let outcome = command_with(&[("PROVISIONER_URL", &server.url)], &["get"]).await;
    assert_eq!(outcome.exit, Exit::Unauthorized);
    assert!(
        outcome.err.starts_with("error: the daemon requires an API key: set PROVISIONER_API_KEY"),
        "{}",
        outcome.err
    );
    assert!(!server.requests()[0].headers.contains("x-api-key"));
}

#[tokio::test]
async fn a_closed_port_is_explained() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = command(&format!("http://{free}"), &["get"]).await;
    assert_eq!(outcome.exit, Exit::Unavailable);
    let sentence = format!("error: nothing listens at http://{free}: is the daemon running");
    assert!(outcome.err.starts_with(&sentence), "{}", outcome.err);
}

/// Guards that a server that accepts and says nothing does not hold a command.
#[tokio::test]
async fn a_silent_server_times_out() {
    let server = Server::start(|_, _| Answer::Open(String::new())).await;
    let outcome = command(&server.url, &["get", "--request-timeout", "50ms"]).await;
    assert_eq!(outcome.exit, Exit::Unavailable);
    assert!(outcome.err.contains("did not answer within 50ms"), "{}", outcome.err);
}

/// Guards that https to a port that speaks http is explained.
#[tokio::test]
async fn a_plain_port_is_not_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        () = server => unreachable!(),
        outcome = command(&url, &["get"]) => outcome,
    };
    // A machine without root certificates cannot connect either, and says so.
    assert!(
        outcome.err.contains(&format!("no encrypted connection to {url}: "))
            || outcome.err.contains("certificates"),
        "{outcome:?}"
    );
}

/// Guards that invalid variables are exit status 2, and that no value is shown.
#[tokio::test]
async fn invalid_variables_are_refused() {
    for variables in [
        &[("PROVISIONER_URL", "http://u:hunter2@h")][..],
        &[("PROVISIONER_API_KEY", "hunter2\n")],
        &[("PROVISIONER_API_KEY_FILE", "/nonexistent")],
        &[("PROVISIONER_API_KEY", KEY), ("PROVISIONER_API_KEY_FILE", "/k")],
    ] {
        let outcome = command_with(variables, &["get"]).await;
        assert_eq!(outcome.exit, Exit::Usage, "{outcome:?}");
    }
}

/// An output that fails.
struct Broken(io::ErrorKind);

impl io::Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Guards that a closed pipe ends a command in silence, also one that follows a stream, and that a full disk is an error.
#[tokio::test]
async fn outputs_may_fail() {
    let server = Server::start(|request, _| {
        if request.line.ends_with("/events") {
            return crate::server::open_events("event: synced\ndata: {}\n\n");
        }
        ok(json!({"sandboxes": [sandbox("a", &json!({}))]}))
    })
    .await;
    for args in [&["get"][..], &["get", "-o", "json"], &["get", "--watch"]] {
        for (kind, exit, err) in [
            (io::ErrorKind::BrokenPipe, Exit::Success, ""),
            (io::ErrorKind::StorageFull, Exit::Failed, "error: standard output cannot be written: "),
        ] {
            let variables = [("PROVISIONER_URL", server.url.as_str())];
            let (status, printed) = command_to(&mut Broken(kind), &variables, args).await;
            assert_eq!(status, exit, "{args:?}");
            assert!(printed.starts_with(err) && printed.is_empty() == err.is_empty(), "{args:?}: {printed}");
        }
    }
}
