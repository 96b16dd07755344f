//! How many objects a page of a list has.
//!
//! A page must not be longer than what is read of an answer, and must arrive in time. How long an object is depends on
//! others: callers, admission webhooks and tools that write annotations. So the number is halved when a page fails for its
//! size, and grows again while pages are short.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Uri;

use super::PAGE_SILENCE;
use crate::fault::CallError;

/// The largest number, as in `client-go`: about 10 MiB of Pods as this program creates them.
pub const MAX: u32 = 500;

/// The number of objects in the next page. Clones share it.
#[derive(Debug, Clone)]
pub struct PageSize(Arc<AtomicU32>);

// === impl PageSize ===

impl Default for PageSize {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(MAX)))
    }
}

impl PageSize {
    pub fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Takes note of a page of this many bytes, of at most `max`, that took this long. The next has twice as many objects
    /// if they will surely fit.
    pub fn succeeded(&self, bytes: usize, max: usize, took: Duration) {
        if bytes < max / 8 && took < PAGE_SILENCE / 8 {
            self.0.store(self.get().saturating_mul(2).min(MAX), Relaxed);
        }
    }

    /// Takes note of a page that failed. Returns whether to request it again at once, with fewer objects. After a time-out
    /// the list fails instead, because the API server may not answer at all.
    pub fn failed(&self, error: &CallError) -> bool {
        let size = self.get();
        if matches!(error, CallError::TooLarge { .. } | CallError::TimedOut { .. }) {
            self.0.store((size / 2).max(1), Relaxed);
        }
        matches!(error, CallError::TooLarge { .. }) && size > 1
    }
}

/// Returns the address of the same page with this many objects.
pub fn with_limit(uri: &Uri, limit: u32) -> Option<Uri> {
    let query = uri.query()?;
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some(("limit", _)) => format!("limit={limit}"),
        _ => pair.to_owned(),
    });
    let query = pairs.collect::<Vec<_>>().join("&");
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{}?{query}", uri.path()).parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER_MAX: usize = 64 << 20;
    const TOO_LARGE: CallError = CallError::TooLarge { max: ANSWER_MAX };

    /// Guards that the number is halved down to one and grows back, and only for errors that depend on the size.
    #[test]
    fn the_number_follows_the_size_of_pages() {
        let size = PageSize::default();
        for expected in [250, 125, 62, 31, 15, 7, 3, 1] {
            assert!(size.failed(&TOO_LARGE), "{expected}");
            assert_eq!(size.get(), expected);
        }
        assert!(!size.failed(&TOO_LARGE), "one object cannot be divided");
        assert_eq!(size.get(), 1);
        size.succeeded(ANSWER_MAX / 8, ANSWER_MAX, Duration::ZERO);
        size.succeeded(1000, ANSWER_MAX, PAGE_SILENCE / 8);
        assert_eq!(size.get(), 1, "a long or slow page does not grow");
        for expected in [2, 4, 8, 16, 32, 64, 128, 256, 500, 500] {
            size.succeeded(1000, ANSWER_MAX, Duration::from_secs(1));
            assert_eq!(size.get(), expected);
        }
        let late = CallError::TimedOut { after: Duration::from_secs(10) };
        assert!(!size.failed(&late));
        assert_eq!(size.get(), 250);
        let other = CallError::Answered { code: 500, status: None, retry_after: None };
        assert!(!size.failed(&other) && !size.failed(&CallError::Unreadable));
        assert_eq!(size.get(), 250);
    }

    /// Guards that a page with another number of objects continues the same list.
    #[test]
    fn only_the_limit_is_replaced() {
        let uri =
            Uri::from_static("/api/v1/pods?labelSelector=a%3Db&limit=500&continue=x%3D&timeoutSeconds=7");
        let other = with_limit(&uri, 3).unwrap();
        assert_eq!(other, "/api/v1/pods?labelSelector=a%3Db&limit=3&continue=x%3D&timeoutSeconds=7");
        assert_eq!(with_limit(&Uri::from_static("/api/v1/pods"), 3), None);
    }
}
