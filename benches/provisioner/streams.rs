//! Streams of events: the time from a change in the cluster to its event at each client, and the memory of idle streams.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde_json::json;
use testkit::NAMESPACE;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, interval, sleep},
};

use super::{
    children::{Server, cluster},
    load,
    queries::until_ready,
};

const SANDBOXES: usize = 1_000;
const STREAMS: usize = 500;
const CHANGES: usize = 400;
/// The pause between two changes.
const PACE: Duration = Duration::from_millis(50);

const IDLE: usize = 5_000;

/// Measures the latency. The API server of the changes and the clients run in this process, so the time includes both.
pub async fn measure() {
    let cluster = cluster().await;
    let daemon = Server::daemon(&cluster);
    until_ready(&daemon).await;
    load::run(daemon.address, 16, SANDBOXES, |n| load::create(&format!("s-{n}"))).await;
    let sent: Arc<Vec<OnceLock<Instant>>> = Arc::new((0..CHANGES).map(|_| OnceLock::new()).collect());
    let mut clients = Vec::new();
    for _ in 0..STREAMS {
        let stream = open(daemon.address, "/api/events").await;
        let sent = sent.clone();
        clients.push(tokio::spawn(async move { latencies(stream, &sent).await }));
    }
    let before = daemon.cpu_seconds();
    let mut pace = interval(PACE);
    for (n, sent) in sent.iter().enumerate() {
        pace.tick().await;
        let waiting = json!({"reason": "CrashLoopBackOff", "message": format!("change {n}.")});
        let statuses = json!([{"name": "sandbox", "state": {"waiting": waiting}}]);
        sent.set(Instant::now()).expect("once");
        let change = |pod: &mut serde_json::Value| pod["status"]["containerStatuses"] = statuses.clone();
        let name = format!("sandbox-s-{}", n * 7 % SANDBOXES);
        cluster.cluster.change("pods", NAMESPACE, &name, change).expect("the Pod is there");
    }
    let mut times = Vec::with_capacity(STREAMS * CHANGES);
    for client in clients {
        times.extend(client.await.expect("a client"));
    }
    let cpu = daemon.cpu_seconds() - before;
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!(
        "streams, {SANDBOXES} sandboxes, {STREAMS} streams, a change every {} ms: p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms from the change to the event; {:.1} us of CPU for each event",
        PACE.as_millis(),
        at(0.5),
        at(0.99),
        at(1.0),
        cpu * 1e6 / times.len() as f64,
    );
}

/// Measures the memory.
pub async fn measure_memory() {
    let cluster = cluster().await;
    let limit = (2 * IDLE).to_string();
    let daemon = Server::daemon_with(&cluster, &[("PROVISIONER_MAX_STREAMS", &limit)]);
    until_ready(&daemon).await;
    load::run(daemon.address, 16, 100, |n| load::create(&format!("s-{n}"))).await;
    let mut clients = Vec::new();
    let mut before = daemon.resident_bytes();
    for path in ["/api/events", "/api/sandboxes/s-1/events"] {
        for _ in 0..IDLE {
            clients.push(open(daemon.address, path).await);
        }
        // Until each has sent a comment.
        sleep(Duration::from_secs(10)).await;
        let after = daemon.resident_bytes();
        println!(
            "memory of {IDLE} idle streams of {path}: {:.1} KiB each",
            after.saturating_sub(before) as f64 / IDLE as f64 / 1024.0
        );
        before = after;
    }
}

/// Opens a stream, and reads the present state.
async fn open(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(load::get(path).as_bytes()).await.expect("a write");
    let mut text = Vec::new();
    while !text.windows(13).any(|window| window == b"event: synced") {
        assert_ne!(stream.read_buf(&mut text).await.expect("a read"), 0, "an early end");
    }
    stream
}

/// Reads all changes, and returns how long each took.
async fn latencies(mut stream: TcpStream, sent: &[OnceLock<Instant>]) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut text = Vec::new();
    while times.len() < CHANGES {
        assert_ne!(stream.read_buf(&mut text).await.expect("a read"), 0, "an early end");
        let now = Instant::now();
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = String::from_utf8_lossy(&text[..end]).into_owned();
        for part in lines.split("\"message\":\"change ").skip(1) {
            let n: usize = part.split('.').next().and_then(|n| n.parse().ok()).expect("a number");
            times.push(now - *sent[n].get().expect("it was sent"));
        }
        text.drain(..end);
    }
    times
}
