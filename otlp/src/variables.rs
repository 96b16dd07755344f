//! The values of the standard variables that this program supports. The SDK replaces any other value by its default, and
//! does not say so in the log of this program.

use std::time::Duration;

use http::Uri;

use crate::StartError;

/// A group of variables with the same values.
struct Rule {
    /// The variables. Only the first that is set counts.
    names: &'static [&'static str],
    allowed: &'static str,
    is_allowed: fn(&str) -> bool,
}

const TIMEOUTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";

/// The samplers without an argument, and those whose argument is a ratio.
const SAMPLERS: [&str; 4] = ["always_on", "always_off", "parentbased_always_on", "parentbased_always_off"];
const RATIO_SAMPLERS: [&str; 2] = ["traceidratio", "parentbased_traceidratio"];

const RULES: [Rule; 6] = [
    Rule {
        names: &["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
        allowed: "http/protobuf",
        is_allowed: |value| value == "http/protobuf",
    },
    Rule {
        names: &[SAMPLER],
        allowed: "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, \
                  parentbased_traceidratio",
        is_allowed: |value| SAMPLERS.contains(&value) || RATIO_SAMPLERS.contains(&value),
    },
    Rule {
        names: &TIMEOUTS,
        allowed: "a number of milliseconds",
        is_allowed: |value| value.parse::<u64>().is_ok(),
    },
    Rule {
        names: &["OTEL_BSP_SCHEDULE_DELAY"],
        allowed: "a number of milliseconds",
        is_allowed: |value| value.parse::<u64>().is_ok(),
    },
    Rule { names: &["OTEL_BSP_MAX_QUEUE_SIZE"], allowed: "a number from 1", is_allowed: is_count },
    Rule { names: &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], allowed: "a number from 1", is_allowed: is_count },
];

fn is_count(value: &str) -> bool {
    value.parse::<u32>().is_ok_and(|count| count > 0)
}

/// Checks all variables. `variable` returns one of this process.
pub(crate) fn check(variable: impl Fn(&str) -> Option<String>) -> Result<(), StartError> {
    for Rule { names, allowed, is_allowed } in RULES {
        if let Some((variable, value)) = first(names, &variable).filter(|(_, value)| !is_allowed(value)) {
            return Err(StartError::Unsupported { variable, value, allowed });
        }
    }
    // The SDK's own error would quote the URL, which may contain a password.
    if let Some((variable, _)) = first(&ENDPOINTS, &variable).filter(|(_, value)| !is_url(value)) {
        return Err(StartError::InvalidUrl { variable });
    }
    let sampler = first(&[SAMPLER], &variable).map(|(_, sampler)| sampler).unwrap_or_default();
    if RATIO_SAMPLERS.contains(&&*sampler) {
        let name = "OTEL_TRACES_SAMPLER_ARG";
        let value = variable(name).unwrap_or_default();
        // Without an argument the standard has a ratio of 1.
        if !value.is_empty() && !value.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio)) {
            return Err(StartError::Unsupported { variable: name, value, allowed: "a ratio from 0 to 1" });
        }
    }
    Ok(())
}

fn is_url(value: &str) -> bool {
    let url = value.parse::<Uri>().ok();
    url.is_some_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some())
}

/// Returns the deadline of a call, if a variable sets one. The SDK does not apply it to a client of its caller.
pub(crate) fn deadline(variable: impl Fn(&str) -> Option<String>) -> Option<Duration> {
    first(&TIMEOUTS, variable).and_then(|(_, value)| value.parse().ok()).map(Duration::from_millis)
}

/// Returns the first of these variables that is set.
pub(crate) fn first(
    names: &[&'static str],
    variable: impl Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| Some((*name, variable(name).filter(|value| !value.is_empty())?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that each value that the SDK would replace in silence is refused by name, and that the others are not.
    #[test]
    fn unsupported_values_are_named() {
        for (variables, refused) in [
            (&[][..], None),
            (&[("OTEL_TRACES_SAMPLER", "")], None),
            (&[("OTEL_TRACES_SAMPLER", "parentbased_always_off")], None),
            (&[("OTEL_TRACES_SAMPLER", "traceidratio")], None),
            (&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.25")], None),
            (&[("OTEL_TRACES_SAMPLER", "always_on"), ("OTEL_TRACES_SAMPLER_ARG", "any")], None),
            (&[("OTEL_TRACES_SAMPLER", "jaeger_remote")], Some("OTEL_TRACES_SAMPLER")),
            (&[("OTEL_TRACES_SAMPLER", "Always_On")], Some("OTEL_TRACES_SAMPLER")),
            (
                &[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "25%")],
                Some("OTEL_TRACES_SAMPLER_ARG"),
            ),
            (
                &[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")],
                Some("OTEL_TRACES_SAMPLER_ARG"),
            ),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")], Some("OTEL_EXPORTER_OTLP_TIMEOUT")),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "10000")], None),
            (&[("OTEL_BSP_SCHEDULE_DELAY", "soon")], Some("OTEL_BSP_SCHEDULE_DELAY")),
            (&[("OTEL_BSP_MAX_QUEUE_SIZE", "0")], Some("OTEL_BSP_MAX_QUEUE_SIZE")),
            (&[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "x")], Some("OTEL_BSP_MAX_EXPORT_BATCH_SIZE")),
            (&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], Some("OTEL_EXPORTER_OTLP_PROTOCOL")),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")], None),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:hunter2@c:4318/a")], None),
            (
                &[
                    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ],
                None,
            ),
        ] {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            let error = check(variable).err().map(|error| error.to_string());
            let named = error.as_deref().and_then(|text| text.split('=').next());
            assert_eq!(named, refused, "{variables:?}: {error:?}");
        }
    }

    /// Guards that an invalid URL is refused by the name of its variable, and that the error does not show a password.
    #[test]
    fn urls_are_not_shown() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:hunter2@c:4318 x"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:hunter2"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "/hunter2"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://hunter2"),
        ] {
            let error = check(|asked| (asked == name).then(|| value.to_owned())).unwrap_err().to_string();
            assert_eq!(error, format!("{name} is not a URL such as \"http://collector:4318\""));
        }
    }

    /// Guards that the deadline of the traces counts before that of all signals.
    #[test]
    fn deadlines_are_read() {
        let both = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT" => Some("500".to_owned()),
            _ => Some("700".to_owned()),
        };
        assert_eq!(deadline(both), Some(Duration::from_millis(500)));
        assert_eq!(deadline(|_| None), None);
    }
}
