//! Lengths of time with their bounds: a bare `Duration` from outside could overflow a clock.

use std::time::Duration;

use lifecycle::lifetime::{LIMIT_MAX, LIMIT_MIN};

/// How old what is known of the cluster may be before answers become 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StalenessLimit(Duration);

/// How long a shutdown waits for what is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainDeadline(Duration);

/// For how long connections are still taken once a shutdown has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainDelay(Duration);

/// How long something of a sandbox may last. The same bounds hold for what callers ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limit(Duration);

/// For how long after its last sign of life a sandbox is safe from other owners' DELETE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerLease(Duration);

/// For how long the reaper stops, once too much of the fleet was about to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopTime(Duration);

/// How long nothing is reaped after the start, and after a step of the wall's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace(Duration);

/// For how long a sandbox whose probes cannot be answered counts as busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbePatience(Duration);

/// How long to wait before a sandbox that could not be asked whether it is busy is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeInterval(Duration);

macro_rules! bounded {
    ($name:ident) => {
        impl $name {
            /// Reads a length of time such as `90s` or `1m 30s`; `None` when it is none, or out of bounds.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let length = humantime::parse_duration(text).ok()?;
                (Self::MIN..=Self::MAX).contains(&length).then_some(Self(length))
            }

            /// The length of time.
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
    /// A quiet watch is heard of about every 30 s, when it is opened anew: a shorter limit would call a
    /// healthy cluster stale.
    pub const MIN: Duration = Duration::from_secs(40);
    /// Past an hour an answer from memory says nothing about the present.
    pub const MAX: Duration = Duration::from_secs(60 * 60);
}

// === impl DrainDeadline, DrainDelay ===

impl DrainDeadline {
    /// Zero would cut every request.
    pub const MIN: Duration = Duration::from_secs(1);
    /// No request lasts longer than 30 s; more than ten minutes is a slip of the pen.
    pub const MAX: Duration = Duration::from_secs(10 * 60);
}

impl DrainDelay {
    /// Zero is for those who are alone with it.
    pub const MIN: Duration = Duration::ZERO;
    /// Longer than any balancer needs to see that we are not ready.
    pub const MAX: Duration = Duration::from_secs(60);
}

// === impl Limit, OwnerLease, StopTime, Grace ===

impl Limit {
    /// The shortest that makes sense.
    pub const MIN: Duration = LIMIT_MIN;
    /// The longest that is kept.
    pub const MAX: Duration = LIMIT_MAX;
}

impl OwnerLease {
    /// A caller that shows a sign of life every so often needs some time in between.
    pub const MIN: Duration = Duration::from_secs(1);
    /// Past a day an owner that is gone would keep the others out for a working day and more.
    pub const MAX: Duration = Duration::from_secs(24 * 60 * 60);
}

impl StopTime {
    /// A shorter stop would be over before the window in which reaps are counted.
    pub const MIN: Duration = Duration::from_secs(60);
    /// Past a week it is no stop but a decision, and that is what the dry run is for.
    pub const MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
}

impl Grace {
    /// Zero is for tests and trials: whatever is due goes at once.
    pub const MIN: Duration = Duration::ZERO;
    /// Past an hour a daemon that is restarted often would never reap.
    pub const MAX: Duration = Duration::from_secs(60 * 60);
}

// === impl ProbePatience, ProbeInterval ===

impl ProbePatience {
    /// Zero takes a sandbox that does not answer for idle.
    pub const MIN: Duration = Duration::ZERO;
    /// A sandbox that has not answered for a day will not.
    pub const MAX: Duration = Duration::from_secs(24 * 60 * 60);
}

impl ProbeInterval {
    /// More often than once a second would be a load on the sandbox's own server.
    pub const MIN: Duration = Duration::from_secs(1);
    /// Past an hour the patience would be over before the second try.
    pub const MAX: Duration = Duration::from_secs(60 * 60);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bounds belong to what is allowed, a nanosecond beyond does not, and no text can overflow.
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
