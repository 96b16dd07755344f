//! A stream of events, or a log that is followed, that is written without hyper.
//!
//! hyper keeps 16 KiB of buffers for each connection. For thousands of idle streams that is most of their memory, so a
//! stream takes the connection over, and writes its chunks itself.

use std::{fmt::Write as _, io, io::Write as _};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Response, StatusCode};
use http_body::Body;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::Notify,
};

use crate::http::response_body::ResponseBody;

/// The most that is written at once, in bytes. It is allocated only while there is something to write.
const BATCH: usize = 16 << 10;

/// Passes a response from the service of a connection to the task of the connection.
#[derive(Default)]
pub(super) struct Handover {
    response: Mutex<Option<Response<ResponseBody>>>,
    given: Notify,
}

// === impl Handover ===

impl Handover {
    /// Passes the response. Never completes, because hyper does not write this response.
    pub(super) async fn give<T>(&self, response: Response<ResponseBody>) -> T {
        *self.response.lock() = Some(response);
        self.given.notify_one();
        std::future::pending().await
    }

    /// Waits for a response.
    pub(super) async fn take(&self) -> Response<ResponseBody> {
        loop {
            if let Some(response) = self.response.lock().take() {
                return response;
            }
            self.given.notified().await;
        }
    }
}

/// Writes the response to its end, and closes the connection.
pub(super) async fn write(
    response: Response<ResponseBody>,
    mut connection: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let (head, mut body) = response.into_parts();
    connection.write_all(&written(&head)).await?;
    loop {
        let Some(first) = next(&mut body).await? else { break };
        let mut batch = Vec::with_capacity(first.len() + 16);
        chunk(&mut batch, &first)?;
        let mut end = None;
        while batch.len() < BATCH {
            match next(&mut body).now_or_never() {
                Some(Ok(Some(more))) => chunk(&mut batch, &more)?,
                Some(Ok(None)) => {
                    end = Some(Ok(()));
                    break;
                }
                Some(Err(error)) => {
                    end = Some(Err(error));
                    break;
                }
                None => break,
            }
        }
        // The data before an error is written too.
        connection.write_all(&batch).await?;
        match end {
            Some(Ok(())) => break,
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    connection.write_all(b"0\r\n\r\n").await?;
    connection.shutdown().await
}

/// Returns the next data of a body; `None` at its end.
async fn next(body: &mut ResponseBody) -> io::Result<Option<Bytes>> {
    let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx)).await;
    match frame.transpose() {
        Ok(frame) => Ok(frame.map(|frame| frame.into_data().unwrap_or_default())),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Appends a chunk. An empty one would be the end of the body.
fn chunk(batch: &mut Vec<u8>, data: &[u8]) -> io::Result<()> {
    if !data.is_empty() {
        write!(batch, "{:X}\r\n", data.len())?;
        batch.extend_from_slice(data);
        batch.extend_from_slice(b"\r\n");
    }
    Ok(())
}

/// Returns the head of the response, as hyper would write it.
fn written(head: &http::response::Parts) -> Vec<u8> {
    debug_assert_eq!(head.status, StatusCode::OK);
    let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let mut last = String::new();
    let now = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    // Writing to a String cannot fail.
    let _ = write!(last, "transfer-encoding: chunked\r\ndate: {now}\r\n\r\n");
    bytes.extend_from_slice(last.as_bytes());
    bytes
}
