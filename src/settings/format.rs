//! The formats of values. A format parses a text into a typed value, and describes the allowed texts.

use std::{fmt::Display, num::NonZeroU32, ops::RangeInclusive, str::FromStr, time::Duration};

/// The text is not allowed, perhaps with a reason that the description of the allowed texts does not contain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invalid(pub Option<String>);

/// The TOML type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`; the flag needs no value.
    Boolean,
}

/// How much of a value messages may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Everything.
    Full,
    /// A URL without its credentials.
    WithoutCredentials,
    /// Nothing, because the value is a secret.
    Hidden,
}

/// The format of a setting's value.
pub trait Format: Sync {
    /// The type of the parsed value.
    type Value;

    /// The TOML type.
    const KIND: Kind = Kind::Text;

    /// Parses a text.
    fn parse(&self, text: &str) -> Result<Self::Value, Invalid>;

    /// Describes the allowed texts; completes "allowed: ".
    fn allowed(&self) -> String;

    /// Returns whether the setting may be unset with an empty text.
    fn is_optional(&self) -> bool {
        false
    }

    /// Returns how much of a value messages may show.
    fn exposure(&self) -> Exposure {
        Exposure::Full
    }
}

/// A number within bounds.
pub struct Number<T>(pub RangeInclusive<T>);

/// A duration within bounds: an unbounded one could overflow a clock.
pub struct DurationRange(pub RangeInclusive<Duration>);

/// `true` or `false`.
pub struct Boolean;

/// One of several words, each with its value.
pub struct OneOf<T: 'static>(pub &'static [(&'static str, T)]);

/// A CPU use as Kubernetes writes it, from `1m` to the given number of millicores.
pub struct Millicores(pub u32);

/// A text that a function parses.
pub struct Rule<T> {
    parse: fn(&str) -> Option<T>,
    allowed: &'static str,
    exposure: Exposure,
}

/// A value that may be absent. The empty text is an absent value.
pub struct Optional<F>(pub F);

/// A value, or a word such as `unlimited`, which is `None`.
pub struct OrWord<F>(pub F, pub &'static str);

// === impl Number ===

impl<T: FromStr + PartialOrd + Display + Sync> Format for Number<T> {
    type Value = T;

    const KIND: Kind = Kind::Number;

    fn parse(&self, text: &str) -> Result<T, Invalid> {
        text.parse().ok().filter(|number| self.0.contains(number)).ok_or_else(Invalid::default)
    }

    fn allowed(&self) -> String {
        format!("a number from {} to {}", self.0.start(), self.0.end())
    }
}

// === impl DurationRange ===

impl Format for DurationRange {
    type Value = Duration;

    fn parse(&self, text: &str) -> Result<Duration, Invalid> {
        let duration = humantime::parse_duration(text).map_err(|_| Invalid::default())?;
        if self.0.contains(&duration) { Ok(duration) } else { Err(Invalid::default()) }
    }

    fn allowed(&self) -> String {
        let (min, max) = (duration_text(*self.0.start()), duration_text(*self.0.end()));
        format!("a duration such as 90s, 15m or 2h 30m, from {min} to {max}")
    }
}

/// Returns a duration of whole seconds as an operator would write it, in the largest unit that divides it.
pub fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(24 * 60 * 60, 'd'), (60 * 60, 'h'), (60, 'm')];
    let unit = units.into_iter().find(|(length, _)| seconds > 0 && seconds.is_multiple_of(*length));
    let (length, name) = unit.unwrap_or((1, 's'));
    format!("{}{name}", seconds / length)
}

// === impl Boolean ===

impl Format for Boolean {
    type Value = bool;

    const KIND: Kind = Kind::Boolean;

    fn parse(&self, text: &str) -> Result<bool, Invalid> {
        text.parse().map_err(|_| Invalid::default())
    }

    fn allowed(&self) -> String {
        "true or false".to_owned()
    }
}

// === impl OneOf ===

impl<T: Copy + Sync> Format for OneOf<T> {
    type Value = T;

    fn parse(&self, text: &str) -> Result<T, Invalid> {
        self.0.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(Invalid::default)
    }

    fn allowed(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| *word).collect();
        words.split_last().map_or(String::new(), |(last, others)| format!("{} or {last}", others.join(", ")))
    }
}

// === impl Millicores ===

impl Format for Millicores {
    type Value = NonZeroU32;

    fn parse(&self, text: &str) -> Result<NonZeroU32, Invalid> {
        text.strip_suffix('m')
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .filter(|millicores: &NonZeroU32| millicores.get() <= self.0)
            .ok_or_else(Invalid::default)
    }

    fn allowed(&self) -> String {
        format!("millicores from 1m to {}m, such as 50m", self.0)
    }
}

// === impl Rule ===

impl<T> Rule<T> {
    /// Creates a format from a function and a description of the texts that it accepts.
    pub const fn new(parse: fn(&str) -> Option<T>, allowed: &'static str) -> Self {
        Self { parse, allowed, exposure: Exposure::Full }
    }

    /// Limits what messages show of a value.
    pub const fn exposed(mut self, exposure: Exposure) -> Self {
        self.exposure = exposure;
        self
    }
}

impl<T> Format for Rule<T> {
    type Value = T;

    fn parse(&self, text: &str) -> Result<T, Invalid> {
        (self.parse)(text).ok_or_else(Invalid::default)
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }

    fn exposure(&self) -> Exposure {
        self.exposure
    }
}

// === impl Optional ===

impl<F: Format> Format for Optional<F> {
    type Value = Option<F::Value>;

    const KIND: Kind = F::KIND;

    fn parse(&self, text: &str) -> Result<Self::Value, Invalid> {
        if text.is_empty() { Ok(None) } else { self.0.parse(text).map(Some) }
    }

    fn allowed(&self) -> String {
        self.0.allowed()
    }

    fn is_optional(&self) -> bool {
        true
    }

    fn exposure(&self) -> Exposure {
        self.0.exposure()
    }
}

// === impl OrWord ===

impl<F: Format> Format for OrWord<F> {
    type Value = Option<F::Value>;

    fn parse(&self, text: &str) -> Result<Self::Value, Invalid> {
        if text == self.1 { Ok(None) } else { self.0.parse(text).map(Some) }
    }

    fn allowed(&self) -> String {
        format!("{}, or {}", self.0.allowed(), self.1)
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::lifetime::{LIMIT_MAX, LIMIT_MIN};

    use super::*;

    fn check<F: Format>(format: &F, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(format.parse(text).is_ok(), "{} includes {text:?}", format.allowed());
        }
        for text in bad {
            assert!(format.parse(text).is_err(), "{} excludes {text:?}", format.allowed());
        }
    }

    /// Numbers are checked against their bounds.
    #[test]
    fn numbers() {
        check(&Number(1..=64_usize), &["1", "64"], &["", "0", "65", "-1", "1.5", "many"]);
        check(
            &OrWord(Number(1..=1_000_000_u32), "unlimited"),
            &["1", "1000000", "unlimited"],
            &["", "0", "1000001", "none", "-1"],
        );
        check(
            &Millicores(1_000_000),
            &["1m", "50m"],
            &["", "m", "0m", "50", "0.5", "+5m", "unlimitedm", "1000001m"],
        );
    }

    /// The bounds themselves are allowed, a nanosecond beyond is not, and no text can overflow.
    #[test]
    fn durations() {
        let seconds = Duration::from_secs;
        let range = DurationRange(seconds(40)..=seconds(3600));
        for (text, seconds) in
            [("40s", Some(40)), ("1m 30s", Some(90)), ("1h", Some(3600)), ("1h 1ns", None), ("39s", None)]
        {
            assert_eq!(range.parse(text).ok().map(|duration| duration.as_secs()), seconds, "{text}");
        }
        assert_eq!(range.allowed(), "a duration such as 90s, 15m or 2h 30m, from 40s to 1h");
        let limit = DurationRange(LIMIT_MIN..=LIMIT_MAX);
        let odd = ["", "60", "-1s", "soon", "0s", "99999999999999999999999years", "365d 1ns"];
        check(&limit, &["1s", "365d"], &odd);
        assert_eq!(limit.parse("365d"), Ok(LIMIT_MAX));
        assert_eq!(limit.allowed(), "a duration such as 90s, 15m or 2h 30m, from 1s to 365d");
        check(&DurationRange(Duration::ZERO..=seconds(60)), &["0s", "1m"], &["61s"]);
        assert_eq!(duration_text(seconds(90)), "90s");
    }
}
