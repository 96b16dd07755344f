//! Input that is meant to harm: it costs its own request at most, and never reaches the backend.

use sandbox_provisioner::{http::body, listener};
use tokio::time::{Instant, timeout};

use crate::{
    client::{Answer, Client, exchange},
    fake::Fake,
    server::{KEY, LONG, SHORT, Server, limits},
};

fn post(headers: &str) -> String {
    format!(
        "POST /api/sandboxes HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-type: application/json\r\n{headers}\r\n"
    )
}

/// The server is well, and its backend heard of nothing.
async fn unharmed(server: &Server) {
    let health = exchange(server.address, "GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(health.map(|answer| answer.status), Some(200));
    assert_eq!(server.fake.calls(), Vec::<String>::new());
}

fn is_fastapi_error(answer: &Answer, status: u16) {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (status, Some("application/json")),
        "{answer:?}"
    );
    assert!(answer.json()["detail"].is_string(), "{answer:?}");
}

/// A client that says nothing, stops in the middle of its headers, or sits on an idle connection is closed.
#[tokio::test]
async fn silent_clients_are_closed() {
    let server = Server::with(
        Fake::default(),
        listener::Limits { head_time: SHORT, ..limits() },
        body::Limits::default(),
    );
    for said in ["", "GET /hea", "GET /health HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut client = Client::connect(server.address).await;
        client.send(said).await;
        let begun = Instant::now();
        let closed = timeout(LONG, client.closed_without_a_word()).await.expect("was left open");
        assert!(closed, "{said:?} was answered");
        assert!(begun.elapsed() < LONG / 2, "{said:?}");
    }
    let mut idle = Client::connect(server.address).await;
    idle.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    assert!(timeout(LONG, idle.closed_without_a_word()).await.expect("was left open"));
    unharmed(&server).await;
}

/// Too many headers, or too long ones, are a 431 and the end of the connection.
#[tokio::test]
async fn header_floods_are_refused() {
    let server = Server::start(Fake::default());
    let many = "a: b\r\n".repeat(200);
    let long = format!("a: {}\r\n", "b".repeat(100_000));
    for flood in [many, long] {
        let wire = format!("GET /api/sandboxes HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n{flood}\r\n");
        let mut client = Client::connect(server.address).await;
        let _ = client.try_send(wire).await;
        assert_eq!(client.answer().await.map(|answer| answer.status), Some(431));
    }
    let mut endless = Client::connect(server.address).await;
    let mut sent = endless.try_send("GET / HTTP/1.1\r\n").await;
    while sent.is_ok() {
        sent = endless.try_send("a: b\r\n".repeat(10_000)).await;
    }
    unharmed(&server).await;
}

/// A body over the limit is a 413 that the client gets to read, whether it announces its length or sends
/// chunks without end, and however little of the answer it waits for while it sends.
#[tokio::test]
async fn huge_bodies_are_refused() {
    let server = Server::start(Fake::default());
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let announced = (post("content-length: 5000000\r\n"), "x".repeat(5_000_000));
    let chunked = (post("transfer-encoding: chunked\r\n"), chunk.repeat(80));
    for (head, body) in [announced, chunked] {
        let mut client = Client::connect(server.address).await;
        client.send(head).await;
        client.try_send(body).await.expect("the rest is read, so that the answer is not lost");
        let answer = timeout(LONG, client.answer()).await.unwrap().expect("no answer");
        is_fastapi_error(&answer, 413);
        assert_eq!(answer.header("connection"), Some("close"));
    }
    let absurd = exchange(server.address, post("content-length: 18446744073709551615\r\n")).await.unwrap();
    assert!((400..500).contains(&absurd.status), "{absurd:?}");
    unharmed(&server).await;
}

/// A body that stops arriving is a 408; one that breaks off, or is framed wrongly, harms nobody.
#[tokio::test]
async fn broken_bodies_are_refused() {
    let body = body::Limits { time: SHORT, ..body::Limits::default() };
    let server = Server::with(Fake::default(), limits(), body);
    let mut slow = Client::connect(server.address).await;
    slow.send(post("content-length: 20\r\n") + "{\"sandbox_id\"").await;
    is_fastapi_error(&timeout(LONG, slow.answer()).await.unwrap().unwrap(), 408);
    let mut garbled = Client::connect(server.address).await;
    garbled.send(post("transfer-encoding: chunked\r\n") + "zzz\r\n").await;
    is_fastapi_error(&timeout(LONG, garbled.answer()).await.unwrap().unwrap(), 400);
    let mut gone = Client::connect(server.address).await;
    gone.send(post("content-length: 20\r\n") + "{\"sandbox_id\"").await;
    drop(gone);
    unharmed(&server).await;
}

/// JSON that is nested ten thousand deep is a 422 and costs no stack; what is not UTF-8 is no text, as FastAPI says.
#[tokio::test]
async fn hostile_json_is_refused() {
    let server = Server::start(Fake::default());
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let body_reader: [(Vec<u8>, u16); 5] = [
        (deep.clone().into(), 422),
        (format!("{{\"sandbox_id\":\"abc\",\"x\":{deep}}}").into(), 422),
        (b"{\"sandbox_id\":\"\xff\"}".into(), 400),
        (b"\xff\xfe".into(), 400),
        (b"\0".into(), 422),
    ];
    for (body, status) in body_reader {
        let mut wire = post(&format!("content-length: {}\r\n", body.len())).into_bytes();
        wire.extend(&body);
        let answer = exchange(server.address, wire).await.unwrap();
        assert_eq!(
            answer.status,
            status,
            "{:?}: {answer:?}",
            String::from_utf8_lossy(&body[..20.min(body.len())])
        );
    }
    unharmed(&server).await;
}

/// An id in a path that can name no sandbox is answered as a missing one, as often as it is asked for.
#[tokio::test]
async fn hostile_ids_are_missing() {
    let server = Server::start(Fake::default());
    let long = "a".repeat(5000);
    for (segment, echoed) in [
        ("%2e%2e", Some("..")),
        ("..", Some("..")),
        ("a%00b", Some("a\0b")),
        ("a%0d%0aX-Evil:%201", Some("a\r\nX-Evil: 1")),
        ("a%0Ab", Some("a\nb")),
        ("%22%7D", Some("\"}")),
        ("a%252e", Some("a%2e")),
        ("Upper", Some("Upper")),
        ("-a", Some("-a")),
        (&long, Some(&long)),
        ("%ff", Some("\u{fffd}")),
        ("a%2Fb", None),
        ("..%2f..%2fpods", None),
    ] {
        let wire = |method| {
            format!("{method} /api/sandboxes/{segment} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n")
        };
        let got = exchange(server.address, wire("GET")).await.unwrap();
        is_fastapi_error(&got, 404);
        let detail = echoed.map_or("Not Found".to_owned(), |id| format!("Sandbox '{id}' not found"));
        assert_eq!(got.json()["detail"], detail.as_str(), "{segment}");
        assert_eq!(got.header("x-evil"), None);
        let deleted = exchange(server.address, wire("DELETE")).await.unwrap();
        match echoed {
            Some(id) => {
                assert_eq!((deleted.status, &deleted.json()["sandbox_id"]), (200, &id.into()), "{segment}");
            }
            None => is_fastapi_error(&deleted, 404),
        }
    }
    unharmed(&server).await;
}

/// What is no HTTP at all is a 400 or a close, and a raw NUL or newline in a target is no path of ours.
#[tokio::test]
async fn what_is_no_http_is_refused() {
    let server = Server::start(Fake::default());
    for wire in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello TLS \r\n\r\n"[..],
        b"GET /api/sandboxes/a\0b HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /api/sandboxes/a\nb HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /api/sandboxes HTTP/1.1\r\nhost: x\r\nx-api-key: a\0b\r\n\r\n",
    ] {
        let answer = exchange(server.address, wire).await;
        assert!(answer.as_ref().is_none_or(|a| (400..500).contains(&a.status)), "{answer:?}");
    }
    let smuggled = post("content-length: 4\r\ntransfer-encoding: chunked\r\n")
        + "0\r\n\r\nGET /api/sandboxes HTTP/1.1\r\n\r\n";
    exchange(server.address, smuggled).await;
    unharmed(&server).await;
}

/// A client that asks for much and never reads it is cut after the limit: nothing is left to cut at the stop.
#[tokio::test]
async fn a_reader_that_never_reads_is_cut() {
    let server = Server::with(
        Fake::with_sandboxes(50_000),
        listener::Limits { stall: SHORT, ..limits() },
        body::Limits::default(),
    );
    let mut client = Client::connect(server.address).await;
    client.send(format!("GET /api/sandboxes HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n")).await;
    server.fake.called().await;
    let drained = timeout(LONG * 2, server.stop()).await.unwrap();
    assert_eq!(drained.aborted, 0);
}
