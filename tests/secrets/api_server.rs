//! An API server that repeats what it is sent, as proxies do that help with debugging.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// How it answers, with the credentials of the request in the middle.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// A 401 in Kubernetes' own form.
    Unauthorized,
    /// A 403 in Kubernetes' own form, which is one of a webhook's.
    Forbidden,
    /// A 500 of a proxy's.
    Broken,
    /// A success that cannot be read.
    Unreadable,
    /// A watch that ends with an error.
    Refused,
}

/// A server until it is dropped.
pub struct Echo {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

// === impl Echo ===

impl Echo {
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer));
            }
        });
        Self { address, task }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, answer: Answer) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend_from_slice(&buffer[..read]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let _ = stream.write_all(reply(answer, &head).as_bytes()).await;
}

fn reply(answer: Answer, head: &str) -> String {
    let is_watch = head.lines().next().is_some_and(|line| line.contains("watch="));
    let credentials: Vec<&str> =
        head.lines().filter(|line| line.to_ascii_lowercase().starts_with("authorization:")).collect();
    let said = credentials.join(" ").replace('"', "'");
    let status = |code: u16, reason: &str| {
        format!(
            r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","message":"{said}","reason":"{reason}","code":{code}}}"#
        )
    };
    let list = r#"{"kind":"List","metadata":{"resourceVersion":"7"},"items":[]}"#.to_owned();
    let (line, kind, body) = match answer {
        Answer::Unauthorized => ("401 Unauthorized", "application/json", status(401, "Unauthorized")),
        Answer::Forbidden => ("403 Forbidden", "application/json", status(403, "Forbidden")),
        Answer::Broken => ("500 Internal Server Error", "text/html", format!("<pre>{head}</pre>")),
        Answer::Unreadable => ("200 OK", "application/json", format!("[\"{said}\"")),
        Answer::Refused if is_watch => {
            let error = format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", status(410, "Expired"));
            ("200 OK", "application/json", error)
        }
        Answer::Refused => ("200 OK", "application/json", list),
    };
    format!(
        "HTTP/1.1 {line}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
