//! Malicious input: it can only fail its own request, and never reaches the backend.

use sandbox_provisioner::{http::body, listener};
use testkit::Answer;
use tokio::time::{Instant, timeout};

use crate::{
    client::{Client, exchange},
    fake::Fake,
    server::{KEY, LONG, SHORT, Server, limits},
};

fn post(headers: &str) -> String {
    format!(
        "POST /api/sandboxes HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-type: application/json\r\n{headers}\r\n"
    )
}

/// Checks that the server still answers, and that its backend was not called.
async fn check_unharmed(server: &Server) {
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

/// Guards that a connection is closed if it sends nothing, stops in the middle of its headers, or stays idle.
#[tokio::test]
async fn silent_clients_are_closed() {
    let server = Server::with(
        Fake::default(),
        listener::Limits { head_time: SHORT, ..limits() },
        body::Limits::default(),
    );
    for sent in ["", "GET /hea", "GET /health HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut client = Client::connect(server.address).await;
        client.send(sent).await;
        let start = Instant::now();
        let closed =
            timeout(LONG, client.closed_without_answer()).await.expect("the connection is still open");
        assert!(closed, "{sent:?} was answered");
        assert!(start.elapsed() < LONG / 2, "{sent:?}");
    }
    let mut idle = Client::connect(server.address).await;
    idle.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    assert!(timeout(LONG, idle.closed_without_answer()).await.expect("the connection is still open"));
    check_unharmed(&server).await;
}

/// Guards that too many or too long headers are a 431, and that the connection closes.
#[tokio::test]
async fn header_floods_are_refused() {
    let server = Server::start(Fake::default());
    let many = "a: b\r\n".repeat(200);
    let long = format!("a: {}\r\n", "b".repeat(100_000));
    for flood in [many, long] {
        let request = format!("GET /api/sandboxes HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n{flood}\r\n");
        let mut client = Client::connect(server.address).await;
        let _ = client.try_send(request).await;
        assert_eq!(client.answer().await.map(|answer| answer.status), Some(431));
    }
    let mut endless = Client::connect(server.address).await;
    let mut sent = endless.try_send("GET / HTTP/1.1\r\n").await;
    while sent.is_ok() {
        sent = endless.try_send("a: b\r\n".repeat(10_000)).await;
    }
    check_unharmed(&server).await;
}

/// Guards that a body over the limit is a 413 which the client can read, with a length and in chunks, also if the
/// client reads only after it has sent everything.
#[tokio::test]
async fn huge_bodies_are_refused() {
    let server = Server::start(Fake::default());
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let announced = (post("content-length: 5000000\r\n"), "x".repeat(5_000_000));
    let chunked = (post("transfer-encoding: chunked\r\n"), chunk.repeat(80));
    for (head, body) in [announced, chunked] {
        let mut client = Client::connect(server.address).await;
        client.send(head).await;
        client.try_send(body).await.expect("the rest of the body was not read");
        let answer = timeout(LONG, client.answer()).await.unwrap().expect("no answer");
        is_fastapi_error(&answer, 413);
        assert_eq!(answer.header("connection"), Some("close"));
    }
    let overflowing =
        exchange(server.address, post("content-length: 18446744073709551615\r\n")).await.unwrap();
    assert!((400..500).contains(&overflowing.status), "{overflowing:?}");
    check_unharmed(&server).await;
}

/// Guards that a body that stops arriving is a 408, and that an aborted or invalid body affects no other request.
#[tokio::test]
async fn broken_bodies_are_refused() {
    let body = body::Limits { time: SHORT, ..body::Limits::default() };
    let server = Server::with(Fake::default(), limits(), body);
    let mut slow = Client::connect(server.address).await;
    slow.send(post("content-length: 20\r\n") + "{\"sandbox_id\"").await;
    is_fastapi_error(&timeout(LONG, slow.answer()).await.unwrap().unwrap(), 408);
    let mut invalid = Client::connect(server.address).await;
    invalid.send(post("transfer-encoding: chunked\r\n") + "zzz\r\n").await;
    is_fastapi_error(&timeout(LONG, invalid.answer()).await.unwrap().unwrap(), 400);
    let mut aborted = Client::connect(server.address).await;
    aborted.send(post("content-length: 20\r\n") + "{\"sandbox_id\"").await;
    drop(aborted);
    check_unharmed(&server).await;
}

/// Guards that deeply nested JSON is a 422 and does not overflow the stack, and that a body that is not text is a 400.
#[tokio::test]
async fn hostile_json_is_refused() {
    let server = Server::start(Fake::default());
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let cases: [(Vec<u8>, u16); 6] = [
        (deep.clone().into(), 422),
        (format!("{{\"sandbox_id\":\"abc\",\"x\":{deep}}}").into(), 422),
        (b"{\"sandbox_id\":\"\xff\"}".into(), 400),
        (b"\xff\xfe".into(), 422),
        (b"\xff\xfe{".into(), 400),
        (b"\0".into(), 422),
    ];
    for (body, status) in cases {
        let mut request = post(&format!("content-length: {}\r\n", body.len())).into_bytes();
        request.extend(&body);
        let answer = exchange(server.address, request).await.unwrap();
        assert_eq!(
            answer.status,
            status,
            "{:?}: {answer:?}",
            String::from_utf8_lossy(&body[..20.min(body.len())])
        );
    }
    check_unharmed(&server).await;
}

/// Guards that an invalid id in a path is answered as that of a missing sandbox, for GET and DELETE.
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
        let request = |method| {
            format!("{method} /api/sandboxes/{segment} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n")
        };
        let got = exchange(server.address, request("GET")).await.unwrap();
        is_fastapi_error(&got, 404);
        let detail = echoed.map_or("Not Found".to_owned(), |id| format!("Sandbox '{id}' not found"));
        assert_eq!(got.json()["detail"], detail.as_str(), "{segment}");
        assert_eq!(got.header("x-evil"), None);
        let deleted = exchange(server.address, request("DELETE")).await.unwrap();
        match echoed {
            Some(id) => {
                assert_eq!((deleted.status, &deleted.json()["sandbox_id"]), (200, &id.into()), "{segment}");
            }
            None => is_fastapi_error(&deleted, 404),
        }
    }
    check_unharmed(&server).await;
}

/// Guards that invalid HTTP is a 4xx or closes the connection, also a raw NUL or newline in a target.
#[tokio::test]
async fn invalid_http_is_refused() {
    let server = Server::start(Fake::default());
    for request in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello TLS \r\n\r\n"[..],
        b"GET /api/sandboxes/a\0b HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /api/sandboxes/a\nb HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /api/sandboxes HTTP/1.1\r\nhost: x\r\nx-api-key: a\0b\r\n\r\n",
    ] {
        let answer = exchange(server.address, request).await;
        assert!(answer.as_ref().is_none_or(|a| (400..500).contains(&a.status)), "{answer:?}");
    }
    let smuggled = post("content-length: 4\r\ntransfer-encoding: chunked\r\n")
        + "0\r\n\r\nGET /api/sandboxes HTTP/1.1\r\n\r\n";
    exchange(server.address, smuggled).await;
    check_unharmed(&server).await;
}

/// Guards that the connection of a client that never reads its response is closed after the limit, before the stop.
#[tokio::test]
async fn a_client_that_never_reads_is_disconnected() {
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
