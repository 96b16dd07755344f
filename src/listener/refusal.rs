//! The response to a connection over the limit.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::lingering_close::{LingerPolicy, LingeringClose};

/// The whole response. It is constant, so a refusal is cheap.
const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\
    content-length: 76\r\n\
    \r\n\
    {\"detail\":\"too many connections are open; try again in 1 s\",\"reason\":\"Busy\"}";

/// Writes the response and closes, within `limit` each. The permit limits how many of these run at once.
pub(super) async fn write(stream: TcpStream, limit: Duration, _permit: OwnedSemaphorePermit) {
    let (unread, permits) = (Arc::new(true.into()), Arc::new(Semaphore::new(1)));
    let policy = LingerPolicy { unread, closing: Arc::default(), permits, limit };
    let mut stream = LingeringClose::new(stream, policy);
    // An error is ignored: the peer may have disconnected.
    if let Ok(Ok(())) = timeout(limit, stream.write_all(ANSWER)).await {
        let _ = stream.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that `Content-Length` is the length of the body, and that the body is JSON in FastAPI's format.
    #[test]
    fn the_answer_is_well_formed() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["detail"], "too many connections are open; try again in 1 s");
    }
}
