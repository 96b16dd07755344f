//! Streams of events over connections: their limits, and clients that read slowly or not at all.

use std::{sync::Arc, time::Duration};

use actors::view::View;
use lifecycle::{
    ids::SandboxId,
    observed::{ObservedPod, ObservedService, ResourceVersion, Uid},
    phase::Phase,
    spec::ObservedSpec,
    traits::{WatchEvent, WatchSink},
};
use sandbox_provisioner::{http::body, listener};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::{
    client::{Client, exchange},
    connections::get,
    fake::Fake,
    server::{LONG, SHORT, Server, limits},
};

/// Shows this sandbox with this number in its URL.
fn show(view: &View, name: &str, number: u64) {
    let id = SandboxId::parse(name).unwrap();
    let pod = ObservedPod {
        uid: Uid(format!("pod-{name}").into()),
        version: ResourceVersion(1),
        phase: Phase::Running,
        ready: true,
        terminating: false,
        reason: None,
        created: None,
        spec: ObservedSpec::default(),
        annotations: lifecycle::lifetime::LifetimeAnnotations::default(),
        times: lifecycle::observed::PodTimes::default(),
    };
    view.pods(WatchEvent::Applied(id.clone(), pod));
    let service = ObservedService {
        uid: Uid(format!("service-{name}").into()),
        version: ResourceVersion(number),
        terminating: false,
        url: Some(format!("http://h:{number}").into()),
        internal_url: None,
    };
    view.services(WatchEvent::Applied(id, service));
}

/// Returns a view that is fresh for the whole test.
fn fresh(fake: &Fake) -> &Arc<View> {
    let view = fake.view();
    let version = ResourceVersion(1);
    view.pods(WatchEvent::Listed { objects: vec![], unreadable: vec![], version });
    view.services(WatchEvent::Listed { objects: vec![], unreadable: vec![], version });
    view
}

/// Opens a stream, and reads until these bytes.
async fn open(server: &Server, path: &str, until: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(get(path).as_bytes()).await.unwrap();
    let mut text = String::new();
    read_until(&mut stream, &mut text, until).await;
    (stream, text)
}

async fn read_until(stream: &mut TcpStream, text: &mut String, until: &str) {
    let reading = async {
        while !text.contains(until) {
            let mut bytes = [0; 4096];
            let length = stream.read(&mut bytes).await.unwrap();
            assert_ne!(length, 0, "an early end after {text}");
            text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        }
    };
    timeout(LONG, reading).await.unwrap_or_else(|_| panic!("{until} does not come after {text}"));
}

/// Guards what an operator sees: headers that keep proxies from buffering, and events in lines.
#[tokio::test]
async fn events_are_lines() {
    let server = Server::start(Fake::default());
    show(fresh(&server.fake), "a", 1);
    let (_, text) = open(&server, "/api/sandboxes/a/events", "event: synced\ndata: {}\n\n").await;
    let (head, events) = text.split_once("\r\n\r\n").unwrap();
    for line in [
        "HTTP/1.1 200 OK",
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-accel-buffering: no",
        "connection: close",
        "transfer-encoding: chunked",
        "x-request-id: ",
    ] {
        assert!(head.contains(line), "{head}");
    }
    let event = "-1\nevent: added\ndata: {\"sandbox_id\":\"a\",\"sandbox_url\":\"http://h:1\",\"status\":\"Running\",\
                 \"max_shell_sessions\":10,\"container_id\":\"pod-a\",\"lark_cli_broker\":false,\"ready\":true}\n\n";
    assert!(events.contains(event) && events.contains("\r\nid: "), "{events}");
    assert_eq!(server.fake.calls(), ["changes of a"]);
}

/// Guards that streams do not take the connections of other requests, that no time-out of idle connections ends them, and
/// that they are not evicted.
#[tokio::test]
async fn streams_have_connections_of_their_own() {
    let limits = listener::Limits { connections: 1, head_time: SHORT, ..limits() };
    let server = Server::with(Fake::default(), limits, body::Limits::default());
    let view = fresh(&server.fake).clone();
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(open(&server, "/api/events", "synced").await);
    }
    // Longer than an idle connection is protected from eviction.
    sleep(Duration::from_millis(2100).max(SHORT * 2)).await;
    for _ in 0..3 {
        let answered =
            async { while exchange(server.address, get("/health")).await.is_none_or(|a| a.status != 200) {} };
        timeout(LONG, answered).await.expect("the streams have taken the connection");
    }
    show(&view, "a", 1);
    for (stream, text) in &mut streams {
        read_until(stream, text, "event: added").await;
    }
}

/// Guards that a client that does not read is disconnected after the limit of all unread answers, that it delays no other
/// stream, and that one that reads again in time gets the present state.
#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    // Long enough for the streams that are read on a busy machine.
    let stall = SHORT * 12;
    let limits = listener::Limits { stall, ..limits() };
    let server = Server::with(Fake::default(), limits, body::Limits::default());
    let view = fresh(&server.fake).clone();
    show(&view, "a", 1);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut deaf = socket.connect(server.address).await.unwrap();
    deaf.write_all(get("/api/events").as_bytes()).await.unwrap();
    let (mut reading, mut text) = open(&server, "/api/events", "synced").await;
    // More than the socket's buffers and the log keep.
    for number in 2..10_000 {
        show(&view, "a", number);
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    read_until(&mut reading, &mut text, "http://h:9999\"").await;
    let mut slow = open(&server, "/api/events", "event: url").await;
    sleep(SHORT * 2).await;
    read_until(&mut slow.0, &mut slow.1, "http://h:9999\"").await;
    // The disconnect shows as a reset or as an end, once the buffered bytes are read.
    sleep(stall + SHORT * 2).await;
    let rest = timeout(LONG, async {
        let mut bytes = Vec::new();
        let end = deaf.read_to_end(&mut bytes).await;
        (end.is_err(), String::from_utf8_lossy(&bytes).into_owned())
    });
    let (is_reset, rest) = rest.await.expect("it is disconnected");
    assert!(is_reset || !rest.ends_with("0\r\n\r\n"), "the stream has no orderly end");
    assert!(!rest.contains("http://h:9999\""), "it was not read to the end");
}

/// Guards that a client that disconnects is noticed, at the latest with the next event.
#[tokio::test]
async fn a_client_that_disconnects_is_noticed() {
    let server = Server::start(Fake::default());
    let view = fresh(&server.fake).clone();
    let (gone, _) = open(&server, "/api/events", "synced").await;
    drop(gone);
    let mut reset = Client::connect(server.address).await;
    reset.send(get("/api/events")).await;
    reset.reset();
    // Only the server and this test hold the view, and each reader.
    let ended = async {
        for number in 1.. {
            show(&view, "a", number);
            if Arc::strong_count(&view) == 2 {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, ended).await.expect("the streams go on");
}

/// Guards that a stop ends streams in order once the daemon has ended their readers, and does not wait for them.
#[tokio::test]
async fn streams_end_in_order() {
    let server = Server::start(Fake::default());
    let view = fresh(&server.fake).clone();
    let (mut stream, mut text) = open(&server, "/api/events", "synced").await;
    let ended = server.begin_stop();
    view.end_readers();
    read_until(&mut stream, &mut text, "\r\n0\r\n\r\n").await;
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(timeout(LONG, ended).await.unwrap().unwrap().aborted, 0);
}

/// Guards that a stream works on a connection that has had another request, and for a client with HTTP/1.0, whose stream
/// has no chunks.
#[tokio::test]
async fn streams_work_on_every_connection() {
    let server = Server::start(Fake::default());
    let view = fresh(&server.fake).clone();
    let synced = "event: synced\ndata: {}\n\n";
    let old = get("/api/events").replace("HTTP/1.1", "HTTP/1.0");
    for (requests, is_chunked) in [(get("/health") + &get("/api/events"), true), (old, false)] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(requests.as_bytes()).await.unwrap();
        let mut text = String::new();
        read_until(&mut stream, &mut text, synced).await;
        assert_eq!(text.contains("transfer-encoding: chunked"), is_chunked, "{text}");
        show(&view, "a", if is_chunked { 1 } else { 2 });
        read_until(&mut stream, &mut text, "\"sandbox_id\":\"a\"").await;
    }
}

/// Guards that many events that are read at once arrive whole and in order.
#[tokio::test]
async fn many_events_arrive_in_order() {
    let server = Server::start(Fake::default());
    let view = fresh(&server.fake).clone();
    let mut events = testkit::Client::at(server.address)
        .with_key(Some(crate::server::KEY))
        .events("/api/events", None)
        .await
        .unwrap();
    events.until("synced").await;
    for number in 1..=1000 {
        show(&view, "a", number);
    }
    for number in 1..=1000 {
        let event = events.next().await.unwrap();
        assert_eq!(event.data["sandbox_url"], format!("http://h:{number}"));
    }
}
