//! Parsing of a request's bytes, by the rules of FastAPI.

use serde_json::{Map, Value};

use super::{CreateRequest, FieldError, Loc, Problem, echo, json_fault};

impl CreateRequest {
    /// Parses a request body from its bytes.
    ///
    /// Only `application/json` and `application/…+json` are parsed as JSON. FastAPI treats any other body as a text,
    /// which is not an object. This includes a body without a content type, which a web page could send to a daemon
    /// on its user's own machine without a CORS preflight.
    ///
    /// ```
    /// use lifecycle::request::CreateRequest;
    /// let body = br#"{"sandbox_id": "abc-123", "include_legacy_skills": "yes"}"#;
    /// assert!(CreateRequest::from_body(Some("application/json"), body).is_ok());
    /// assert!(CreateRequest::from_body(Some("text/plain"), body).is_err());
    /// ```
    ///
    /// # Errors
    /// All errors, as from [`CreateRequest::parse`]; a single one if the body is empty or not JSON.
    pub fn from_body(content_type: Option<&str>, body: &[u8]) -> Result<Self, Vec<FieldError>> {
        let mut value = json(content_type, body)?;
        keep_large_integer(&mut value, body);
        Self::parse(&value)
    }
}

/// Replaces a `max_shell_sessions` that `serde_json` read as a float by a string with its original digits, which has
/// the same meaning.
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

/// Parses the body as JSON, if its content type is JSON.
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

/// Returns the body without a leading byte order mark. Python's parser skips it too.
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

/// Returns whether a `Content-Type` header means JSON, by the rules of Python's `email.message`.
fn is_json(header: &str) -> bool {
    let media_type = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.split_once('/') {
        Some(("application", subtype)) => {
            subtype == "json" || (subtype.ends_with("+json") && !subtype.contains('/'))
        }
        _ => false,
    }
}
