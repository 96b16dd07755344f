//! A client that sends exactly the bytes it is given.

use std::{collections::BTreeMap, io, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An answer as it stood on the wire.
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
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Takes one answer off the front of `wire`; `None` while it is not whole.
    /// The answer to a HEAD has a length and no body.
    fn take(wire: &mut Vec<u8>, to_head: bool) -> Option<Self> {
        let end = wire.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(wire[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").filter(|_| !to_head);
        let length = length.map_or(0, |length| length.parse().unwrap());
        if wire.len() < end + length {
            return None;
        }
        let body = String::from_utf8(wire[end..end + length].to_vec()).unwrap();
        wire.drain(..end + length);
        Some(Self { status, headers, body })
    }
}

/// A connection.
pub struct Client {
    stream: TcpStream,
    wire: Vec<u8>,
    /// Whether the last request was a HEAD.
    head: bool,
}

// === impl Client ===

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        TcpStream::connect(address).await.unwrap().into()
    }

    /// The next answer, or `None` when the connection ends without one; an error when it is reset.
    pub async fn in_good_order(&mut self) -> io::Result<Option<Answer>> {
        loop {
            if let Some(answer) = Answer::take(&mut self.wire, self.head) {
                return Ok(Some(answer));
            }
            if self.stream.read_buf(&mut self.wire).await? == 0 {
                return Ok(None);
            }
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.head = bytes.as_ref().starts_with(b"HEAD ");
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends for as long as the other side takes it.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// The next answer with a final status, or `None` when the connection ends before it.
    pub async fn answer(&mut self) -> Option<Answer> {
        loop {
            match self.any_answer().await {
                Some(answer) if answer.status < 200 => {}
                other => return other,
            }
        }
    }

    /// The next answer, a `100 Continue` too.
    pub async fn any_answer(&mut self) -> Option<Answer> {
        loop {
            if let Some(answer) = Answer::take(&mut self.wire, self.head) {
                return Some(answer);
            }
            if self.stream.read_buf(&mut self.wire).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Waits until the other side closes; `true` when nothing came before.
    pub async fn closed_without_a_word(mut self) -> bool {
        while self.stream.read_buf(&mut self.wire).await.unwrap_or(0) > 0 {}
        self.wire.is_empty()
    }
}

impl From<TcpStream> for Client {
    fn from(stream: TcpStream) -> Self {
        Self { stream, wire: Vec::new(), head: false }
    }
}

/// Sends this on a connection of its own, and takes one answer.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Option<Answer> {
    let mut client = Client::connect(address).await;
    client.send(bytes).await;
    client.answer().await
}
