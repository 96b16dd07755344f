//! Compression of large answers.

use std::{io::Write as _, sync::Arc};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, header::ACCEPT_ENCODING};
use tokio::sync::Semaphore;

/// The smallest answer that is compressed, in bytes. Below it, the time for the compression exceeds that for the transfer
/// on most networks. The API server of Kubernetes has the same limit.
pub(super) const MIN_SIZE: usize = 128 << 10;

/// Compresses answers, one at a time, so that clients that list often cannot use more than one core for it. Clones share
/// the limit.
#[derive(Debug, Clone)]
pub(super) struct Gzip {
    permits: Arc<Semaphore>,
}

/// Returns whether the client accepts gzip.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut any = false;
    for coding in values.flat_map(|value| value.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_refused = parts.any(|parameter| {
            let quality = parameter.strip_prefix("q=").or(parameter.strip_prefix("Q="));
            quality.is_some_and(|quality| quality.trim().parse() == Ok(0.0_f32))
        });
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return !is_refused;
        }
        any |= name == "*" && !is_refused;
    }
    any
}

// === impl Gzip ===

impl Gzip {
    pub(super) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(1)) }
    }

    /// Compresses an answer. Returns `None` if it is small or if another one is being compressed: the client then gets it
    /// as it is.
    pub(super) async fn compress(&self, text: Bytes) -> Option<Bytes> {
        if text.len() < MIN_SIZE {
            return None;
        }
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        // A list of 10,000 sandboxes takes tens of milliseconds, in which this thread can answer others.
        let compressed = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            compressed(&text)
        });
        compressed.await.ok().flatten()
    }
}

fn compressed(text: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    encoder.write_all(text).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use http::HeaderValue;

    use super::*;

    /// Guards which `Accept-Encoding` accepts gzip.
    #[test]
    fn accepted_codings_are_read() {
        for (values, accepted) in [
            (&[][..], false),
            (&["gzip"], true),
            (&["gzip, deflate"], true),
            (&["deflate", "GZIP"], true),
            (&["br;q=1.0, gzip;q=0.8, *;q=0.1"], true),
            (&["x-gzip"], true),
            (&["*"], true),
            (&["*;q=0"], false),
            (&["gzip;q=0, *"], false),
            (&["gzip; q=0.0"], false),
            (&["identity"], false),
            (&[""], false),
            (&["gzippy"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(is_accepted(&headers), accepted, "{values:?}");
        }
    }

    /// Guards that a large answer is compressed without loss, and that only one is compressed at a time.
    #[tokio::test]
    async fn one_large_answer_is_compressed_at_a_time() {
        let gzip = Gzip::new();
        let text = Bytes::from(r#"{"sandbox_id":"abc","ready":true},"#.repeat(8192));
        let small = gzip.compress(text.slice(..MIN_SIZE - 1)).await;
        assert_eq!(small, None);

        let compressed = gzip.compress(text.clone()).await.expect("it is large");
        assert!(compressed.len() < text.len() / 20, "{}", compressed.len());
        let mut read = Vec::new();
        GzDecoder::new(&*compressed).read_to_end(&mut read).unwrap();
        assert_eq!(read, text);

        let permit = gzip.permits.clone().acquire_owned().await;
        assert_eq!(gzip.compress(text.clone()).await, None, "another one is being compressed");
        drop(permit);
        assert!(gzip.compress(text).await.is_some());
    }
}
