//! Connections: their number, their duration and their end.

use sandbox_provisioner::{http::body, listener};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    client::{Client, exchange},
    fake::{Fake, Script},
    server::{KEY, LONG, SHORT, Server, limits},
};

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n")
}

pub fn create(id: &str, version: &str, headers: &str) -> String {
    let body = format!("{{\"sandbox_id\":\"{id}\"}}");
    format!(
        "POST /api/sandboxes {version}\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// Guards that pipelined requests are answered in their order.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(Fake::default());
    let mut client = Client::connect(server.address).await;
    client
        .send(create("a", "HTTP/1.1", "") + &get("/api/sandboxes/a") + &get("/zzz") + &get("/health"))
        .await;
    for status in [200, 200, 404, 200] {
        assert_eq!(client.answer().await.unwrap().status, status);
    }
    assert_eq!(server.fake.calls(), ["create a", "get a"]);
}

/// Guards that a client with HTTP/1.0 is served, and that its connection is closed.
#[tokio::test]
async fn http_1_0_is_served() {
    let server = Server::start(Fake::default());
    let mut client = Client::connect(server.address).await;
    client.send(create("a", "HTTP/1.0", "")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert!(timeout(LONG, client.answer()).await.unwrap().is_none());
}

/// Guards that a client with `Expect: 100-continue` gets a 100, or the final response if its body is not needed.
#[tokio::test]
async fn expect_100_continue_works() {
    let server = Server::start(Fake::default());
    let request = create("a", "HTTP/1.1", "expect: 100-continue\r\n");
    let (head, body) = request.split_at(request.find("\r\n\r\n").unwrap() + 4);
    let mut client = Client::connect(server.address).await;
    client.send(head).await;
    assert_eq!(client.any_answer().await.unwrap().status, 100);
    client.send(body).await;
    assert_eq!(client.any_answer().await.unwrap().status, 200);
    for (head, status) in [
        (head.replace("content-length: 18", "content-length: 9999999"), 413),
        (head.replace(KEY, "wrong"), 401),
    ] {
        let mut client = Client::connect(server.address).await;
        client.send(head).await;
        assert_eq!(client.any_answer().await.unwrap().status, status);
    }
}

/// Guards that a connection over the limit gets a 503 immediately, and that a closed connection frees its slot.
#[tokio::test]
async fn surplus_connections_get_503() {
    let limits = listener::Limits { connections: 1, linger: SHORT, ..limits() };
    let server = Server::with(Fake::default(), limits, body::Limits::default());
    let mut first = Client::connect(server.address).await;
    first.send(get("/health")).await;
    assert_eq!(first.answer().await.unwrap().status, 200);
    let refused = exchange(server.address, get("/health")).await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.json()["detail"].as_str().unwrap().contains("too many connections"));
    drop(first);
    let retries =
        async { while exchange(server.address, get("/health")).await.is_none_or(|a| a.status != 200) {} };
    timeout(LONG, retries).await.expect("the slot is still taken");
}

/// Guards that silent connections are evicted for new ones, and that busy connections stay.
#[tokio::test]
async fn silent_connections_are_evicted() {
    let limits = listener::Limits { connections: 4, ..limits() };
    let server = Server::with(Fake::new(Script::Waits), limits, body::Limits::default());
    let mut busy = Client::connect(server.address).await;
    busy.send(get("/api/sandboxes/a")).await;
    server.fake.called().await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(server.address).await;
        client.send("GET /health HTT").await;
        silent.push(client);
    }
    for _ in 0..5 {
        let answered =
            async { while exchange(server.address, get("/health")).await.is_none_or(|a| a.status != 200) {} };
        timeout(LONG, answered).await.expect("no silent connection was evicted");
    }
    server.fake.resume();
    assert_eq!(busy.answer().await.unwrap().status, 404);
}

/// Guards that for a while after the stop requests are still served, also on new connections, with `Connection: close`,
/// and that no connection is reset.
#[tokio::test]
async fn requests_are_served_for_a_while_after_the_stop() {
    let limits = listener::Limits { delay: SHORT * 4, ..limits() };
    let server = Server::with(Fake::default(), limits, body::Limits::default());
    let address = server.address;
    let mut idle = Client::connect(address).await;
    idle.send(get("/health")).await;
    assert_eq!(idle.answer().await.unwrap().header("connection"), None);
    let ended = server.begin_stop();
    let mut answered = 0;
    while let Ok(stream) = TcpStream::connect(address).await {
        let mut client = Client::from(stream);
        // A request that is sent during the close gets no response, but the connection is not reset.
        if client.try_send(get("/health")).await.is_ok()
            && let Some(answer) = client.answer_or_close().await.expect("the connection was reset")
        {
            assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
            answered += 1;
        }
    }
    assert!(answered > 0);
    assert!(timeout(LONG, idle.closed_without_answer()).await.unwrap());
    assert_eq!(timeout(LONG, ended).await.unwrap().unwrap().aborted, 0);
}

/// Guards that after the stop new connections are refused, idle ones are closed, and requests in flight are answered.
#[tokio::test]
async fn a_stop_waits_for_requests_in_flight() {
    let server = Server::start(Fake::new(Script::Waits));
    let (address, fake) = (server.address, server.fake.clone());
    let silent = Client::connect(address).await;
    let mut idle = Client::connect(address).await;
    idle.send(get("/health")).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    let mut busy = Client::connect(address).await;
    busy.send(get("/api/sandboxes/a")).await;
    fake.called().await;
    let ended = server.begin_stop();
    assert!(timeout(LONG, idle.closed_without_answer()).await.unwrap());
    assert!(timeout(LONG, silent.closed_without_answer()).await.unwrap());
    assert!(TcpStream::connect(address).await.is_err());
    fake.resume();
    let answer = busy.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
    assert_eq!(timeout(LONG, ended).await.unwrap().unwrap().aborted, 0);
}

/// Guards that requests that do not end after the stop are aborted and counted.
#[tokio::test]
async fn a_stop_does_not_wait_forever() {
    let limits = listener::Limits { drain: SHORT, ..limits() };
    let server = Server::with(Fake::new(Script::Hangs), limits, body::Limits::default());
    let mut busy = Client::connect(server.address).await;
    busy.send(get("/api/sandboxes/a")).await;
    server.fake.called().await;
    let drained = timeout(LONG, server.stop()).await.unwrap();
    assert_eq!(drained.aborted, 1);
    assert!(busy.answer().await.is_none());
}

/// Guards that the backend's future is dropped if the client resets its connection.
#[tokio::test]
async fn a_reset_ends_the_request() {
    let server = Server::start(Fake::new(Script::Hangs));
    let mut client = Client::connect(server.address).await;
    client.send(get("/api/sandboxes/a")).await;
    server.fake.called().await;
    client.reset();
    let drained = timeout(LONG / 2, server.stop()).await.expect("the request still runs");
    assert_eq!(drained.aborted, 0);
}
