//! A client that sends exactly the bytes it is given.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use testkit::Answer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Removes the first response from the received bytes; `None` while it is incomplete. The response to a HEAD has a length
/// and no body.
fn take(received: &mut Vec<u8>, to_head: bool) -> Option<Answer> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(received[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut response = http::Response::builder().status(lines.next()?.split(' ').nth(1)?);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        response = response.header(name, value);
    }
    let (head, ()) = response.body(()).unwrap().into_parts();
    let length = head.headers.get("content-length").filter(|_| !to_head);
    let length: usize = length.map_or(0, |length| length.to_str().unwrap().parse().unwrap());
    if received.len() < end + length {
        return None;
    }
    let body = Bytes::copy_from_slice(&received[end..end + length]);
    received.drain(..end + length);
    Some(Answer::new(head, body, Duration::ZERO))
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
            if let Some(answer) = take(&mut self.received, self.head) {
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

    /// Closes the sending side.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Resets the connection.
    pub fn reset(self) {
        self.stream.set_zero_linger().unwrap();
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
            if let Some(answer) = take(&mut self.received, self.head) {
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
