//! The answer to a connection for which there is no room.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::guarded::{Guarded, Lingers};

/// The whole answer: fixed, so that refusing costs next to nothing.
const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\
    content-length: 76\r\n\
    \r\n\
    {\"detail\":\"too many connections are open; try again in 1 s\",\"reason\":\"Busy\"}";

/// Writes the refusal and closes, within `limit` for each of the two.
pub(super) async fn write(stream: TcpStream, limit: Duration, _permit: OwnedSemaphorePermit) {
    // The permit is its place.
    let lingers = Lingers {
        unread: Arc::new(true.into()),
        closing: Arc::default(),
        places: Arc::new(Semaphore::new(1)),
    };
    let mut stream = Guarded::new(stream, limit, limit, lingers);
    // The peer may be gone already, which is as well.
    if stream.write_all(ANSWER).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fixed answer's length is its body's, and the body is JSON in the usual shape.
    #[test]
    fn the_answer_is_well_formed() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["detail"], "too many connections are open; try again in 1 s");
    }
}
