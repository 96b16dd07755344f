//! An API server that repeats the request in its answer, like a debugging proxy.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// The kind of answer, which contains the credentials of the request.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    /// A 401 in Kubernetes' format.
    Unauthorized,
    /// A 403 in Kubernetes' format, like that of a webhook.
    Forbidden,
    /// A 500 of a proxy.
    Broken,
    /// A 200 with an invalid body.
    Unreadable,
    /// A watch that ends with an error.
    Refused,
}

/// A server that runs until it is dropped.
pub struct Echo {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

// === impl Echo ===

impl Echo {
    pub async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, reply));
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

async fn serve(mut stream: TcpStream, reply: Reply) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend_from_slice(&buffer[..read]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let _ = stream.write_all(render(reply, &head).as_bytes()).await;
}

fn render(reply: Reply, head: &str) -> String {
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
    let (line, kind, body) = match reply {
        Reply::Unauthorized => ("401 Unauthorized", "application/json", status(401, "Unauthorized")),
        Reply::Forbidden => ("403 Forbidden", "application/json", status(403, "Forbidden")),
        Reply::Broken => ("500 Internal Server Error", "text/html", format!("<pre>{head}</pre>")),
        Reply::Unreadable => ("200 OK", "application/json", format!("[\"{said}\"")),
        Reply::Refused if is_watch => {
            let error = format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", status(410, "Expired"));
            ("200 OK", "application/json", error)
        }
        Reply::Refused => ("200 OK", "application/json", list),
    };
    format!(
        "HTTP/1.1 {line}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
