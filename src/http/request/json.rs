//! From the bytes of a body to JSON.

use serde_json::{Value, json};

use super::{ApiError, FieldError, Loc, Problem, encoding, substitutes::SUBSTITUTES};

/// Parses a body as JSON, and reads the value.
///
/// Only `application/json` and `application/…+json` are accepted. `FastAPI` treats any other body as a text, which is
/// not an object. This includes a body without a content type, which a web page could send to a daemon on its user's
/// own machine without a CORS preflight.
///
/// Text that only Python's parser accepts is valid in values that `read` ignores, and invalid elsewhere.
///
/// # Errors
/// A 422 with one error, or those of `read`. A 400 if the content type is JSON and the body is not valid in its
/// encoding: `FastAPI` distinguishes this from a body that is text and not valid JSON.
pub(super) fn parse<T: PartialEq>(
    content_type: Option<&str>,
    body: &[u8],
    read: impl Fn(&Value) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let refuse = |problem, input| ApiError::from(FieldError::new(problem, vec![Loc::Field("body")], &input));
    if body.is_empty() {
        return Err(refuse(Problem::MISSING, Value::Null));
    }
    if !content_type.is_some_and(is_json) {
        return Err(refuse(Problem::MODEL_ATTRIBUTES_TYPE, String::from_utf8_lossy(body).into()));
    }
    let text = encoding::decode(body).ok_or_else(ApiError::unreadable_body)?;
    let error = match value_of(&text) {
        Ok(value) => return read(&value),
        Err(error) => error,
    };
    let [first, second] = SUBSTITUTES
        .map(|substitutes| value_of(&substitutes.apply(&text)).ok().and_then(|value| read(&value).ok()));
    first.filter(|first| second.as_ref() == Some(first)).ok_or_else(|| not_json(&text, &error))
}

fn value_of(text: &str) -> serde_json::Result<Value> {
    let mut value = serde_json::from_str(text)?;
    keep_large_integer(&mut value, text);
    Ok(value)
}

/// Replaces a `max_shell_sessions` that `serde_json` read as a float by a string with its original digits, which has
/// the same meaning.
fn keep_large_integer(value: &mut Value, text: &str) {
    #[derive(serde::Deserialize)]
    struct Exact {
        max_shell_sessions: u128,
    }
    if let Some(field) = value.get_mut("max_shell_sessions").filter(|field| field.is_f64())
        && let Ok(Exact { max_shell_sessions }) = serde_json::from_str(text)
    {
        *field = Value::String(max_shell_sessions.to_string());
    }
}

/// Returns the error of a text that is not JSON: `serde_json`'s message, and the index of the character at which it
/// stopped.
fn not_json(text: &str, error: &serde_json::Error) -> ApiError {
    let lines = text.split_inclusive('\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(str::len).sum();
    // The column counts bytes from 1. It is 0 for the line break itself.
    let at = if error.is_eof() { text.len() } else { (before + error.column()).saturating_sub(1) };
    let at = text.char_indices().take_while(|(start, _)| *start < at).count();
    let path = vec![Loc::Field("body"), Loc::Index(at)];
    FieldError::new(Problem::json_invalid(error), path, &json!({})).into()
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
