//! Connections: how many, how long, and how they end.

use sandbox_provisioner::{http::body, listener};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    client::{Client, exchange},
    fake::{Fake, Script},
    server::{KEY, LONG, SHORT, Server, limits},
};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n")
}

fn create(id: &str, version: &str, headers: &str) -> String {
    let body = format!("{{\"sandbox_id\":\"{id}\"}}");
    format!(
        "POST /api/sandboxes {version}\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// Requests that are sent without waiting are answered in their order, on one connection.
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

/// A client of HTTP/1.0 is served, and its connection closed.
#[tokio::test]
async fn http_1_0_is_served() {
    let server = Server::start(Fake::default());
    let mut client = Client::connect(server.address).await;
    client.send(create("a", "HTTP/1.0", "")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert_eq!(timeout(LONG, client.answer()).await.unwrap(), None);
}

/// A client that waits to be told to send its body is told so; one whose body is not wanted gets the answer
/// in its place.
#[tokio::test]
async fn expect_100_continue_works() {
    let server = Server::start(Fake::default());
    let wire = create("a", "HTTP/1.1", "expect: 100-continue\r\n");
    let (head, body) = wire.split_at(wire.find("\r\n\r\n").unwrap() + 4);
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

/// The connection over the limit is told so at once, and there is room again when another has gone.
#[tokio::test]
async fn surplus_connections_are_told_so() {
    let limits = listener::Limits { connections: 1, linger: SHORT, ..limits() };
    let server = Server::with(Fake::default(), limits, body::Limits::default());
    let mut first = Client::connect(server.address).await;
    first.send(get("/health")).await;
    assert_eq!(first.answer().await.unwrap().status, 200);
    let refused = exchange(server.address, get("/health")).await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.json()["detail"].as_str().unwrap().contains("too many connections"));
    drop(first);
    let room =
        async { while exchange(server.address, get("/health")).await.is_none_or(|a| a.status != 200) {} };
    timeout(LONG, room).await.expect("there was no room again");
}

/// Connections that say nothing make room for one that does; those that are at work stay.
#[tokio::test]
async fn silent_connections_make_room() {
    let limits = listener::Limits { connections: 4, ..limits() };
    let server = Server::with(Fake::that(Script::Waits), limits, body::Limits::default());
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
        timeout(LONG, answered).await.expect("a silent connection kept its place");
    }
    server.fake.let_go();
    assert_eq!(busy.answer().await.unwrap().status, 404);
}

/// For a while after the stop callers are still served, on new connections too, and told to turn elsewhere; nobody's
/// connection is reset on the way.
#[tokio::test]
async fn a_stop_is_told_before_the_door_closes() {
    let limits = listener::Limits { delay: SHORT * 4, ..limits() };
    let server = Server::with(Fake::default(), limits, body::Limits::default());
    let address = server.address;
    let mut kept = Client::connect(address).await;
    kept.send(get("/health")).await;
    assert_eq!(kept.answer().await.unwrap().header("connection"), None);
    let ended = server.say_stop();
    let mut answered = 0;
    while let Ok(stream) = TcpStream::connect(address).await {
        let mut client = Client::from(stream);
        // A request that crosses the close finds no answer, but a close in good order.
        if client.try_send(get("/health")).await.is_ok()
            && let Some(answer) = client.in_good_order().await.expect("the connection was reset")
        {
            assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
            answered += 1;
        }
    }
    assert!(answered > 0);
    assert!(timeout(LONG, kept.closed_without_a_word()).await.unwrap());
    assert_eq!(timeout(LONG, ended).await.unwrap().unwrap().aborted, 0);
}

/// After the stop nobody new is let in, an idle connection is closed, and what is under way is answered.
#[tokio::test]
async fn a_stop_lets_requests_end() {
    let server = Server::start(Fake::that(Script::Waits));
    let (address, fake) = (server.address, server.fake.clone());
    let silent = Client::connect(address).await;
    let mut idle = Client::connect(address).await;
    idle.send(get("/health")).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    let mut busy = Client::connect(address).await;
    busy.send(get("/api/sandboxes/a")).await;
    fake.called().await;
    let ended = server.say_stop();
    assert!(timeout(LONG, idle.closed_without_a_word()).await.unwrap());
    assert!(timeout(LONG, silent.closed_without_a_word()).await.unwrap());
    assert!(TcpStream::connect(address).await.is_err());
    fake.let_go();
    let answer = busy.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
    assert_eq!(timeout(LONG, ended).await.unwrap().unwrap().aborted, 0);
}

/// What does not end by itself after the stop is cut, and counted.
#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let limits = listener::Limits { drain: SHORT, ..limits() };
    let server = Server::with(Fake::that(Script::Hangs), limits, body::Limits::default());
    let mut busy = Client::connect(server.address).await;
    busy.send(get("/api/sandboxes/a")).await;
    server.fake.called().await;
    let drained = timeout(LONG, server.stop()).await.unwrap();
    assert_eq!(drained.aborted, 1);
    assert_eq!(busy.answer().await, None);
}

/// A client that goes away takes its request with it: the backend's future is dropped, not left to run on.
#[tokio::test]
async fn a_client_that_goes_ends_its_request() {
    let server = Server::start(Fake::that(Script::Hangs));
    let mut client = Client::connect(server.address).await;
    client.send(get("/api/sandboxes/a")).await;
    server.fake.called().await;
    drop(client);
    let drained = timeout(LONG / 2, server.stop()).await.expect("the request went on");
    assert_eq!(drained.aborted, 0);
}
