//! Decides which failures of a watch are logged: each distinct one once while it lasts.

use std::time::Duration;

use tokio::time::Instant;

/// A failure that has not occurred for this long, while the watch works, is over. Shorter pauses do not end it: a watch
/// that fails every few seconds would fill the log.
pub const OVER_AFTER: Duration = Duration::from_secs(60);

/// The maximum number of distinct failures. A message that is different each time is not logged forever.
const MAX: usize = 8;

/// The failures of a watch that last.
#[derive(Debug, Default)]
pub struct Failures {
    /// Each with the time at which it last occurred.
    lasting: Vec<(String, Instant)>,
    /// Whether one was logged since the watch was last up to date.
    logged: bool,
}

// === impl Failures ===

impl Failures {
    /// Records a failure. Returns whether to log it.
    pub fn is_new(&mut self, why: &str, now: Instant) -> bool {
        let key = without_numbers(why);
        if let Some((_, last)) = self.lasting.iter_mut().find(|(known, _)| *known == key) {
            *last = now;
            return false;
        }
        let is_new = self.lasting.len() < MAX;
        if is_new {
            self.lasting.push((key, now));
            self.logged = true;
        }
        is_new
    }

    /// Records that the watch is up to date. Returns whether to log it.
    pub fn up_to_date(&mut self, now: Instant) -> bool {
        self.lasting.retain(|(_, last)| now.saturating_duration_since(*last) < OVER_AFTER);
        std::mem::take(&mut self.logged)
    }
}

/// Removes digits, because resource versions and durations differ each time. An HTTP status code counts.
fn without_numbers(why: &str) -> String {
    let mut after_http = false;
    let words = why.split_inclusive(' ').map(|word| {
        let keep = std::mem::replace(&mut after_http, word == "HTTP " || word.ends_with("(HTTP "));
        word.chars().filter(|c| keep || !c.is_ascii_digit()).collect::<String>()
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Guards that each distinct failure is logged once, whichever numbers it contains, and that an HTTP status code
    /// makes a difference.
    #[test]
    fn each_distinct_failure_is_logged_once() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for (why, is_new) in [
            ("the watch failed: Expired (too old resource version: 10 (900))", true),
            ("the watch failed: Expired (too old resource version: 77 (1234))", false),
            ("the list failed: Unreachable (HTTP 302 without a status)", true),
            ("the list failed: Unreachable (HTTP 407: a proxy)", true),
            ("the list failed: Unreachable (HTTP 302 without a status)", false),
            ("the list failed: TimedOut (timed out after 10s)", true),
            ("the list failed: TimedOut (timed out after 60s)", false),
            ("the watch failed: TimedOut (timed out after 10s)", true),
        ] {
            assert_eq!(failures.is_new(why, now), is_new, "{why}");
        }
    }

    /// Guards that a failure that is over is logged when it occurs again, and one that returns every few seconds is not.
    #[test]
    fn a_failure_is_over_after_a_minute() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        assert!(!failures.up_to_date(start), "nothing was wrong");
        assert!(failures.is_new("a", start));
        assert!(failures.up_to_date(start + s(1)));
        assert!(!failures.up_to_date(start + s(2)), "once");
        for second in (20..600).step_by(20) {
            assert!(!failures.is_new("a", start + s(second)), "{second}");
            assert!(!failures.up_to_date(start + s(second + 1)), "{second}");
        }
        assert!(!failures.up_to_date(start + s(580) + OVER_AFTER));
        assert!(failures.is_new("a", start + s(700)));
        assert!(!failures.is_new("a", start + s(900)), "it lasts while the watch does not work");
        assert!(failures.up_to_date(start + s(901)));
    }

    /// Guards that messages that differ each time do not fill the log.
    #[test]
    fn the_number_of_lines_is_bounded() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let logged = ('a'..='z').filter(|c| failures.is_new(&c.to_string(), now)).count();
        assert_eq!(logged, MAX);
    }
}
