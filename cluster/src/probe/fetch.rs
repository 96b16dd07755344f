//! One GET over a connection of its own: plain HTTP/1.1, nothing followed, nothing kept.

use std::{io, pin::pin};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Method, Request, Uri, header, uri::Scheme};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::BODY_MAX;

/// The longest head of an answer that is read, in bytes.
const HEAD_MAX: usize = 16 << 10;

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

/// Why there is no answer. No word of the sandbox's own is in it.
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

/// Gets a path of the server at this URL. Waits without a bound of its own; dropping it cuts the connection.
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
    // The connection is driven here, as a task of its own could outlive this. Where it ends first, the exchange
    // has all that it will get.
    match select(exchange, pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, exchange)) => exchange.await,
    }
}
