//! Parsing of limits, which are durations such as `15m` or `2h 30m`.

use std::time::Duration;

use serde_json::Value;

use super::{
    ERRORS_MAX, FieldError, Loc, Problem, body,
    object::{Object, Report},
};
use crate::lifetime::{LIMIT_MAX, LIMIT_MIN, Limits, LimitsPatch};

/// The error of a change without any field.
const NOTHING: &str = "at least one of ttl and idle_timeout is needed";

/// Parses the limits of a create. The defaults of the settings apply to absent and null ones.
pub(super) fn limits(body: &Object<'_>, report: &mut Report) -> Option<Limits> {
    let mut limit = |name| body.optional(name, None, limit_or_null, report);
    let (ttl, idle_timeout) = (limit("ttl"), limit("idle_timeout"));
    Some(Limits { ttl: ttl?, idle_timeout: idle_timeout? })
}

/// Parses a limit or null.
fn limit_or_null(value: &Value) -> Result<Option<Duration>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => {
            let limit = humantime::parse_duration(text).ok();
            let within = limit.filter(|limit| (LIMIT_MIN..=LIMIT_MAX).contains(limit));
            within.map(Some).ok_or_else(|| Problem::TimeDeltaParsing { rule: rule() })
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(Problem::TimeDeltaType { rule: rule() })
        }
    }
}

/// Returns the rule for a limit, for error texts.
fn rule() -> String {
    format!(
        "a length of time in words, such as 90s, 15m or 2h 30m, from {} s to {} days",
        LIMIT_MIN.as_secs(),
        LIMIT_MAX.as_secs() / (24 * 60 * 60)
    )
}

// === impl LimitsPatch ===

impl LimitsPatch {
    /// Parses the body of a change from its bytes, by the rules of
    /// [`CreateRequest::from_body`](super::CreateRequest::from_body).
    ///
    /// ```
    /// use std::time::Duration;
    /// use lifecycle::lifetime::LimitsPatch;
    /// let change = LimitsPatch::from_body(Some("application/json"), br#"{"ttl": "2h", "idle_timeout": null}"#);
    /// let wanted = LimitsPatch { ttl: Some(Some(Duration::from_secs(7200))), idle_timeout: Some(None) };
    /// assert_eq!(change, Ok(wanted));
    /// ```
    ///
    /// # Errors
    /// All errors, as from [`LimitsPatch::parse`]; a single one if the body is empty or not JSON.
    pub fn from_body(content_type: Option<&str>, body: &[u8]) -> Result<Self, Vec<FieldError>> {
        Self::parse(&body::json(content_type, body)?)
    }

    /// Parses a JSON body. An absent field changes nothing, null resets a limit to the default of the settings, and
    /// unknown fields are ignored.
    ///
    /// # Errors
    /// All errors, in the order of the fields. They are the entries of a 422. A body that changes nothing is an
    /// error.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut report = Report::new(ERRORS_MAX);
        let change = report.object(body, vec![Loc::Field("body")]).and_then(|body| {
            let mut limit =
                |name| body.optional(name, None, |value| limit_or_null(value).map(Some), &mut report);
            let (ttl, idle_timeout) = (limit("ttl"), limit("idle_timeout"));
            let change = Self { ttl: ttl?, idle_timeout: idle_timeout? };
            if change == Self::default() {
                body.refuse(Problem::ValueError { error: NOTHING }, &mut report);
            }
            Some(change)
        });
        match (change, report.into_errors()) {
            (Some(change), errors) if errors.is_empty() => Ok(change),
            (_, errors) => Err(errors),
        }
    }
}
