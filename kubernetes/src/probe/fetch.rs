//! Sends one GET over its own connection: plain HTTP/1.1, without redirects and without connection reuse.

use std::{io, pin::pin};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Method, Request, Uri, header, uri::Scheme};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::BODY_MAX;

/// The maximum length of an answer's head, in bytes.
const HEAD_MAX: usize = 16 << 10;

/// A complete answer.
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

/// The error for a missing answer. It contains no text from the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the sandbox's URL is not plain http")]
    NotHttp,
    #[error("the sandbox could not be reached: {0}")]
    Unreached(io::Error),
    #[error("the answer is longer than {} KiB", BODY_MAX >> 10)]
    TooLong,
    #[error("the connection broke before the answer's end")]
    Broken,
}

/// Sends a GET for a path to the server of this URL. Has no timeout of its own; dropping the future closes the
/// connection.
pub async fn fetch(url: &Uri, path: &str) -> Result<Answer, FetchError> {
    let authority = url.authority().filter(|_| url.scheme() == Some(&Scheme::HTTP));
    let authority = authority.ok_or(FetchError::NotHttp)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80)))
        .await
        .map_err(FetchError::Unreached)?;
    let request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header(header::HOST, authority.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close")
        .header(header::USER_AGENT, crate::names::MANAGED_BY_VALUE)
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::NotHttp)?;

    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| FetchError::Broken)?;
    let exchange = pin!(async {
        let response = sender.send_request(request).await.map_err(|_| FetchError::Broken)?;
        let status = response.status().as_u16();
        match Limited::new(response.into_body(), BODY_MAX).collect().await {
            Ok(body) => Ok(Answer { status, body: body.to_bytes() }),
            Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLong),
            Err(_) => Err(FetchError::Broken),
        }
    });
    // The connection is polled here, because a separate task could outlive this call. If the connection ends first, the
    // exchange has received all its data.
    match select(exchange, pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, exchange)) => exchange.await,
    }
}
