//! Durations as kubectl prints them.

use std::time::Duration;

use jiff::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// Returns a duration in at most two units, such as `45s`, `5m32s`, `3h` or `2d`. Longer durations have coarser units.
#[must_use]
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |unit: u64, name: char, below: u64, below_name: char| {
        let (first, second) = (seconds / unit, seconds % unit / below);
        if second == 0 { format!("{first}{name}") } else { format!("{first}{name}{second}{below_name}") }
    };
    let one = |unit: u64, name: char| format!("{}{name}", seconds / unit);
    match seconds {
        _ if seconds < 2 * MINUTE => one(1, 's'),
        _ if seconds < 10 * MINUTE => two(MINUTE, 'm', 1, 's'),
        _ if seconds < 3 * HOUR => one(MINUTE, 'm'),
        _ if seconds < 8 * HOUR => two(HOUR, 'h', MINUTE, 'm'),
        _ if seconds < 2 * DAY => one(HOUR, 'h'),
        _ if seconds < 8 * DAY => two(DAY, 'd', HOUR, 'h'),
        _ if seconds < 2 * YEAR => one(DAY, 'd'),
        _ if seconds < 8 * YEAR => two(YEAR, 'y', DAY, 'd'),
        _ => one(YEAR, 'y'),
    }
}

/// Returns the time since `then`; zero for a time in the future, because two clocks seldom agree.
#[must_use]
pub fn since(then: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or_default()
}

/// Returns a number of milliseconds with the precision that a reader needs, such as `7ms`, `2.2s` or `5m32s`.
#[must_use]
pub fn milliseconds(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds}ms"),
        1_000..99_950 => {
            let tenths = (milliseconds + 50) / 100;
            format!("{}.{}s", tenths / 10, tenths % 10)
        }
        _ => short(Duration::from_millis(milliseconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that durations are those of kubectl, at each border between two formats.
    #[test]
    fn durations_are_kubectls() {
        for (seconds, wanted) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (332, "5m32s"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_220, "3h7m"),
            (28_799, "7h59m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (183_600, "2d3h"),
            (691_199, "7d23h"),
            (691_200, "8d"),
            (63_071_999, "729d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(short(Duration::from_secs(seconds)), wanted, "{seconds}");
        }
    }

    /// Guards that a time in the future is the present.
    #[test]
    fn the_future_is_now() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-01-02T03:04:05Z");
        assert_eq!(since(at("2026-01-02T03:04:00.5Z"), now), Duration::from_millis(4_500));
        assert_eq!(since(at("2026-01-02T03:04:09Z"), now), Duration::ZERO);
    }

    #[test]
    fn milliseconds_have_three_digits() {
        for (number, wanted) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_000, "1.0s"),
            (11_003, "11.0s"),
            (99_949, "99.9s"),
            (99_950, "99s"),
        ] {
            assert_eq!(milliseconds(number), wanted);
        }
    }
}
