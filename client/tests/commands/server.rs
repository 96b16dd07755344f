//! A fake daemon: a server whose answers the test writes.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The method and the target, such as `GET /api/sandboxes`.
    pub line: String,
    /// The headers, in lower case.
    pub headers: String,
    /// The body.
    pub body: Value,
}

/// A response.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A JSON body with this status and these headers.
    Json(u16, &'static str, Value),
    /// Exactly these bytes, and the end of the connection.
    Raw(String),
    /// These bytes, and nothing more: the connection stays open.
    Open(String),
}

/// A server. Dropping it closes its port and its connections.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

/// Returns a stream of events that ends.
pub fn events(text: &str) -> Answer {
    Answer::Raw(stream(text))
}

/// Returns a stream of events that stays open.
pub fn open_events(text: &str) -> Answer {
    Answer::Open(stream(text))
}

fn stream(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{text}")
}

/// Returns a 200.
pub fn ok(body: Value) -> Answer {
    Answer::Json(200, "", body)
}

// === impl Server ===

impl Server {
    /// Starts a server. The function returns the answer to a request, whose number is the second argument.
    pub async fn start(answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                connections.spawn(async move {
                    let (mut stream, request) = read(stream).await;
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    write(&mut stream, answer(&request, number)).await;
                });
            }
        });
        Self { url, requests, task }
    }

    /// Returns the requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(mut stream: TcpStream) -> (TcpStream, Request) {
    let mut bytes = Vec::new();
    let head_end = loop {
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await.unwrap();
        bytes.extend_from_slice(&part[..length]);
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        assert!(length > 0, "the request ends early");
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let headers = headers.to_lowercase();
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    let mut body = bytes[head_end + 4..].to_vec();
    while body.len() < length {
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await.unwrap();
        body.extend_from_slice(&part[..length]);
    }
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    (stream, Request { line, headers, body })
}

async fn write(stream: &mut TcpStream, answer: Answer) {
    let (text, stays_open) = match answer {
        Answer::Json(status, headers, body) => {
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}");
            (format!("{head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()), false)
        }
        Answer::Raw(text) => (text, false),
        Answer::Open(text) => (text, true),
    };
    // The client may have gone.
    let _ = stream.write_all(text.as_bytes()).await;
    if stays_open {
        std::future::pending::<()>().await;
    }
    let _ = stream.shutdown().await;
}
