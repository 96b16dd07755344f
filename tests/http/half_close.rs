//! Clients that close their sending side.

use sandbox_provisioner::{http::body, listener};
use tokio::time::{sleep, timeout};

use crate::{
    client::{Client, exchange},
    connections::{create, get},
    fake::{Fake, Script},
    server::{LONG, SHORT, Server, limits},
};

/// Sends these bytes, closes the sending side, and returns the status of each response until the server closes the
/// connection.
async fn statuses(server: &Server, bytes: &str) -> Vec<u16> {
    let mut client = Client::connect(server.address).await;
    client.send(bytes).await;
    client.half_close().await;
    let mut statuses = Vec::new();
    let closed = async {
        while let Some(answer) = client.answer_or_close().await.expect("the connection was reset") {
            // A `100 Continue` comes before the response.
            statuses.extend(Some(answer.status).filter(|status| *status >= 200));
        }
    };
    timeout(LONG / 2, closed).await.expect("the connection stays open");
    statuses
}

/// Guards that a request is answered whether its half-close arrives before, with or after it, also with HTTP/1.0, with a
/// chunked body, and when many requests are pipelined.
#[tokio::test]
async fn a_request_is_answered_after_a_half_close() {
    let server = Server::start(Fake::default());
    let chunked = create("a", "HTTP/1.1", "").replace("content-length: 18", "transfer-encoding: chunked");
    let chunked = chunked.replace("{\"sandbox_id\":\"a\"}", "12\r\n{\"sandbox_id\":\"a\"}\r\n0\r\n\r\n");
    for (bytes, wanted) in [
        (create("a", "HTTP/1.1", ""), &[200][..]),
        (create("a", "HTTP/1.0", ""), &[200]),
        (create("a", "HTTP/1.1", "expect: 100-continue\r\n"), &[200]),
        (chunked, &[200]),
        (get("/api/sandboxes/a"), &[200]),
        (get("/api/sandboxes").replace("1.1", "1.0"), &[200]),
        (get("/api/sandboxes").replace("GET", "HEAD"), &[405]),
        (get("/zzz"), &[404]),
        (create("b", "HTTP/1.1", "") + &get("/api/sandboxes/b"), &[200, 200]),
        (get("/health").repeat(20), &[200; 20]),
    ] {
        for _ in 0..20 {
            assert_eq!(statuses(&server, &bytes).await, wanted, "{bytes}");
        }
    }
}

/// Guards that a request is answered when the half-close arrives while the backend works.
#[tokio::test]
async fn a_request_in_flight_is_answered_after_a_half_close() {
    let server = Server::start(Fake::new(Script::Waits));
    let mut client = Client::connect(server.address).await;
    client.send(create("a", "HTTP/1.1", "")).await;
    server.fake.called().await;
    client.half_close().await;
    sleep(SHORT).await;
    server.fake.resume();
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert!(timeout(LONG, client.answer()).await.unwrap().is_none(), "the connection stays open");
}

/// Guards that an incomplete body is a 400, that an incomplete request line or head has no response or a 400, and that
/// the connection then closes.
#[tokio::test]
async fn a_half_close_in_the_middle_of_a_request() {
    let server = Server::start(Fake::default());
    let whole = create("a", "HTTP/1.1", "");
    let body = whole.find("\r\n\r\n").unwrap() + 4;
    for end in 0..whole.len() {
        let answered = statuses(&server, &whole[..end]).await;
        let wanted = if end < body { &[][..] } else { &[400] };
        assert_eq!(answered, wanted, "{end}: {:?}", &whole[..end]);
    }
    let chunk = whole.replace("content-length: 18", "transfer-encoding: chunked");
    let chunk = chunk.replace("{\"sandbox_id\"", "12\r\n{\"sandbox_id\"");
    assert_eq!(statuses(&server, &chunk).await, [400]);
    assert_eq!(server.fake.calls(), [""; 0]);
}

/// Guards that a half-close between requests closes the connection, so that its slot is free.
#[tokio::test]
async fn a_half_close_between_requests_closes_the_connection() {
    let limits = listener::Limits { connections: 1, ..limits() };
    let server = Server::with(Fake::default(), limits, body::Limits::default());
    let mut client = Client::connect(server.address).await;
    for _ in 0..2 {
        client.send(get("/health")).await;
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    client.half_close().await;
    assert!(timeout(LONG / 2, client.answer()).await.unwrap().is_none());
    let free =
        async { while exchange(server.address, get("/health")).await.is_none_or(|a| a.status != 200) {} };
    timeout(LONG / 2, free).await.expect("the slot is still taken");
}

/// Guards that a reset after a half-close ends the request.
#[tokio::test]
async fn a_reset_after_a_half_close_ends_the_request() {
    let server = Server::start(Fake::new(Script::Hangs));
    let mut client = Client::connect(server.address).await;
    client.send(create("a", "HTTP/1.1", "")).await;
    server.fake.called().await;
    client.half_close().await;
    client.reset();
    let drained = timeout(LONG / 2, server.stop()).await.expect("the request still runs");
    assert_eq!(drained.aborted, 0);
}
