//! A client that sends exactly the bytes it is given.

use std::{collections::BTreeMap, io, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A response.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

// === impl Answer ===

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("invalid JSON ({error}): {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Removes the first response from the received bytes; `None` while it is incomplete. The response to a HEAD has a
    /// length and no body.
    fn take(received: &mut Vec<u8>, to_head: bool) -> Option<Self> {
        let end = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(received[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").filter(|_| !to_head);
        let length = length.map_or(0, |length| length.parse().unwrap());
        if received.len() < end + length {
            return None;
        }
        let body = String::from_utf8(received[end..end + length].to_vec()).unwrap();
        received.drain(..end + length);
        Some(Self { status, headers, body })
    }
}

/// A connection.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    /// Whether the last request was a HEAD.
    head: bool,
}

// === impl Client ===

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        TcpStream::connect(address).await.unwrap().into()
    }

    /// Returns the next response, `None` if the connection closes without one, or an error if it is reset.
    pub async fn answer_or_close(&mut self) -> io::Result<Option<Answer>> {
        loop {
            if let Some(answer) = Answer::take(&mut self.received, self.head) {
                return Ok(Some(answer));
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Ok(None);
            }
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.head = bytes.as_ref().starts_with(b"HEAD ");
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends, and returns an error if the connection closes.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Returns the next response with a final status, or `None` if the connection closes before it.
    pub async fn answer(&mut self) -> Option<Answer> {
        loop {
            match self.any_answer().await {
                Some(answer) if answer.status < 200 => {}
                other => return other,
            }
        }
    }

    /// Returns the next response, which may be a `100 Continue`.
    pub async fn any_answer(&mut self) -> Option<Answer> {
        loop {
            if let Some(answer) = Answer::take(&mut self.received, self.head) {
                return Some(answer);
            }
            if self.stream.read_buf(&mut self.received).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Waits until the server closes the connection. Returns whether it sent nothing before.
    pub async fn closed_without_answer(mut self) -> bool {
        while self.stream.read_buf(&mut self.received).await.unwrap_or(0) > 0 {}
        self.received.is_empty()
    }
}

impl From<TcpStream> for Client {
    fn from(stream: TcpStream) -> Self {
        Self { stream, received: Vec::new(), head: false }
    }
}

/// Sends these bytes on a new connection, and returns one response.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Option<Answer> {
    let mut client = Client::connect(address).await;
    client.send(bytes).await;
    client.answer().await
}
