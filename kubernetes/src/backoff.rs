//! The waits between failures, for tasks that retry forever.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::{fault::CallError, retry};

/// The first wait.
pub const FIRST: Duration = Duration::from_millis(500);

/// The longest wait while the API server does not answer. After an outage of any length the watch is up to date within
/// 5 s: this wait, and 2 s for the list itself.
pub const LONGEST_UNANSWERED: Duration = Duration::from_secs(3);

/// The longest wait while the API server answers with errors. A working watch costs a call every 30 s, and a failing
/// one must cost at most three times as many (invariant 10).
pub const LONGEST_ANSWERED: Duration = Duration::from_secs(10);

/// An exponential back-off. It starts again only with [`Backoff::reset`], after real success.
#[derive(Debug)]
pub struct Backoff(ExponentialBackoff);

/// Returns the longest wait after such an error.
pub fn longest_after(error: &CallError) -> Duration {
    match error {
        // A proxy answers with these codes while the API server behind it is away. A 429 is the API server's own.
        CallError::Answered { code: 502..=504, .. }
        | CallError::Answered { code: ..=428 | 430..=499, status: None, .. }
        | CallError::Foreign { .. }
        | CallError::Transport { .. }
        | CallError::TimedOut { .. }
        | CallError::Overloaded { .. }
        | CallError::NotConnected { .. }
        | CallError::Closed => LONGEST_UNANSWERED,
        CallError::Answered { .. } | CallError::TooLarge { .. } | CallError::Unreadable => LONGEST_ANSWERED,
    }
}

// === impl Backoff ===

impl Default for Backoff {
    fn default() -> Self {
        let waits = ExponentialBuilder::new()
            .with_min_delay(FIRST)
            .with_max_delay(LONGEST_ANSWERED)
            .without_max_times()
            // It adds no jitter, but without a seed it draws one from the thread's generator, which a simulation seeds.
            .with_jitter_seed(0);
        Self(waits.build())
    }
}

impl Backoff {
    /// Returns the wait after one more failure: [`FIRST`], doubled each time up to `longest`, minus up to a quarter
    /// (`jitter`, from 0 to 1). It is not shorter than the server's `Retry-After`, up to [`LONGEST_ANSWERED`].
    #[must_use]
    pub fn wait(&mut self, longest: Duration, retry_after: Option<Duration>, jitter: f64) -> Duration {
        let doubled = self.0.next().unwrap_or(LONGEST_ANSWERED).min(longest);
        let wait = doubled.mul_f64(1.0 - retry::fraction(jitter) / 4.0);
        wait.max(retry_after.unwrap_or_default().min(LONGEST_ANSWERED))
    }

    /// Starts again with the first wait.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_until_reset() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> =
            (0..6).map(|_| backoff.wait(LONGEST_UNANSWERED, None, 0.0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 3000, 3000, 3000]);
        backoff.reset();
        assert_eq!(backoff.wait(LONGEST_UNANSWERED, None, 0.0), FIRST);
        let asked = Some(Duration::from_secs(4));
        assert_eq!(backoff.wait(LONGEST_UNANSWERED, asked, 0.0), Duration::from_secs(4));
    }

    proptest! {
        /// Guards that no wait is a busy loop or endless, whatever the server asks for.
        #[test]
        fn waits_stay_within_bounds(
            failures in 0..40_u32, jitter: f64, asked in proptest::option::of(any::<u32>()), answered: bool,
        ) {
            let longest = if answered { LONGEST_ANSWERED } else { LONGEST_UNANSWERED };
            let asked = asked.map(|s| Duration::from_secs(s.into()));
            let mut backoff = Backoff::default();
            for _ in 0..failures {
                let _ = backoff.wait(longest, None, 0.0);
            }
            let wait = backoff.wait(longest, asked, jitter);
            prop_assert!(wait >= FIRST.mul_f64(0.75));
            prop_assert!(wait <= longest.max(asked.unwrap_or_default().min(LONGEST_ANSWERED)));
        }
    }
}
