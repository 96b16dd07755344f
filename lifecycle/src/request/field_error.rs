//! The errors of a request body, in FastAPI's format.

use std::{fmt, io};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

/// An entry of a 422's `detail`: `{"type", "loc", "msg", "input", "ctx"?}`.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// The kind of the error.
    pub problem: Problem,
    /// The path to the invalid value, starting with `body`.
    pub loc: Vec<Loc>,
    /// The invalid value, shortened by [`echo`] to little more than [`ECHO_MAX`] bytes.
    pub input: Value,
}

/// A segment of the path to a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Loc {
    /// A field of an object.
    Field(&'static str),
    /// The index of an element in an array, or of a character in a text.
    Index(usize),
}

/// The kind of an error. Names and texts are those of pydantic 2.13.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A required field is missing.
    Missing,
    /// Not a string. Numbers are not converted to strings.
    StringType,
    /// A string that violates the rule of its field.
    StringPatternMismatch {
        /// The rule as a pattern.
        pattern: &'static str,
        /// The rule in words, if there is such a text.
        rule: Option<String>,
    },
    /// Not a boolean, and of a type that cannot be converted to one.
    BoolType,
    /// A string or a number that cannot be converted to a boolean.
    BoolParsing,
    /// Not an array.
    ListType,
    /// Not an integer, and of a type that cannot be converted to one.
    IntType,
    /// A string that is not an integer.
    IntParsing,
    /// An integer that is too large to hold.
    IntParsingSize,
    /// A number with a fraction.
    IntFromFloat,
    /// A number that is too small.
    GreaterThan {
        /// The exclusive lower bound.
        bound: u8,
    },
    /// Not a string, so not a duration. Numbers are rejected because they have no unit.
    TimeDeltaType {
        /// The rule in words.
        rule: String,
    },
    /// A string that is not a duration, or a duration out of bounds.
    TimeDeltaParsing {
        /// The rule in words.
        rule: String,
    },
    /// Fields that are valid separately, but not together.
    ValueError {
        /// The description of the error.
        error: &'static str,
    },
    /// Not an object.
    ModelAttributesType,
    /// Not JSON.
    JsonInvalid {
        /// The parser's expectation.
        error: String,
    },
}

/// The longest value that is returned unchanged, in bytes of JSON. Of a longer one the start is returned: enough to
/// recognize the error, and small enough that responses stay small.
pub const ECHO_MAX: usize = 1024;

// === impl FieldError ===

impl Serialize for FieldError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.problem.name())?;
        map.serialize_entry("loc", &self.loc)?;
        map.serialize_entry("msg", &self.problem.to_string())?;
        map.serialize_entry("input", &self.input)?;
        if let Some((key, value)) = self.problem.context() {
            map.serialize_entry("ctx", &serde_json::Map::from_iter([(key.to_owned(), value)]))?;
        }
        map.end()
    }
}

impl fmt::Display for FieldError {
    /// Formats the error as `body.user_id: Input should be a valid string`, for logs and the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, loc) in self.loc.iter().enumerate() {
            let dot = if i == 0 { "" } else { "." };
            match loc {
                Loc::Field(name) => write!(f, "{dot}{name}")?,
                Loc::Index(index) => write!(f, "{dot}{index}")?,
            }
        }
        write!(f, ": {}", self.problem)?;
        match &self.problem {
            Problem::JsonInvalid { error } => write!(f, ": {error}"),
            // The other texts are complete.
            _ => Ok(()),
        }
    }
}

// === impl Problem ===

impl Problem {
    /// Returns the `type` of the entry.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::StringType => "string_type",
            Self::StringPatternMismatch { .. } => "string_pattern_mismatch",
            Self::BoolType => "bool_type",
            Self::BoolParsing => "bool_parsing",
            Self::ListType => "list_type",
            Self::IntType => "int_type",
            Self::IntParsing => "int_parsing",
            Self::IntParsingSize => "int_parsing_size",
            Self::IntFromFloat => "int_from_float",
            Self::GreaterThan { .. } => "greater_than",
            Self::TimeDeltaType { .. } => "time_delta_type",
            Self::TimeDeltaParsing { .. } => "time_delta_parsing",
            Self::ValueError { .. } => "value_error",
            Self::ModelAttributesType => "model_attributes_type",
            Self::JsonInvalid { .. } => "json_invalid",
        }
    }

    /// Returns the one entry of `ctx`, if there is one.
    fn context(&self) -> Option<(&'static str, Value)> {
        let (key, text) = match self {
            Self::GreaterThan { bound } => return Some(("gt", (*bound).into())),
            Self::StringPatternMismatch { pattern, .. } => ("pattern", *pattern),
            Self::TimeDeltaParsing { rule } => ("error", rule.as_str()),
            Self::ValueError { error } => ("error", *error),
            Self::JsonInvalid { error } => ("error", error.as_str()),
            _ => return None,
        };
        Some((key, text.into()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "Field required",
            Self::StringType => "Input should be a valid string",
            Self::StringPatternMismatch { pattern, rule } => {
                write!(f, "String should match pattern '{pattern}'")?;
                return rule.iter().try_for_each(|rule| write!(f, ": {rule}"));
            }
            Self::BoolType => "Input should be a valid boolean",
            Self::BoolParsing => "Input should be a valid boolean, unable to interpret input",
            Self::ListType => "Input should be a valid list",
            Self::IntType => "Input should be a valid integer",
            Self::IntParsing => "Input should be a valid integer, unable to parse string as an integer",
            Self::IntParsingSize => "Unable to parse input string as an integer, exceeded maximum size",
            Self::IntFromFloat => "Input should be a valid integer, got a number with a fractional part",
            Self::GreaterThan { bound } => return write!(f, "Input should be greater than {bound}"),
            Self::TimeDeltaType { rule } => {
                return write!(f, "Input should be a valid timedelta, written as a string: {rule}");
            }
            Self::TimeDeltaParsing { rule } => {
                return write!(f, "Input should be a valid duration: {rule}");
            }
            Self::ValueError { error } => return write!(f, "Value error, {error}"),
            Self::ModelAttributesType => {
                "Input should be a valid dictionary or object to extract fields from"
            }
            Self::JsonInvalid { .. } => "JSON decode error",
        })
    }
}

/// Returns the value for a response: unchanged, or the start of its text if it is longer than [`ECHO_MAX`].
#[must_use]
pub fn echo(value: &Value) -> Value {
    let mut head = Head(Vec::new());
    if serde_json::to_writer(&mut head, value).is_ok() {
        return value.clone();
    }
    match value {
        Value::String(text) => cut(text),
        _ => cut(&String::from_utf8_lossy(&head.0)),
    }
}

/// Truncates a text at a character boundary to [`ECHO_MAX`] bytes of JSON, and appends an ellipsis.
fn cut(text: &str) -> Value {
    let mut room = ECHO_MAX;
    let fits = |c: &char| {
        let left = room.checked_sub(length_in_json(*c));
        room = left.unwrap_or_default();
        left.is_some()
    };
    Value::String(text.chars().take_while(fits).chain(['…']).collect())
}

/// Returns the number of bytes of a character in a JSON text.
const fn length_in_json(c: char) -> usize {
    match c {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..='\u{1f}' => "\\u0000".len(),
        _ => c.len_utf8(),
    }
}

/// A writer that fails after [`ECHO_MAX`] bytes, so that a large value is not serialized completely.
struct Head(Vec<u8>);

impl io::Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = ECHO_MAX - self.0.len();
        if room == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = room.min(bytes.len());
        self.0.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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

    #[test]
    fn logs_say_where_and_what() {
        let at = |loc, problem| FieldError { problem, loc, input: Value::Null }.to_string();
        let body = Loc::Field("body");
        assert_eq!(
            at(
                vec![body.clone(), Loc::Field("extra_mounts"), Loc::Index(0), Loc::Field("host_path")],
                Problem::Missing
            ),
            "body.extra_mounts.0.host_path: Field required"
        );
        let json = Problem::JsonInvalid { error: "Expecting value".to_owned() };
        assert_eq!(at(vec![body, Loc::Index(3)], json), "body.3: JSON decode error: Expecting value");
    }
}
