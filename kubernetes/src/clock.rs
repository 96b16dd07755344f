//! Estimates the API server's clock from the `Date` headers of its answers.
//!
//! All times on objects are times of this clock: `creationTimestamp`, and the activity that this program records.
//! Comparing them with the same clock stays correct if the clock of this machine is wrong or this process restarts.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use parking_lot::Mutex;
use tokio::time::Instant;

/// A `Date` header has whole seconds; fractions are cut off.
const CUT_OFF: Duration = Duration::from_secs(1);

/// The API server's clock, advanced by the monotonic clock between answers.
#[derive(Debug, Default)]
pub struct ServerClock {
    known: Mutex<Option<Reading>>,
}

/// A wall-clock time, and the monotonic time at which it was valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    wall: Timestamp,
    at: Instant,
}

// === impl ServerClock ===

impl ServerClock {
    /// Returns the current time of the API server's clock, or `None` before the first answer.
    pub fn now(&self) -> Option<Timestamp> {
        let known = self.known.lock();
        known.map(|reading| reading.on(Instant::now()))
    }

    /// Updates the clock from the `Date` header of an answer to a call that was sent at the given time. Ignores an
    /// invalid date.
    pub(crate) fn update(&self, date: &str, sent: Instant) {
        let Ok(date) = rfc2822::parse(date) else { return };
        let now = Instant::now();
        let mut known = self.known.lock();
        let estimate = known.map(|reading| reading.on(now));
        let wall = corrected(estimate, Timestamp::now(), date.timestamp(), now - sent);
        *known = Some(Reading { wall, at: now });
    }
}

impl Reading {
    fn on(self, now: Instant) -> Timestamp {
        later(self.wall, now.saturating_duration_since(self.at))
    }
}

/// Corrects the estimate by the smallest amount that makes it agree with an answer. The server wrote the date at some
/// point of the round trip. The first estimate is this machine's own time, which has fractions of a second, if that
/// agrees with the answer. Else it is the earliest time that agrees, so that no object appears older than it is.
fn corrected(
    estimate: Option<Timestamp>,
    own: Timestamp,
    date: Timestamp,
    round_trip: Duration,
) -> Timestamp {
    let latest = later(date, CUT_OFF.saturating_add(round_trip));
    match estimate {
        Some(estimate) => estimate.clamp(date, latest),
        None if (date..=latest).contains(&own) => own,
        None => date,
    }
}

fn later(wall: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    wall.saturating_add(by).unwrap_or(wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "Sat, 21 Nov 2026 12:00:00 GMT";

    fn noon_and(seconds: i64) -> Timestamp {
        "2026-11-21T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    /// Guards that an estimate changes only if it contradicts an answer: a slow answer changes nothing, a stepped clock
    /// does.
    #[test]
    fn an_estimate_is_corrected_as_little_as_possible() {
        let seconds = Duration::from_secs;
        for (estimate, round_trip, corrected_to) in [
            (Some(0), seconds(0), 0),
            (Some(1), seconds(0), 1),
            (Some(2), seconds(0), 1),
            // The answer was slow, so its date may be as old as the round trip.
            (Some(9), seconds(8), 9),
            (Some(9), seconds(5), 6),
            // The server's clock was set forward or back.
            (Some(-3600), seconds(0), 0),
            (Some(3600), seconds(0), 1),
        ] {
            let estimate = estimate.map(noon_and);
            let corrected = corrected(estimate, noon_and(7), noon_and(0), round_trip);
            assert_eq!(corrected, noon_and(corrected_to), "{estimate:?}");
        }
    }

    /// Guards that this machine's own time is used only if it agrees with the answer.
    #[test]
    fn the_first_estimate_is_our_own_time_if_it_agrees() {
        for (own, round_trip, first) in [(1, 0, 1), (2, 0, 0), (2, 1, 2), (-1, 0, 0), (3600, 5, 0)] {
            let first_estimate = corrected(None, noon_and(own), noon_and(0), Duration::from_secs(round_trip));
            assert_eq!(first_estimate, noon_and(first), "{own} s off");
        }
    }

    /// Guards that the time is unknown before the first answer, and advances between answers.
    #[tokio::test(start_paused = true)]
    async fn the_clock_advances_between_answers() {
        let clock = ServerClock::default();
        assert_eq!(clock.now(), None);
        clock.update("yesterday", Instant::now());
        assert_eq!(clock.now(), None);
        clock.update(NOON, Instant::now());
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.now(), Some(noon_and(90)));
    }
}
