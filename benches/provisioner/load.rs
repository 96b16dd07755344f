//! A cheap load generator: keep-alive connections and raw requests.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

/// The results of a round of requests.
pub struct Round {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// The body of the last answer.
    pub body: String,
}

/// A connection that sends one request after the other.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A GET.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

/// A POST of a sandbox.
pub fn create(id: &str) -> String {
    post_sandbox(&format!("{{\"sandbox_id\":\"{id}\"}}"))
}

/// A DELETE of a sandbox.
pub fn delete(id: &str) -> String {
    format!("DELETE /api/sandboxes/{id} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

/// A POST of a sandbox on this cluster.
pub fn create_on(id: &str, cluster: &str) -> String {
    post_sandbox(&format!("{{\"sandbox_id\":\"{id}\",\"cluster\":\"{cluster}\"}}"))
}

/// A POST of a sandbox with an idle timeout.
pub fn create_idle(id: &str, idle_timeout: Duration) -> String {
    let millis = idle_timeout.as_millis();
    post_sandbox(&format!("{{\"sandbox_id\":\"{id}\",\"idle_timeout\":\"{millis}ms\"}}"))
}

fn post_sandbox(body: &str) -> String {
    post("/api/sandboxes", body)
}

/// A POST with a body of JSON.
pub fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends `total` requests over so many connections; every answer has to be a 200.
pub async fn run<F>(address: SocketAddr, connections: usize, total: usize, request: F) -> Round
where
    F: Fn(usize) -> String + Send + Sync + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let request = Arc::new(request);
    let start = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            let (next, request) = (next.clone(), request.clone());
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await;
                let mut times = Vec::new();
                let mut body = String::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= total {
                        return (times, body);
                    }
                    let bytes = request(n);
                    let sent = Instant::now();
                    let (status, answer) = connection.exchange(&bytes).await;
                    times.push(sent.elapsed());
                    assert_eq!(status, 200, "{answer}");
                    body = answer;
                }
            })
        })
        .collect();
    let mut times = Vec::with_capacity(total);
    let mut body = String::new();
    for worker in workers {
        let (its, last) = worker.await.expect("a worker");
        times.extend(its);
        if !last.is_empty() {
            body = last;
        }
    }
    let took = start.elapsed();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Round { per_second: total as f64 / took.as_secs_f64(), p50: at(0.5), p99: at(0.99), body }
}

/// Sends one request, whatever the answer's status.
pub async fn once(address: SocketAddr, request: &str) -> (u16, String) {
    Connection::open(address).await.exchange(request).await
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self { stream, buffer: Vec::with_capacity(1 << 16) }
    }

    async fn exchange(&mut self, request: &str) -> (u16, String) {
        self.stream.write_all(request.as_bytes()).await.expect("a write");
        self.buffer.clear();
        loop {
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.expect("a read"), 0, "an early end");
            let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.buffer[..end]).expect("a head").to_ascii_lowercase();
            let status = head.split(' ').nth(1).expect("a status").parse().expect("a status");
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().expect("a length"));
            while self.buffer.len() < end + 4 + length {
                assert_ne!(self.stream.read_buf(&mut self.buffer).await.expect("a read"), 0, "an early end");
            }
            return (status, String::from_utf8_lossy(&self.buffer[end + 4..]).into_owned());
        }
    }
}
