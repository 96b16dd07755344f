//! The errors of a request body, in FastAPI's format.

use std::{borrow::Cow, fmt};

use lifecycle::text::truncated;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::schema::{AdditionalProperties, AnyOfBuilder, Array, ArrayBuilder, ObjectBuilder, Type},
};

/// An invalid field of the body, the query or the headers.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    #[serde(flatten)]
    problem: Problem,
    /// The path to the invalid value, starting with `body`, `query` or `header`.
    #[schema(schema_with = path)]
    loc: Vec<Loc>,
    /// The invalid value, shortened if it is long.
    input: Value,
}

/// A segment of the path to a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Loc {
    /// A field of an object.
    Field(&'static str),
    /// A key of an object whose keys are the caller's own.
    Key(String),
    /// The index of an element in an array, or of a character in a text.
    Index(usize),
}

/// The kind of an error, with the name and the text of pydantic 2.13.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = FieldProblem)]
pub(crate) struct Problem {
    /// A stable name of the problem, as pydantic has it.
    #[serde(rename = "type")]
    name: &'static str,
    /// The problem as a sentence.
    #[serde(rename = "msg")]
    #[schema(value_type = String)]
    text: Cow<'static, str>,
    /// The values that the sentence contains.
    #[serde(rename = "ctx", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = values)]
    context: Option<Value>,
}

/// The longest value that is returned unchanged, in bytes of JSON. A longer one is cut after its start, which is
/// enough to recognize the error.
pub const ECHO_MAX: usize = 1024;

/// The field whose values may be secret.
const ENV: &str = "env";
/// Stands in an error for a value that is not shown.
const HIDDEN: &str = "[hidden]";

/// Describes [`Problem::context`].
fn values() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("The values that the sentence contains."))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
}

/// Describes [`FieldError::loc`].
fn path() -> Array {
    let of = |kind| ObjectBuilder::new().schema_type(kind);
    ArrayBuilder::new()
        .items(AnyOfBuilder::new().item(of(Type::String)).item(of(Type::Integer)))
        .description(Some("The path to the invalid value. It starts with `body`, `query` or `header`."))
        .build()
}

// === impl FieldError ===

impl FieldError {
    pub(crate) fn new(problem: Problem, loc: Vec<Loc>, input: &Value) -> Self {
        let input = if shows_variables(&loc, input) { HIDDEN.into() } else { echo(input) };
        Self { problem, loc, input }
    }
}

impl fmt::Display for FieldError {
    /// Formats the error as `body.user_id: Input should be a valid string`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, loc) in self.loc.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            match loc {
                Loc::Field(name) => write!(f, "{dot}{name}")?,
                Loc::Key(key) => write!(f, "{dot}{key}")?,
                Loc::Index(index) => write!(f, "{dot}{index}")?,
            }
        }
        write!(f, ": {}", self.problem.text)?;
        match &self.problem.context {
            Some(context) if self.problem.name == "json_invalid" => {
                write!(f, ": {}", context["error"].as_str().unwrap_or_default())
            }
            // The other texts are complete.
            _ => Ok(()),
        }
    }
}

// === impl Problem ===

impl Problem {
    pub(crate) const MISSING: Self = Self::new("missing", "Field required");
    pub(crate) const STRING_TYPE: Self = Self::new("string_type", "Input should be a valid string");
    pub(crate) const BOOL_TYPE: Self = Self::new("bool_type", "Input should be a valid boolean");
    pub(crate) const BOOL_PARSING: Self =
        Self::new("bool_parsing", "Input should be a valid boolean, unable to interpret input");
    pub(crate) const LIST_TYPE: Self = Self::new("list_type", "Input should be a valid list");
    pub(crate) const INT_TYPE: Self = Self::new("int_type", "Input should be a valid integer");
    pub(crate) const INT_PARSING: Self =
        Self::new("int_parsing", "Input should be a valid integer, unable to parse string as an integer");
    pub(crate) const INT_PARSING_SIZE: Self =
        Self::new("int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size");
    pub(crate) const INT_FROM_FLOAT: Self =
        Self::new("int_from_float", "Input should be a valid integer, got a number with a fractional part");
    pub(crate) const MODEL_ATTRIBUTES_TYPE: Self = Self::new(
        "model_attributes_type",
        "Input should be a valid dictionary or object to extract fields from",
    );

    const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text: Cow::Borrowed(text), context: None }
    }

    fn with(name: &'static str, text: String, context: Value) -> Self {
        Self { name, text: text.into(), context: Some(context) }
    }

    /// A string that violates the rule of its field. The pattern may be explained in words.
    pub(crate) fn pattern(pattern: &'static str, rule: Option<&str>) -> Self {
        let rule = rule.map_or_else(String::new, |rule| format!(": {rule}"));
        let text = format!("String should match pattern '{pattern}'{rule}");
        Self::with("string_pattern_mismatch", text, json!({ "pattern": pattern }))
    }

    pub(crate) fn too_long(max: usize) -> Self {
        let text = format!("String should have at most {max} characters");
        Self::with("string_too_long", text, json!({ "max_length": max }))
    }

    /// An empty string.
    pub(crate) const TOO_SHORT: Self =
        Self::new("string_too_short", "String should have at least 1 character");

    /// An object with too many keys.
    pub(crate) fn too_many(max: usize, found: usize) -> Self {
        let text = format!("Dictionary should have at most {max} items after validation, not {found}");
        let context = json!({ "field_type": "Dictionary", "max_length": max, "actual_length": found });
        Self::with("too_long", text, context)
    }

    /// A key that the object does not have.
    pub(crate) fn extra_forbidden(allowed: &str) -> Self {
        let text = format!("Extra inputs are not permitted; the fields are {allowed}");
        Self { text: text.into(), ..Self::new("extra_forbidden", "") }
    }

    pub(crate) fn greater_than(bound: u8) -> Self {
        Self::with("greater_than", format!("Input should be greater than {bound}"), json!({ "gt": bound }))
    }

    pub(crate) fn greater_than_equal(bound: u32) -> Self {
        let text = format!("Input should be greater than or equal to {bound}");
        Self::with("greater_than_equal", text, json!({ "ge": bound }))
    }

    pub(crate) fn less_than_equal(bound: u32) -> Self {
        let text = format!("Input should be less than or equal to {bound}");
        Self::with("less_than_equal", text, json!({ "le": bound }))
    }

    /// A value other than the only one that is allowed.
    pub(crate) fn literal(expected: &str) -> Self {
        let expected = format!("'{expected}'");
        Self::with("literal_error", format!("Input should be {expected}"), json!({ "expected": expected }))
    }

    /// A value other than the allowed ones.
    pub(crate) fn one_of(expected: &[&str]) -> Self {
        let quoted: Vec<_> = expected.iter().map(|expected| format!("'{expected}'")).collect();
        let expected = match &*quoted {
            [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
            all => all.join(", "),
        };
        Self::with("literal_error", format!("Input should be {expected}"), json!({ "expected": expected }))
    }

    /// A value that is not a string, so not a duration.
    pub(crate) fn time_delta_type(rule: &str) -> Self {
        let text = format!("Input should be a valid timedelta, written as a string: {rule}");
        Self { text: text.into(), ..Self::new("time_delta_type", "") }
    }

    /// A string that is not a duration, or a duration out of bounds.
    pub(crate) fn time_delta_parsing(rule: &str) -> Self {
        let text = format!("Input should be {rule}");
        Self::with("time_delta_parsing", text, json!({ "error": rule }))
    }

    /// Fields that are valid separately, but not together.
    pub(crate) fn value_error(error: &str) -> Self {
        Self::with("value_error", format!("Value error, {error}"), json!({ "error": error }))
    }

    pub(crate) fn json_invalid(error: &serde_json::Error) -> Self {
        Self::with("json_invalid", "JSON decode error".to_owned(), json!({ "error": error.to_string() }))
    }
}

/// Returns whether an invalid value contains environment variables. It is a part of them, or an object or the text of a
/// body with them.
fn shows_variables(loc: &[Loc], input: &Value) -> bool {
    match input {
        _ if loc.get(1) == Some(&Loc::Field(ENV)) => true,
        Value::Object(_) | Value::Array(_) => input.to_string().contains("\"env\""),
        Value::String(text) => loc.len() == 1 && text.contains("\"env\""),
        _ => false,
    }
}

/// Returns the value for a response: unchanged, or the start of its text if it is longer than [`ECHO_MAX`].
fn echo(value: &Value) -> Value {
    let json = value.to_string();
    if json.len() <= ECHO_MAX {
        return value.clone();
    }
    let text = value.as_str().unwrap_or(&json);
    let mut max = ECHO_MAX;
    loop {
        // JSON escapes some characters, which makes a text up to six times longer.
        let start = Value::from(format!("{}…", truncated(text, max)));
        if start.to_string().len() <= ECHO_MAX + "\"…\"".len() {
            return start;
        }
        max /= 2;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Guards that small values are returned unchanged and large ones are truncated.
    #[test]
    fn echoes_are_bounded() {
        let fits = json!("x".repeat(ECHO_MAX - 2));
        assert_eq!(echo(&fits), fits);
        for huge in [
            json!("x".repeat(ECHO_MAX)),
            json!({"a": "é".repeat(1_000_000)}),
            json!(vec![0; 5000]),
            // Each takes six bytes in JSON.
            json!("\u{1}".repeat(ECHO_MAX)),
            json!({"\"\\\n": "\u{8}\u{7f}".repeat(ECHO_MAX)}),
        ] {
            let Value::String(text) = echo(&huge) else { panic!("{huge:.20} came back whole") };
            let written = Value::from(text.as_str()).to_string();
            assert!(written.len() <= ECHO_MAX + "\"…\"".len(), "{}", written.len());
            assert!(text.ends_with('…'));
        }
    }

    /// Guards that the text of an error contains its path and, for invalid JSON, the parser's message.
    #[test]
    fn texts_have_the_path_and_the_problem() {
        let at = |loc, problem| FieldError::new(problem, loc, &Value::Null).to_string();
        let body = Loc::Field("body");
        assert_eq!(
            at(
                vec![body.clone(), Loc::Field("extra_mounts"), Loc::Index(0), Loc::Field("host_path")],
                Problem::MISSING
            ),
            "body.extra_mounts.0.host_path: Field required"
        );
        let error = serde_json::from_str::<Value>("[1 2").unwrap_err();
        assert_eq!(
            at(vec![body, Loc::Index(3)], Problem::json_invalid(&error)),
            "body.3: JSON decode error: expected `,` or `]` at line 1 column 4"
        );
    }
}
