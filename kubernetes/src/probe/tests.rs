//! These tests do not sleep. A slow server never answers, so the prober's own deadline ends the wait.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use lifecycle::ids::SandboxId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::*;
use crate::fake::{self, Answer, Log};

fn id() -> SandboxId {
    SandboxId::parse("a").unwrap()
}

fn probes(texts: &[&str]) -> ProbeOptions {
    let probes = texts.iter().map(|text| Probe::parse(text).unwrap()).collect();
    ProbeOptions { probes, idle_cpu_millis: None }
}

/// Creates a prober, and the log of its calls to the API server.
fn prober(options: ProbeOptions) -> (Prober, Log) {
    let (connection, log) = fake::server(|_, _| Answer::Json(500, Value::Null));
    (Prober::new(options, connection), log)
}

/// Starts a server that passes each connection to the handler. It stops when the set is dropped.
async fn listen<F>(handler: impl Fn(TcpStream) -> F + Send + 'static) -> (SocketAddr, JoinSet<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(handler(stream));
        }
    });
    (address, tasks)
}

/// Starts a sandbox that computes its answers from the path.
async fn sandbox(
    answer: impl Fn(&str) -> (StatusCode, String) + Clone + Send + Sync + 'static,
) -> (String, JoinSet<()>) {
    let (address, tasks) = listen(move |stream| {
        let answer = answer.clone();
        async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (status, body) = answer(request.uri().path());
                let mut response = Response::new(Full::new(Bytes::from(body)));
                *response.status_mut() = status;
                async move { Ok::<_, Infallible>(response) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await;
    (format!("http://{address}"), tasks)
}

/// Guards the meaning of each answer to a probe.
#[test]
fn answers_are_evaluated() {
    let probe = Probe::parse("/v1/shell/sessions#/data/sessions").unwrap();
    let yes = Busy::Yes("/v1/shell/sessions".to_owned());
    let unanswered = |why: &str| Busy::Unanswered(format!("/v1/shell/sessions: {why}"));
    for (status, body, meant) in [
        (200, r#"{"data": {"sessions": {"a": {}}}}"#, yes.clone()),
        (200, r#"{"data": {"sessions": [0]}}"#, yes.clone()),
        (200, r#"{"data": {"sessions": "x"}}"#, yes.clone()),
        (200, r#"{"data": {"sessions": true}}"#, yes.clone()),
        (200, r#"{"data": {"sessions": 2}}"#, yes.clone()),
        (200, r#"{"data": {"sessions": -0.5}}"#, yes.clone()),
        (201, r#"{"data": {"sessions": 99999999999999999999999}}"#, yes),
        (200, r#"{"data": {"sessions": {}}}"#, Busy::No),
        (200, r#"{"data": {"sessions": []}}"#, Busy::No),
        (200, r#"{"data": {"sessions": ""}}"#, Busy::No),
        (200, r#"{"data": {"sessions": false}}"#, Busy::No),
        (200, r#"{"data": {"sessions": 0}}"#, Busy::No),
        (200, r#"{"data": {"sessions": -0.0}}"#, Busy::No),
        (200, r#"{"data": {"sessions": null}}"#, Busy::No),
        (200, r#"{"data": null}"#, Busy::No),
        (200, "[]", Busy::No),
        (404, "whatever", Busy::No),
        (200, "", unanswered("the answer is not JSON")),
        (200, "<html>", unanswered("the answer is not JSON")),
        (200, r#"{"data": {"sessions": {}}"#, unanswered("the answer is not JSON")),
        (302, "", unanswered("HTTP 302")),
        (401, r#"{"data": {"sessions": {}}}"#, unanswered("HTTP 401")),
        (500, r#"{"data": {"sessions": {}}}"#, unanswered("HTTP 500")),
        (503, "", unanswered("HTTP 503")),
    ] {
        assert_eq!(judge(&probe, status, body.as_bytes()), meant, "{status} {body}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(judge(&probe, 200, deep.as_bytes()), unanswered("the answer is not JSON"));
    let every = Probe::parse("/s#/data/*/current_command").unwrap();
    let list = |command: &str| {
        format!(r#"{{"data": [{{"current_command": null}}, {{"current_command": {command}}}]}}"#)
    };
    assert_eq!(judge(&every, 200, list("\"make\"").as_bytes()), Busy::Yes("/s".to_owned()));
    assert_eq!(judge(&every, 200, list("null").as_bytes()), Busy::No);
}

/// Guards that a sandbox is idle only if all probes are answered, and that one busy answer is enough.
#[test]
fn one_busy_answer_is_enough() {
    let yes = || Busy::Yes("a".to_owned());
    let unanswered = || Busy::Unanswered("b".to_owned());
    let unasked = || Busy::Unasked("c".to_owned());
    for (answers, busy) in [
        (vec![], Busy::No),
        (vec![Busy::No, Busy::No], Busy::No),
        (vec![Busy::No, unanswered()], unanswered()),
        (vec![unanswered(), Busy::No], unanswered()),
        (vec![unanswered(), yes(), Busy::No], yes()),
        (vec![yes(), unanswered()], yes()),
        (vec![Busy::No, unasked(), Busy::No], unasked()),
        (vec![unasked(), unanswered()], unanswered()),
        (vec![unanswered(), unasked()], unanswered()),
        (vec![unasked(), yes()], yes()),
    ] {
        assert_eq!(combine(answers.clone()), busy, "{answers:?}");
    }
}

/// Guards that a probe consists of a path on the sandbox and a pointer, and that its `Display` is its source.
#[test]
fn probes_are_parsed() {
    for good in ALL_IN_ONE.into_iter().chain(["/#", "/a?b=c#/d", "/a#/b~1c/*"]) {
        assert_eq!(Probe::parse(good).unwrap().to_string(), good);
    }
    for (bad, error) in [
        ("/v1/shell/sessions", ProbeError::NoPointer("/v1/shell/sessions".to_owned())),
        ("v1#/a", ProbeError::Path("v1".to_owned())),
        ("#/a", ProbeError::Path(String::new())),
        ("http://elsewhere/#/a", ProbeError::Path("http://elsewhere/".to_owned())),
        ("//elsewhere/x#/a", ProbeError::Path("//elsewhere/x".to_owned())),
        ("/a b#/a", ProbeError::Path("/a b".to_owned())),
        ("/a\r\nHost: x#/a", ProbeError::Path("/a\r\nHost: x".to_owned())),
        ("/a#data", ProbeError::Pointer("data".to_owned())),
        ("/a#/~2", ProbeError::Pointer("/~2".to_owned())),
    ] {
        assert_eq!(Probe::parse(bad), Err(error), "{bad:?}");
    }
}

/// Guards that no call is made without probes.
#[tokio::test(start_paused = true)]
async fn without_probes_no_call_is_made() {
    let (prober, log) = prober(ProbeOptions::default());
    assert_eq!(prober.ask(&id(), "http://127.0.0.1:1").await, Busy::No);
    assert_eq!(log.len(), 0);
}

/// Guards that a sandbox like the all-in-one image is busy with one open session of any of the four kinds, idle without
/// sessions, and idle if the image does not have the API.
#[tokio::test]
async fn an_open_session_is_busy() {
    let shell = |path: &str, open: &str| match path {
        "/v1/shell/sessions" => (StatusCode::OK, format!(r#"{{"data": {{"sessions": {{{open}}}}}}}"#)),
        "/v1/bash/sessions" => (StatusCode::OK, r#"{"data": []}"#.to_owned()),
        _ => (StatusCode::NOT_FOUND, "{}".to_owned()),
    };
    let (asker, _) = prober(probes(&ALL_IN_ONE));
    let (busy, _tasks) = sandbox(move |path| shell(path, r#""s": {"status": "running"}"#)).await;
    assert_eq!(asker.ask(&id(), &busy).await, Busy::Yes("/v1/shell/sessions".to_owned()));
    let (quiet, _tasks) = sandbox(move |path| shell(path, "")).await;
    assert_eq!(asker.ask(&id(), &quiet).await, Busy::No);
    let (bare, _tasks) = sandbox(|_| (StatusCode::NOT_FOUND, "not here".to_owned())).await;
    assert_eq!(asker.ask(&id(), &bare).await, Busy::No);
}

/// Guards that a hostile or broken sandbox costs little time and memory, and never counts as idle.
#[tokio::test]
async fn a_broken_sandbox_has_not_answered() {
    let (asker, _) = prober(probes(&["/s#/a"]));
    // This deadline is short enough to wait for.
    let hasty = Prober { deadline: Duration::from_millis(200), ..prober(probes(&["/s#/a"])).0 };
    let says = |busy: Busy, word: &str| match busy {
        Busy::Unanswered(why) => assert!(why.starts_with("/s: ") && why.contains(word), "{why}"),
        other => panic!("{other:?}, not {word}"),
    };

    let (silent, _tasks) = listen(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    says(hasty.ask(&id(), &format!("http://{silent}")).await, "no answer within");

    let (slow, _tasks) = listen(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{").await;
        std::future::pending::<()>().await;
    })
    .await;
    says(hasty.ask(&id(), &format!("http://{slow}")).await, "no answer within");

    let (huge, _tasks) = listen(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let chunk = [b"1000\r\n".as_slice(), &[b'['; 0x1000], b"\r\n"].concat();
        while stream.write_all(&chunk).await.is_ok() {}
    })
    .await;
    says(asker.ask(&id(), &format!("http://{huge}")).await, "longer than 64 KiB");

    let (heads, _tasks) = listen(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"X-Pad: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").await.is_ok() {}
    })
    .await;
    says(asker.ask(&id(), &format!("http://{heads}")).await, "broke");

    for garbage in
        ["\0\0\0\0\r\n\r\n", "HTTP/9 hello\r\n\r\n", "", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"]
    {
        let (odd, _tasks) = listen(move |mut stream| async move {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(garbage.as_bytes()).await;
        })
        .await;
        says(asker.ask(&id(), &format!("http://{odd}")).await, "broke");
    }

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    says(asker.ask(&id(), &format!("http://{closed}")).await, "could not be reached");
    says(asker.ask(&id(), "https://127.0.0.1:1").await, "not plain http");
    says(asker.ask(&id(), "no url at all").await, "no usable URL");
}

/// Guards that redirects are not followed, so that a sandbox cannot make this service call another host.
#[tokio::test]
async fn redirects_are_not_followed() {
    let called = Arc::new(AtomicBool::new(false));
    let note = Arc::clone(&called);
    let (elsewhere, _tasks) = listen(move |_| {
        note.store(true, Ordering::SeqCst);
        async {}
    })
    .await;
    let (redirecting, _tasks) = listen(move |mut stream| async move {
        let head =
            format!("HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
    })
    .await;
    let (asker, _) = prober(probes(&["/s#/a"]));
    let told = asker.ask(&id(), &format!("http://{redirecting}")).await;
    assert_eq!(told, Busy::Unanswered("/s: HTTP 302".to_owned()));
    assert!(!called.load(Ordering::SeqCst));
}

/// Guards the limit on connections when many sandboxes are probed at once.
#[tokio::test]
async fn probes_in_flight_are_bounded() {
    let open = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let seen = Arc::clone(&open);
    let (address, _tasks) = listen(move |mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            let now = seen.0.fetch_add(1, Ordering::SeqCst) + 1;
            seen.1.fetch_max(now, Ordering::SeqCst);
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            seen.0.fetch_sub(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let (asker, _) = prober(probes(&["/s#/a"]));
    let url = format!("http://{address}");
    let id = id();
    let answers = join_all((0..200).map(|_| asker.ask(&id, &url))).await;
    let most = open.1.load(Ordering::SeqCst);
    assert!(answers.iter().all(|busy| *busy == Busy::No), "{answers:?}");
    assert!((2..=IN_FLIGHT_MAX).contains(&most), "{most}");
}
