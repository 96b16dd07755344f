//! Durations as text, in JSON and in settings: `500ms`, `1m 30s`.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

pub(crate) fn serialize<S: Serializer>(duration: &Duration, out: S) -> Result<S::Ok, S::Error> {
    let duration = SignedDuration::try_from(*duration).unwrap_or(SignedDuration::MAX);
    out.serialize_str(&format!("{duration:#}"))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(input)?;
    parse(&text)
        .ok_or_else(|| D::Error::custom(format!("{text:?} is not a duration such as 500ms, 5s or 1m 30s")))
}

/// Parses a duration. Returns `None` if it is invalid or negative.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok())
}
