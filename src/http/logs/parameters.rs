//! The parameters of a log.

use std::{num::IntErrorKind, time::Duration};

use lifecycle::{
    ids::{DNS_LABEL_MAX, DNS_LABEL_PATTERN, is_dns_label},
    lifetime::LIMIT_MAX,
    log::{LogQuery, TAIL, TAIL_MAX},
};
use serde_json::{Value, json};
use utoipa::openapi::{
    path::{Parameter, ParameterIn},
    schema::{ObjectBuilder, Type},
};

use crate::http::{
    errors::ApiError,
    openapi::{
        failures::{Failure, invalid_parameter},
        parameters,
    },
    query::Reader,
    request::{Problem, flag, schema::DURATION_PATTERN},
};

/// The parameters of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) query: LogQuery,
    /// Whether the answer goes on with new lines.
    pub(super) follows: bool,
}

// === impl Parameters ===

impl Parameters {
    /// Parses the parameters of a query. Other parameters are ignored, as FastAPI ignores them.
    ///
    /// # Errors
    /// A 422 with each invalid value.
    pub(super) fn parse(query: &str) -> Result<Self, ApiError> {
        let mut reader = Reader::new(query);
        let query = LogQuery {
            container: reader.last("container", container),
            tail: reader.last("tail", tail).unwrap_or(TAIL),
            previous: reader.last("previous", flag).unwrap_or_default(),
            timestamps: reader.last("timestamps", flag).unwrap_or_default(),
            since: reader.last("since", since),
        };
        let follows = reader.last("follow", flag).unwrap_or_default();
        reader.finish(Self { query, follows })
    }
}

/// Parses the name of a container, which is a DNS label.
fn container(name: &str) -> Result<Box<str>, Problem> {
    let is_valid = is_dns_label(name, DNS_LABEL_MAX);
    is_valid.then(|| name.into()).ok_or_else(|| Problem::pattern(DNS_LABEL_PATTERN, None))
}

fn tail(text: &str) -> Result<u32, Problem> {
    match text.parse::<i64>() {
        Ok(..0) => Err(Problem::greater_than_equal(0)),
        Ok(lines) => u32::try_from(lines)
            .ok()
            .filter(|lines| *lines <= TAIL_MAX)
            .ok_or_else(|| Problem::less_than_equal(TAIL_MAX)),
        Err(error) => Err(match error.kind() {
            IntErrorKind::PosOverflow => Problem::less_than_equal(TAIL_MAX),
            IntErrorKind::NegOverflow => Problem::greater_than_equal(0),
            _ => Problem::INT_PARSING,
        }),
    }
}

fn since(text: &str) -> Result<Duration, Problem> {
    let duration = humantime::parse_duration(text).ok();
    duration
        .filter(|duration| !duration.is_zero() && *duration <= LIMIT_MAX)
        .ok_or_else(|| Problem::time_delta_parsing(r#"a duration such as "90s" or "5m", at most 365d"#))
}

/// Returns the parameters in the description of the API.
pub(super) fn described() -> Vec<Parameter> {
    let of = |kind| ObjectBuilder::new().schema_type(kind);
    let one = |name, text: &str, schema: ObjectBuilder, example: Value| {
        parameters::optional(ParameterIn::Query, name, text, schema, example)
    };
    let lines = of(Type::Integer).minimum(Some(0)).maximum(Some(TAIL_MAX)).default(Some(json!(TAIL)));
    let flag = || of(Type::Boolean);
    vec![
        one("tail", "How many of the last lines.", lines, json!(20)),
        one(
            "previous",
            "The log of the container that has ended last, as after a crash.",
            flag(),
            json!(true),
        ),
        one("timestamps", "Begin each line with its time.", flag(), json!(true)),
        one(
            "since",
            "Only lines of this last time, such as `90s` or `5m`.",
            of(Type::String).pattern(Some(DURATION_PATTERN)),
            json!("5m"),
        ),
        one("follow", "Go on with each new line.", flag(), json!(true)),
        one(
            "container",
            "Another container of the Pod, such as a sidecar.",
            of(Type::String).pattern(Some(DNS_LABEL_PATTERN)),
            json!("sandbox"),
        ),
    ]
}

/// Returns the errors of invalid parameters.
pub(super) fn failures() -> Vec<Failure> {
    vec![invalid_parameter("tail", Problem::less_than_equal(TAIL_MAX), "10000")]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards what each parameter means, that the last of two counts, and that others have no effect.
    #[test]
    fn each_parameter_is_read() {
        let of = |query: LogQuery| Parameters { query, follows: false };
        let usual = LogQuery::default();
        let since = |since| of(LogQuery { since: Some(since), ..LogQuery::default() });
        for (query, wanted) in [
            ("", of(usual.clone())),
            ("x=1&lines=5", of(usual.clone())),
            ("tail=0", of(LogQuery { tail: 0, ..usual.clone() })),
            ("tail=5000", of(LogQuery { tail: TAIL_MAX, ..usual.clone() })),
            ("tail=x&tail=7", of(LogQuery { tail: 7, ..usual.clone() })),
            ("previous=true", of(LogQuery { previous: true, ..usual.clone() })),
            ("previous", of(LogQuery { previous: true, ..usual.clone() })),
            ("previous=no", of(usual.clone())),
            ("timestamps=1", of(LogQuery { timestamps: true, ..usual.clone() })),
            ("since=5m", since(Duration::from_secs(300))),
            ("since=1h+30m", since(Duration::from_secs(5400))),
            ("since=1ms", since(Duration::from_millis(1))),
            (
                "container=lark-cli-broker",
                of(LogQuery { container: Some("lark-cli-broker".into()), ..usual.clone() }),
            ),
            ("follow=on", Parameters { follows: true, ..of(usual) }),
        ] {
            assert_eq!(Parameters::parse(query), Ok(wanted), "{query}");
        }
    }

    /// Guards that each invalid value is refused with its rule, all of them in one answer.
    #[test]
    fn invalid_values_are_refused() {
        let refused = |query: &str| {
            let errors = Parameters::parse(query).unwrap_err().detail();
            let errors = errors.as_array().unwrap().clone();
            errors
                .iter()
                .map(|error| format!("{} {}", error["loc"][1], error["type"]))
                .collect::<Vec<_>>()
                .join("; ")
        };
        for (query, wanted) in [
            ("tail=-1", r#""tail" "greater_than_equal""#),
            ("tail=5001", r#""tail" "less_than_equal""#),
            ("tail=99999999999999999999", r#""tail" "less_than_equal""#),
            ("tail=-99999999999999999999", r#""tail" "greater_than_equal""#),
            ("tail=", r#""tail" "int_parsing""#),
            ("tail=ten", r#""tail" "int_parsing""#),
            ("previous=maybe", r#""previous" "bool_parsing""#),
            ("since=5", r#""since" "time_delta_parsing""#),
            ("since=0s", r#""since" "time_delta_parsing""#),
            ("since=366d", r#""since" "time_delta_parsing""#),
            ("container=", r#""container" "string_pattern_mismatch""#),
            ("container=A", r#""container" "string_pattern_mismatch""#),
            ("container=-a", r#""container" "string_pattern_mismatch""#),
            ("container=a/b", r#""container" "string_pattern_mismatch""#),
            ("follow=2&tail=x", r#""tail" "int_parsing"; "follow" "bool_parsing""#),
        ] {
            assert_eq!(refused(query), wanted, "{query}");
        }
        assert!(!refused(&format!("container={}", "a".repeat(64))).is_empty());
    }

    /// Guards that the description has the parameters that are read.
    #[test]
    fn each_parameter_is_described() {
        for parameter in described() {
            assert!(Parameters::parse(&format!("{}=%00", parameter.name)).is_err(), "{}", parameter.name);
        }
    }
}
