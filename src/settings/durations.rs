//! Lengths of time with their bounds: a bare `Duration` from outside could overflow a clock.

use std::time::Duration;

/// How old what is known of the cluster may be before answers become 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StalenessLimit(Duration);

/// How long a shutdown waits for what is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainDeadline(Duration);

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

// === impl StalenessLimit ===

impl StalenessLimit {
    /// A quiet watch is heard of about every 30 s, when it is opened anew: a shorter limit would call a
    /// healthy cluster stale.
    pub const MIN: Duration = Duration::from_secs(40);
    /// Past an hour an answer from memory says nothing about the present.
    pub const MAX: Duration = Duration::from_secs(60 * 60);
}

// === impl DrainDeadline ===

impl DrainDeadline {
    /// Zero would cut every request.
    pub const MIN: Duration = Duration::from_secs(1);
    /// No request lasts longer than 30 s; more than ten minutes is a slip of the pen.
    pub const MAX: Duration = Duration::from_secs(10 * 60);
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
        }
    }
}
