//! The API server's clock, as its answers tell it.
//!
//! What is kept on objects is in its time: `creationTimestamp`, and the signs of life that we write. Read by the same
//! clock they stay right, whatever this machine's own clock does and however often this process is started anew.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use parking_lot::Mutex;
use tokio::time::Instant;

/// A `Date` header has whole seconds, cut off.
const CUT_OFF: Duration = Duration::from_secs(1);

/// What the API server's clock shows, carried on by the clock that only goes forward.
#[derive(Debug, Default)]
pub struct ServerClock {
    known: Mutex<Option<Reading>>,
}

/// What it showed, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    wall: Timestamp,
    at: Instant,
}

// === impl ServerClock ===

impl ServerClock {
    /// What it shows now; `None` before the first answer.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        let known = self.known.lock();
        known.map(|reading| reading.on(Instant::now()))
    }

    /// Takes in the `Date` header of an answer to a call that was sent then. What is no date is passed over.
    pub(crate) fn heard(&self, date: &str, sent: Instant) {
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

/// The estimate, moved no more than it must be to agree with an answer that came `round_trip` after it was asked for: the
/// server wrote the date somewhere on the way. The first estimate is this machine's own time, which knows parts of a
/// second, where that agrees; else the earliest that does, by which nothing looks older than it is.
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

    /// Estimates stay where answers allow, and follow where they do not: a late answer moves nothing, a stepped
    /// clock everything.
    #[test]
    fn estimates_are_moved_no_more_than_they_must_be() {
        let seconds = Duration::from_secs;
        for (estimate, round_trip, corrected_to) in [
            (Some(0), seconds(0), 0),
            (Some(1), seconds(0), 1),
            (Some(2), seconds(0), 1),
            // The answer took long: its date may be as old as that.
            (Some(9), seconds(8), 9),
            (Some(9), seconds(5), 6),
            // Its clock was put forward, or back.
            (Some(-3600), seconds(0), 0),
            (Some(3600), seconds(0), 1),
        ] {
            let estimate = estimate.map(noon_and);
            let corrected = corrected(estimate, noon_and(7), noon_and(0), round_trip);
            assert_eq!(corrected, noon_and(corrected_to), "{estimate:?}");
        }
    }

    /// Of this machine's own time only what the answer allows is believed.
    #[test]
    fn the_first_estimate_is_our_own_time_if_that_may_be() {
        for (own, round_trip, first) in [(1, 0, 1), (2, 0, 0), (2, 1, 2), (-1, 0, 0), (3600, 5, 0)] {
            let first_estimate = corrected(None, noon_and(own), noon_and(0), Duration::from_secs(round_trip));
            assert_eq!(first_estimate, noon_and(first), "{own} s off");
        }
    }

    /// It is unknown until something is heard, and then goes on by itself.
    #[tokio::test(start_paused = true)]
    async fn it_goes_on_between_answers() {
        let clock = ServerClock::default();
        assert_eq!(clock.now(), None);
        clock.heard("yesterday", Instant::now());
        assert_eq!(clock.now(), None);
        clock.heard(NOON, Instant::now());
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.now(), Some(noon_and(90)));
    }
}
