//! Durations with bounds: an unbounded `Duration` from outside could overflow a clock.

use std::time::Duration;

use lifecycle::lifetime::{LIMIT_MAX, LIMIT_MIN};

/// The maximal age of the known cluster state before requests are answered 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StalenessLimit(Duration);

/// How long a shutdown waits for requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainDeadline(Duration);

/// How long connections are still accepted after a shutdown has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainDelay(Duration);

/// A time limit of a sandbox. The same bounds apply to limits in requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limit(Duration);

/// How long after its last activity a sandbox is protected from the DELETE of other owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerLease(Duration);

/// How long the reaper stops after it would have reaped too large a share of all sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopTime(Duration);

/// How long nothing is reaped after the start, and after a step of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace(Duration);

/// How long a sandbox whose probes fail is considered busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbePatience(Duration);

/// How long to wait before a failed activity probe is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeInterval(Duration);

macro_rules! bounded {
    ($name:ident) => {
        impl $name {
            /// Parses a duration such as `90s` or `1m 30s`; `None` if it is invalid or out of bounds.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let length = humantime::parse_duration(text).ok()?;
                (Self::MIN..=Self::MAX).contains(&length).then_some(Self(length))
            }

            /// The duration.
            #[must_use]
            pub const fn get(self) -> Duration {
                self.0
            }
        }
    };
}
bounded!(StalenessLimit);
bounded!(DrainDeadline);
bounded!(DrainDelay);
bounded!(Limit);
bounded!(OwnerLease);
bounded!(StopTime);
bounded!(Grace);
bounded!(ProbePatience);
bounded!(ProbeInterval);

// === impl StalenessLimit ===

impl StalenessLimit {
    /// On a quiet cluster the watch gets a message only about every 30 s, when it is reopened. With a shorter limit a
    /// healthy cluster would be considered stale.
    pub const MIN: Duration = Duration::from_secs(40);
    /// A state that is older than an hour says nothing about the present.
    pub const MAX: Duration = Duration::from_secs(60 * 60);
}

// === impl DrainDeadline, DrainDelay ===

impl DrainDeadline {
    /// Zero would interrupt every request.
    pub const MIN: Duration = Duration::from_secs(1);
    /// No request lasts longer than 30 s; more than ten minutes is probably a typing error.
    pub const MAX: Duration = Duration::from_secs(10 * 60);
}

impl DrainDelay {
    /// Zero suits a daemon without a load balancer.
    pub const MIN: Duration = Duration::ZERO;
    /// Longer than any load balancer needs to notice that the daemon is not ready.
    pub const MAX: Duration = Duration::from_secs(60);
}

// === impl Limit, OwnerLease, StopTime, Grace ===

impl Limit {
    /// The shortest useful limit.
    pub const MIN: Duration = LIMIT_MIN;
    /// The longest supported limit.
    pub const MAX: Duration = LIMIT_MAX;
}

impl OwnerLease {
    /// A client needs some time between two touches.
    pub const MIN: Duration = Duration::from_secs(1);
    /// With more than a day, an owner that is gone would lock out the others for longer than a working day.
    pub const MAX: Duration = Duration::from_secs(24 * 60 * 60);
}

impl StopTime {
    /// A shorter stop would end before the window in which reaps are counted.
    pub const MIN: Duration = Duration::from_secs(60);
    /// For more than a week, use the dry run.
    pub const MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
}

impl Grace {
    /// Zero is for tests and trials: whatever is due goes at once.
    pub const MIN: Duration = Duration::ZERO;
    /// With more than an hour, a daemon that is restarted often would never reap.
    pub const MAX: Duration = Duration::from_secs(60 * 60);
}

// === impl ProbePatience, ProbeInterval ===

impl ProbePatience {
    /// With zero a sandbox that does not answer is considered idle at once.
    pub const MIN: Duration = Duration::ZERO;
    /// A sandbox that has not answered for a day is not expected to recover.
    pub const MAX: Duration = Duration::from_secs(24 * 60 * 60);
}

impl ProbeInterval {
    /// More than one probe per second would load the sandbox's own server.
    pub const MIN: Duration = Duration::from_secs(1);
    /// With more than an hour the patience would end before the second probe.
    pub const MAX: Duration = Duration::from_secs(60 * 60);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bounds themselves are allowed, a nanosecond beyond is not, and no text can overflow.
    #[test]
    fn lengths_of_time_keep_their_bounds() {
        for (text, seconds) in
            [("40s", Some(40)), ("1m 30s", Some(90)), ("1h", Some(3600)), ("1h 1ns", None), ("39s", None)]
        {
            assert_eq!(StalenessLimit::parse(text).map(|l| l.get().as_secs()), seconds, "{text}");
        }
        for text in ["", "60", "-1s", "soon", "0s", "99999999999999999999999years"] {
            assert_eq!(DrainDeadline::parse(text), None, "{text}");
            assert_eq!(Limit::parse(text), None, "{text}");
        }
        assert_eq!(Limit::parse("365d").map(Limit::get), Some(LIMIT_MAX));
        assert_eq!(Limit::parse("365d 1ns"), None);
        assert_eq!(Grace::parse("0s").map(Grace::get), Some(Duration::ZERO));
        for refused in [OwnerLease::parse("25h").is_some(), StopTime::parse("59s").is_some()] {
            assert!(!refused);
        }
        for refused in [ProbePatience::parse("25h").is_some(), ProbeInterval::parse("0s").is_some()] {
            assert!(!refused);
        }
    }
}
