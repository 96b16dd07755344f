//! Reading request bodies, with limits on the size, on the time, and on the number of large bodies read at once.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use lifecycle::{error::SandboxError, lifetime::Owner};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{errors::ApiError, owner};

/// Limits on the size of a body and on the time to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest accepted body, in bytes; a larger one is a 413.
    pub bytes: usize,
    /// How long the whole body may take to arrive; a slower one is a 408.
    pub time: Duration,
}

/// Bodies up to this size, in bytes, are read without a permit. A usual create is a tenth of it.
const SMALL: usize = 4 << 10;

/// `Retry-After` of a large body that waited too long for a permit.
const RETRY: Duration = Duration::from_secs(2);

/// How many larger bodies are read at once. Together with the limit of 1 MiB for each, this bounds the memory of all
/// larger bodies. An honest client sends such a body within a moment.
const LARGE_AT_ONCE: usize = 4;

/// How many large bodies may wait for a permit. Each holds what has arrived so far, at most about 100 KiB.
const LARGE_WAITING: usize = 32;

/// Reads bodies within the limits. Clones share the permits for large bodies.
#[derive(Debug, Clone)]
pub struct BodyReader {
    limits: Limits,
    large: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

// === impl Limits ===

impl Default for Limits {
    /// 1 MiB in 10 s. A create is a few hundred bytes; a thousand extra mounts are 100 KiB.
    fn default() -> Self {
        Self { bytes: 1 << 20, time: Duration::from_secs(10) }
    }
}

// === impl BodyReader ===

impl BodyReader {
    pub(super) fn new(limits: Limits) -> Self {
        let permits = |count| Arc::new(Semaphore::new(count));
        Self { limits, large: permits(LARGE_AT_ONCE), waiting: permits(LARGE_WAITING) }
    }

    /// Reads the whole body, with `Content-Length` or chunked.
    ///
    /// # Errors
    /// 413 if the body, or its `Content-Length`, is larger than the limit: at once, without reading the rest. 408 if
    /// it takes longer than the limit. 503 if it is large and gets no permit within that time, or if too many others
    /// wait already. 400 if it is incomplete.
    async fn read<S, D, E>(&self, headers: &HeaderMap, body: S) -> Result<Bytes, ApiError>
    where
        S: Stream<Item = Result<D, E>>,
        D: Buf,
    {
        let Limits { bytes: limit, time } = self.limits;
        let announced =
            headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
        if announced.is_some_and(|length: u64| length > limit as u64) {
            return Err(ApiError::body_too_large(limit));
        }
        let end = Instant::now() + time;
        let mut body = std::pin::pin!(body);
        let mut whole = BytesMut::new();
        let mut permit = None;
        loop {
            let Ok(chunk) = timeout_at(end, body.next()).await else {
                return Err(ApiError::body_too_slow(time));
            };
            let Some(chunk) = chunk else { return Ok(whole.freeze()) };
            let chunk = chunk.map_err(|_| ApiError::unreadable_body())?;
            if chunk.remaining() > limit - whole.len() {
                return Err(ApiError::body_too_large(limit));
            }
            if permit.is_none() && whole.len() + chunk.remaining() > SMALL {
                let busy = || ApiError::from(SandboxError::Busy { retry_after: RETRY });
                let _waits = self.waiting.try_acquire().map_err(|_| busy())?;
                // While the body waits for a permit, nothing more is read from its connection.
                match timeout_at(end, self.large.acquire()).await {
                    Ok(acquired) => permit = acquired.ok(),
                    Err(_) => return Err(busy()),
                }
            }
            bytes::BufMut::put(&mut whole, chunk);
        }
    }

    /// Reads and parses the whole body, and reads `X-Owner`.
    ///
    /// # Errors
    /// As [`BodyReader::read`]. A 422 contains the errors of the header and of the body, in this order, as with
    /// `FastAPI`.
    pub(super) async fn parse<S, D, E, T>(
        &self,
        headers: &HeaderMap,
        body: S,
        parse: impl FnOnce(Option<&str>, &[u8]) -> Result<T, ApiError>,
    ) -> Result<(T, Option<Owner>), ApiError>
    where
        S: Stream<Item = Result<D, E>>,
        D: Buf,
    {
        let body = self.read(headers, body).await?;
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match (owner::read(headers), parse(content_type, &body)) {
            (owner, Ok(parsed)) => Ok((parsed, owner?)),
            (Ok(_), Err(error)) => Err(error),
            (Err(owner), Err(error)) => Err(owner.and_body(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};
    use http::{HeaderValue, StatusCode};
    use tokio::time::sleep;

    use super::*;

    const LIMITS: Limits = Limits { bytes: 8, time: Duration::from_secs(10) };

    fn chunks(parts: &[&'static str]) -> impl Stream<Item = Result<Bytes, ()>> + use<> {
        stream::iter(parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect::<Vec<_>>())
    }

    fn outcome(read: Result<Bytes, ApiError>) -> Result<String, StatusCode> {
        read.map(|body| String::from_utf8(body.to_vec()).unwrap()).map_err(|error| error.status())
    }

    /// Guards that the limit applies to the sum of the chunks, and that a body of exactly the limit is accepted.
    #[tokio::test]
    async fn the_limit_applies_to_the_whole_body() {
        for (parts, wanted) in [
            (&[][..], Ok("")),
            (&["1234", "5678"], Ok("12345678")),
            (&["1234", "56789"], Err(StatusCode::PAYLOAD_TOO_LARGE)),
            (&["123456789"], Err(StatusCode::PAYLOAD_TOO_LARGE)),
        ] {
            let body = BodyReader::new(LIMITS).read(&HeaderMap::new(), chunks(parts)).await;
            assert_eq!(outcome(body), wanted.map(str::to_owned), "{parts:?}");
        }
    }

    /// Guards that a `Content-Length` over the limit is rejected before a byte is read: this body never ends.
    #[tokio::test]
    async fn a_large_content_length_is_rejected_immediately() {
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("9"))]);
        let body = BodyReader::new(LIMITS).read(&headers, stream::pending::<Result<Bytes, ()>>()).await;
        assert_eq!(outcome(body), Err(StatusCode::PAYLOAD_TOO_LARGE));
    }

    /// Guards that a body that stops arriving is a 408 after the limit, not when the connection ends.
    #[tokio::test(start_paused = true)]
    async fn a_slow_body_times_out() {
        let start = Instant::now();
        let body =
            BodyReader::new(LIMITS).read(&HeaderMap::new(), chunks(&["12"]).chain(stream::pending())).await;
        assert_eq!(outcome(body), Err(StatusCode::REQUEST_TIMEOUT));
        assert_eq!(start.elapsed(), LIMITS.time);
    }

    /// Guards that an incomplete body is a 400.
    #[tokio::test]
    async fn a_broken_body_is_a_400() {
        let body = chunks(&["12"]).chain(stream::iter([Err(())]));
        assert_eq!(
            outcome(BodyReader::new(LIMITS).read(&HeaderMap::new(), body).await),
            Err(StatusCode::BAD_REQUEST)
        );
    }

    /// Guards that few large bodies are read at once, also if they stall, and that small bodies do not wait for them.
    #[tokio::test(start_paused = true)]
    async fn few_large_bodies_are_read_at_once() {
        let body_reader = BodyReader::new(Limits { bytes: 1 << 20, time: Duration::from_secs(10) });
        let (none, large) = (HeaderMap::new(), Bytes::from_static(&[b' '; SMALL + 1]));
        let first = || stream::iter([Ok::<_, ()>(large.clone())]);
        // The bodies that find no permit started later and have less time left.
        let stalling = futures::future::join_all((0..LARGE_AT_ONCE).map(async |_| {
            sleep(Duration::from_secs(1)).await;
            body_reader.read(&none, first().chain(stream::pending())).await
        }));
        let waiting = futures::future::join_all((0..LARGE_AT_ONCE).map(async |_| {
            let late = stream::once(Box::pin(sleep(Duration::from_secs(2)))).flat_map(|()| first());
            body_reader.read(&none, late).await
        }));
        let small = async {
            let start = Instant::now();
            let read = body_reader.read(&none, chunks(&["12"])).await;
            (outcome(read), start.elapsed())
        };
        let (stalling, waiting, small) = tokio::join!(stalling, waiting, small);
        assert_eq!(small, (Ok("12".to_owned()), Duration::ZERO));
        for (outcomes, status) in
            [(stalling, StatusCode::REQUEST_TIMEOUT), (waiting, StatusCode::SERVICE_UNAVAILABLE)]
        {
            assert!(outcomes.into_iter().all(|read| outcome(read) == Err(status)), "{status:?}");
        }
        let whole = body_reader.read(&none, first()).await;
        assert_eq!(whole.unwrap().len(), SMALL + 1, "a permit is free again");

        // When too many wait already, the 503 is immediate.
        let _all = body_reader.waiting.try_acquire_many(LARGE_WAITING.try_into().unwrap()).unwrap();
        let (start, refused) = (Instant::now(), body_reader.read(&none, first()).await);
        assert_eq!(
            (outcome(refused), start.elapsed()),
            (Err(StatusCode::SERVICE_UNAVAILABLE), Duration::ZERO)
        );
    }
}
