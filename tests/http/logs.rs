//! `GET /api/sandboxes/{id}/logs`: the response, and which requests get it.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use lifecycle::{
    error::SandboxError,
    ids::SandboxId,
    log::{BYTES_MAX, LogQuery},
};
use sandbox_provisioner::http::body;
use serde_json::json;
use testkit::{Answer, Client};

use crate::{
    fake::{Fake, Script},
    server::{self, KEY, Server},
};

const PATH: &str = "/api/sandboxes/abc/logs";

fn client(fake: &Fake) -> Client {
    Client::direct(server::frontend(fake.clone(), body::Limits::default(), Vec::new())).with_key(Some(KEY))
}

async fn fetch(fake: &Fake, path: &str) -> Answer {
    client(fake).fetch(path).await
}

/// Guards the body, which is what the container has printed, and headers with which browsers show it as text and do not
/// keep it.
#[tokio::test]
async fn a_log_is_plain_text() {
    let text = b"<script>\xff\n";
    let fake = Fake::with_log("abc", text);
    let answer = fetch(&fake, PATH).await;
    assert_eq!((answer.status, &*answer.bytes), (200, &text[..]));
    for (name, value) in [
        ("content-type", Some("text/plain; charset=utf-8")),
        ("cache-control", Some("no-store")),
        ("x-content-type-options", Some("nosniff")),
        ("log-truncated", None),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert_eq!(fake.calls(), [format!("log of abc {:?}", LogQuery::default())]);
}

/// Guards that a log that was cut says so.
#[tokio::test]
async fn a_cut_log_says_so() {
    let fake = Fake::with_log("abc", &b"0123456\n".repeat(BYTES_MAX / 8));
    assert_eq!(fetch(&fake, PATH).await.header("log-truncated"), Some("true"));
}

/// Guards that a log that is followed arrives line by line over a socket, and that an error of the cluster breaks the
/// connection, so that it is not taken for the end.
#[tokio::test]
async fn a_followed_log_ends_in_order_or_breaks() {
    let path = format!("{PATH}?follow=true&tail=2");
    for (text, breaks) in [(&b"one\ntwo\n"[..], false), (b"one\ntwo\nbroken\n", true)] {
        let server = Server::start(Fake::with_log("abc", text));
        let mut lines = Client::at(server.address).with_key(Some(KEY)).follow(&path).await.unwrap();
        for line in ["one", "two"] {
            assert_eq!(lines.next().await.unwrap().as_deref(), Some(line));
        }
        let end = lines.next().await;
        assert!(if breaks { end.is_err() } else { matches!(end, Ok(None)) }, "{end:?}");
        let query = LogQuery { tail: 2, ..LogQuery::default() };
        assert_eq!(server.fake.calls(), [format!("follow log of abc {query:?}")]);
    }
}

/// Guards that HTTP/1.0, which has no chunks, gets a followed log, too.
#[tokio::test]
async fn a_followed_log_is_a_body() {
    let frontend = server::frontend(Fake::with_log("abc", b"one\n"), body::Limits::default(), Vec::new());
    let request = Request::get(format!("{PATH}?follow")).header("x-api-key", KEY);
    let answer = frontend.answer(request.body(Full::<Bytes>::default()).unwrap(), None).await;
    assert!(answer.body().is_stream());
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "one\n");
}

/// Guards that an unknown sandbox is a 404, for both forms of a log, and that nothing but GET with the key is served.
#[tokio::test]
async fn only_a_get_of_a_sandbox_is_served() {
    let fake = Fake::with_log("abc", b"");
    assert_eq!(fetch(&fake, PATH).await.status, 200);
    for query in ["", "?follow=true"] {
        for id in ["def", "UPPER"] {
            let answer = fetch(&fake, &format!("/api/sandboxes/{id}/logs{query}")).await;
            assert_eq!(answer.to_string(), format!("404 | NotFound | Sandbox '{id}' not found"));
        }
    }
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::DELETE] {
        let answer = client(&fake).call(method, PATH, None).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
    }
    assert_eq!(client(&fake).with_key(None).fetch(PATH).await.status, 401);
    let invalid = fetch(&fake, &format!("{PATH}?tail=5001&since=x")).await;
    assert_eq!(invalid.status, 422);
    assert_eq!(invalid.body["detail"][0]["loc"], json!(["query", "tail"]));
    assert_eq!(invalid.body["detail"][1]["loc"], json!(["query", "since"]));
}

/// Guards the status of each error of a log.
#[tokio::test]
async fn each_error_has_its_status() {
    let id = SandboxId::parse("abc").unwrap();
    let fault = |kind| lifecycle::error::ClusterError::new(kind, "words");
    for (error, wanted) in [
        (
            SandboxError::LogNotReady { id: id.clone(), why: "its Pod has no node".to_owned() },
            "409 | LogNotReady | Sandbox 'abc' has no log yet: its Pod has no node",
        ),
        (
            SandboxError::NoPreviousLog { id },
            "409 | NoPreviousLog | Sandbox 'abc' has no previous log: no container of it has ended and was started again",
        ),
        (
            SandboxError::LogForbidden { fault: fault(lifecycle::error::ClusterErrorKind::Forbidden) },
            "503 | LogForbidden | logs cannot be read: the daemon's role lacks the right \"get\" on \"pods/log\", which \
             config/rbac.yaml has as a comment (Forbidden (words))",
        ),
    ] {
        for query in ["", "?follow=true"] {
            let answer = fetch(&Fake::new(Script::Fails(error.clone())), &format!("{PATH}{query}")).await;
            assert_eq!(answer.to_string(), wanted);
        }
    }
}
