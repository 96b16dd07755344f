//! Reading a request's body: never more than a limit of it, never longer than a limit.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use lifecycle::request::{FieldError, Problem};
use tokio::time::timeout;

use super::errors::ApiError;

/// How much of a body is read, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest body that is read, in bytes; a larger one is a 413.
    pub bytes: usize,
    /// How long the whole body may take to arrive; a slower one is a 408.
    pub time: Duration,
}

// === impl Limits ===

impl Default for Limits {
    /// 1 MiB in 10 s. A create is a few hundred bytes; a thousand extra mounts are 100 KiB.
    fn default() -> Self {
        Self { bytes: 1 << 20, time: Duration::from_secs(10) }
    }
}

/// Reads the whole body, whether it announces its length or comes in chunks.
///
/// # Errors
/// 413 when it is, or says that it will be, larger than the limit: at once, without reading the rest. 408 when
/// it takes longer than the limit. 400 when it breaks off.
pub async fn read<S, D, E>(headers: &HeaderMap, body: S, limits: Limits) -> Result<Bytes, ApiError>
where
    S: Stream<Item = Result<D, E>>,
    D: Buf,
{
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    if announced.is_some_and(|length: u64| length > limits.bytes as u64) {
        return Err(ApiError::body_too_large(limits.bytes));
    }
    timeout(limits.time, collect(body, limits.bytes))
        .await
        .unwrap_or_else(|_| Err(ApiError::body_too_slow(limits.time)))
}

/// Reads the whole body and what it says; the inner error is all that is wrong with its fields.
///
/// # Errors
/// As [`read`] and [`understand`].
pub(super) async fn parse<S, D, E, T>(
    headers: &HeaderMap,
    body: S,
    limits: Limits,
    from_body: impl FnOnce(Option<&str>, &[u8]) -> Result<T, Vec<FieldError>>,
) -> Result<Result<T, Vec<FieldError>>, ApiError>
where
    S: Stream<Item = Result<D, E>>,
    D: Buf,
{
    let body = read(headers, body, limits).await?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    understand(content_type, &body, from_body)
}

/// What a whole body says; the inner error is all that is wrong with its fields.
///
/// # Errors
/// 400 where bytes that are no UTF-8 are said to be JSON: to FastAPI they are no text at all, rather than a JSON text
/// with a mistake in it.
pub(crate) fn understand<T>(
    content_type: Option<&str>,
    body: &[u8],
    from_body: impl FnOnce(Option<&str>, &[u8]) -> Result<T, Vec<FieldError>>,
) -> Result<Result<T, Vec<FieldError>>, ApiError> {
    match from_body(content_type, body) {
        Err(fields)
            if matches!(&*fields, [FieldError { problem: Problem::JsonInvalid { .. }, .. }])
                && str::from_utf8(body).is_err() =>
        {
            Err(ApiError::unreadable_body())
        }
        outcome => Ok(outcome),
    }
}

async fn collect<S, D, E>(body: S, limit: usize) -> Result<Bytes, ApiError>
where
    S: Stream<Item = Result<D, E>>,
    D: Buf,
{
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| ApiError::unreadable_body())?;
        if chunk.remaining() > limit - whole.len() {
            return Err(ApiError::body_too_large(limit));
        }
        bytes::BufMut::put(&mut whole, chunk);
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};
    use http::HeaderValue;

    use super::*;
    use crate::http::errors::ErrorStatus;

    const LIMITS: Limits = Limits { bytes: 8, time: Duration::from_secs(10) };

    fn chunks(parts: &[&'static str]) -> impl Stream<Item = Result<Bytes, ()>> + use<> {
        stream::iter(parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect::<Vec<_>>())
    }

    fn outcome(read: Result<Bytes, ApiError>) -> Result<String, ErrorStatus> {
        read.map(|body| String::from_utf8(body.to_vec()).unwrap()).map_err(|error| error.status())
    }

    /// The limit is on the sum of the chunks, and a body of exactly the limit is taken.
    #[tokio::test]
    async fn the_limit_is_on_the_whole() {
        for (parts, wanted) in [
            (&[][..], Ok("")),
            (&["1234", "5678"], Ok("12345678")),
            (&["1234", "56789"], Err(ErrorStatus::PayloadTooLarge)),
            (&["123456789"], Err(ErrorStatus::PayloadTooLarge)),
        ] {
            let body = read(&HeaderMap::new(), chunks(parts), LIMITS).await;
            assert_eq!(outcome(body), wanted.map(str::to_owned), "{parts:?}");
        }
    }

    /// An announced length over the limit is refused before a byte is read: this body would never end.
    #[tokio::test]
    async fn an_announced_length_is_believed() {
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("9"))]);
        let body = read(&headers, stream::pending::<Result<Bytes, ()>>(), LIMITS).await;
        assert_eq!(outcome(body), Err(ErrorStatus::PayloadTooLarge));
    }

    /// A body that stops arriving ends as a 408 after the limit, not when the connection does.
    #[tokio::test(start_paused = true)]
    async fn a_slow_body_ends_at_the_limit() {
        let begun = tokio::time::Instant::now();
        let body = read(&HeaderMap::new(), chunks(&["12"]).chain(stream::pending()), LIMITS).await;
        assert_eq!(outcome(body), Err(ErrorStatus::RequestTimeout));
        assert_eq!(begun.elapsed(), LIMITS.time);
    }

    /// A body that breaks off is the caller's error, not ours.
    #[tokio::test]
    async fn a_broken_body_is_a_400() {
        let body = chunks(&["12"]).chain(stream::iter([Err(())]));
        assert_eq!(outcome(read(&HeaderMap::new(), body, LIMITS).await), Err(ErrorStatus::BadRequest));
    }
}
