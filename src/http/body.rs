//! Reading a request's body: never more than a limit of it, never longer than a limit, and never many large ones at
//! once.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use lifecycle::{
    error::SandboxError,
    request::{FieldError, Problem},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::errors::ApiError;

/// How much of a body is read, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest body that is read, in bytes; a larger one is a 413.
    pub bytes: usize,
    /// How long the whole body may take to arrive; a slower one is a 408.
    pub time: Duration,
}

/// What a body may have of memory without asking, in bytes: a usual create has a tenth of it.
const SMALL: usize = 4 << 10;

/// When to ask again after a large body had to wait for too long.
const RETRY: Duration = Duration::from_secs(2);

/// How many bodies may be larger at once. With the limit of 1 MiB on each that is what all bodies together take, but
/// for the small ones; a large one that is meant is read within a moment.
const LARGE_AT_ONCE: usize = 4;

/// How many large bodies may wait for their turn: each holds what has arrived of it, some 100 KiB at the most.
const LARGE_WAITING: usize = 32;

/// Reads bodies within their limits. Clones share the room for large ones.
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

// === impl Bodies ===

impl BodyReader {
    /// Bodies within these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let room = |places| Arc::new(Semaphore::new(places));
        Self { limits, large: room(LARGE_AT_ONCE), waiting: room(LARGE_WAITING) }
    }

    /// Reads the whole body, whether it announces its length or comes in chunks.
    ///
    /// # Errors
    /// 413 when it is, or says that it will be, larger than the limit: at once, without reading the rest. 408 when
    /// it takes longer than the limit. 503 when it is large, and so many others are that its turn does not come
    /// within that time, or that too many wait already. 400 when it breaks off.
    pub async fn read<S, D, E>(&self, headers: &HeaderMap, body: S) -> Result<Bytes, ApiError>
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
        let mut turn = None;
        loop {
            let Ok(chunk) = timeout_at(end, body.next()).await else {
                return Err(ApiError::body_too_slow(time));
            };
            let Some(chunk) = chunk else { return Ok(whole.freeze()) };
            let chunk = chunk.map_err(|_| ApiError::unreadable_body())?;
            if chunk.remaining() > limit - whole.len() {
                return Err(ApiError::body_too_large(limit));
            }
            if turn.is_none() && whole.len() + chunk.remaining() > SMALL {
                let busy = || ApiError::from(SandboxError::Busy { retry_after: RETRY });
                let _waits = self.waiting.try_acquire().map_err(|_| busy())?;
                // While it waits nothing more of it is taken from its connection.
                match timeout_at(end, self.large.acquire()).await {
                    Ok(permit) => turn = permit.ok(),
                    Err(_) => return Err(busy()),
                }
            }
            bytes::BufMut::put(&mut whole, chunk);
        }
    }

    /// Reads the whole body and what it says; the inner error is all that is wrong with its fields.
    ///
    /// # Errors
    /// As [`Bodies::read`] and [`understand`].
    pub(super) async fn parse<S, D, E, T>(
        &self,
        headers: &HeaderMap,
        body: S,
        from_body: impl FnOnce(Option<&str>, &[u8]) -> Result<T, Vec<FieldError>>,
    ) -> Result<Result<T, Vec<FieldError>>, ApiError>
    where
        S: Stream<Item = Result<D, E>>,
        D: Buf,
    {
        let body = self.read(headers, body).await?;
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        understand(content_type, &body, from_body)
    }
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

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};
    use http::HeaderValue;
    use tokio::time::sleep;

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
            let body = BodyReader::new(LIMITS).read(&HeaderMap::new(), chunks(parts)).await;
            assert_eq!(outcome(body), wanted.map(str::to_owned), "{parts:?}");
        }
    }

    /// An announced length over the limit is refused before a byte is read: this body would never end.
    #[tokio::test]
    async fn an_announced_length_is_believed() {
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("9"))]);
        let body = BodyReader::new(LIMITS).read(&headers, stream::pending::<Result<Bytes, ()>>()).await;
        assert_eq!(outcome(body), Err(ErrorStatus::PayloadTooLarge));
    }

    /// A body that stops arriving ends as a 408 after the limit, not when the connection does.
    #[tokio::test(start_paused = true)]
    async fn a_slow_body_ends_at_the_limit() {
        let begun = Instant::now();
        let body =
            BodyReader::new(LIMITS).read(&HeaderMap::new(), chunks(&["12"]).chain(stream::pending())).await;
        assert_eq!(outcome(body), Err(ErrorStatus::RequestTimeout));
        assert_eq!(begun.elapsed(), LIMITS.time);
    }

    /// A body that breaks off is the caller's error, not ours.
    #[tokio::test]
    async fn a_broken_body_is_a_400() {
        let body = chunks(&["12"]).chain(stream::iter([Err(())]));
        assert_eq!(
            outcome(BodyReader::new(LIMITS).read(&HeaderMap::new(), body).await),
            Err(ErrorStatus::BadRequest)
        );
    }

    /// Large bodies are read a few at a time, however many stall; small ones wait for none of them.
    #[tokio::test(start_paused = true)]
    async fn large_bodies_are_few_at_once() {
        let body_reader = BodyReader::new(Limits { bytes: 1 << 20, time: Duration::from_secs(10) });
        let (none, large) = (HeaderMap::new(), Bytes::from_static(&[b' '; SMALL + 1]));
        let first = || stream::iter([Ok::<_, ()>(large.clone())]);
        // Those who find no room have less time left than those who took it.
        let stalling = futures::future::join_all((0..LARGE_AT_ONCE).map(async |_| {
            sleep(Duration::from_secs(1)).await;
            body_reader.read(&none, first().chain(stream::pending())).await
        }));
        let waiting = futures::future::join_all((0..LARGE_AT_ONCE).map(async |_| {
            let late = stream::once(Box::pin(sleep(Duration::from_secs(2)))).flat_map(|()| first());
            body_reader.read(&none, late).await
        }));
        let small = async {
            let begun = Instant::now();
            let read = body_reader.read(&none, chunks(&["12"])).await;
            (outcome(read), begun.elapsed())
        };
        let (stalling, waiting, small) = tokio::join!(stalling, waiting, small);
        assert_eq!(small, (Ok("12".to_owned()), Duration::ZERO));
        for (outcomes, status) in
            [(stalling, ErrorStatus::RequestTimeout), (waiting, ErrorStatus::Unavailable)]
        {
            assert!(outcomes.into_iter().all(|read| outcome(read) == Err(status)), "{status:?}");
        }
        let whole = body_reader.read(&none, first()).await;
        assert_eq!(whole.unwrap().len(), SMALL + 1, "there is room again");

        // Past those who may wait the answer is at once.
        let _all = body_reader.waiting.try_acquire_many(LARGE_WAITING.try_into().unwrap()).unwrap();
        let (begun, refused) = (Instant::now(), body_reader.read(&none, first()).await);
        assert_eq!((outcome(refused), begun.elapsed()), (Err(ErrorStatus::Unavailable), Duration::ZERO));
    }
}
