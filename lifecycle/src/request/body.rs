//! From a body's bytes to a request, by the rules of FastAPI.

use serde_json::{Map, Value};

use super::{CreateRequest, FieldError, Loc, Problem, echo, json_fault};

impl CreateRequest {
    /// Reads a request's body as it came over the wire.
    ///
    /// `application/json` and `application/…+json` are read as JSON. Anything else is a plain text to FastAPI,
    /// and a text is no object; so is a body without a content type, which a web page could send to a daemon
    /// on its user's own machine without the browser asking first.
    ///
    /// ```
    /// use lifecycle::request::CreateRequest;
    /// let body = br#"{"sandbox_id": "abc-123", "include_legacy_skills": "yes"}"#;
    /// assert!(CreateRequest::from_body(Some("application/json"), body).is_ok());
    /// assert!(CreateRequest::from_body(Some("text/plain"), body).is_err());
    /// ```
    ///
    /// # Errors
    /// All that is wrong, as [`CreateRequest::parse`] has it; for a body that is empty or no JSON, just that.
    pub fn from_body(content_type: Option<&str>, body: &[u8]) -> Result<Self, Vec<FieldError>> {
        let mut value = json(content_type, body)?;
        keep_large_integer(&mut value, body);
        Self::parse(&value)
    }
}

/// Replaces a `max_shell_sessions` that `serde_json` could only read as a float by its own digits as a text, which
/// means the same.
fn keep_large_integer(value: &mut Value, body: &[u8]) {
    #[derive(serde::Deserialize)]
    struct Exact {
        max_shell_sessions: u128,
    }
    if let Some(field) = value.get_mut("max_shell_sessions").filter(|field| field.is_f64())
        && let Ok(Exact { max_shell_sessions }) = serde_json::from_slice(without_mark(body))
    {
        *field = Value::String(max_shell_sessions.to_string());
    }
}

/// A body's JSON, where it says that it is some.
pub(super) fn json(content_type: Option<&str>, body: &[u8]) -> Result<Value, Vec<FieldError>> {
    if body.is_empty() {
        return Err(vec![whole_body(Problem::Missing, Value::Null)]);
    }
    if !content_type.is_some_and(is_json) {
        let text = Value::String(String::from_utf8_lossy(body).into_owned());
        return Err(vec![whole_body(Problem::ModelAttributesType, echo(&text))]);
    }
    let body = without_mark(body);
    serde_json::from_slice(body).map_err(|error| vec![not_json(body, &error)])
}

/// The body without a byte order mark at its start, which Python's own reader skips, too.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

fn whole_body(problem: Problem, input: Value) -> FieldError {
    FieldError { problem, loc: vec![Loc::Field("body")], input }
}

fn not_json(body: &[u8], error: &serde_json::Error) -> FieldError {
    let fault = json_fault::explain(body, error);
    FieldError {
        problem: Problem::JsonInvalid { error: fault.expected },
        loc: vec![Loc::Field("body"), Loc::Index(fault.at)],
        input: Value::Object(Map::new()),
    }
}

/// Whether a `Content-Type` header says JSON, as Python's `email.message` reads it.
fn is_json(header: &str) -> bool {
    let media_type = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.split_once('/') {
        Some(("application", subtype)) => {
            subtype == "json" || (subtype.ends_with("+json") && !subtype.contains('/'))
        }
        _ => false,
    }
}
