//! Waiting for a state, with a bound.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The bound of [`until`]: more than any test needs that does not wait for a grace period.
const LIMIT: Duration = Duration::from_secs(20);

/// Waits at most 20 s until the condition holds. Returns how long that took.
pub async fn until(what: &str, holds: impl AsyncFnMut() -> bool) -> Duration {
    within(LIMIT, what, holds).await
}

/// Waits at most this long until the condition holds. Returns how long that took.
pub async fn within(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < limit, "timed out after {limit:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}
