//! What is wrong with a body, in the shape that FastAPI's clients read.

use std::{fmt, io};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

/// One entry of a 422's `detail`: `{"type", "loc", "msg", "input", "ctx"?}`.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// What is wrong.
    pub problem: Problem,
    /// Where, from `body` inwards.
    pub loc: Vec<Loc>,
    /// What stood there; [`echo`]ed, so never longer than a little over [`ECHO_MAX`] bytes.
    pub input: Value,
}

/// One step of the way to a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Loc {
    /// An object's field.
    Field(&'static str),
    /// An array's element, or a character of a text.
    Index(usize),
}

/// What can be wrong with a value. The names and texts are pydantic's (2.13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A required field is not there.
    Missing,
    /// Not a string. Numbers are not turned into strings.
    StringType,
    /// A string against the rule of its field.
    StringPatternMismatch {
        /// The rule as a pattern.
        pattern: &'static str,
        /// The rule in words, where we have them.
        rule: Option<String>,
    },
    /// Neither a boolean nor anything that could stand for one.
    BoolType,
    /// A string or a number that could stand for a boolean, but does not.
    BoolParsing,
    /// Not an array.
    ListType,
    /// Neither an integer nor anything that could stand for one.
    IntType,
    /// A string that is not an integer.
    IntParsing,
    /// An integer that is too large to hold.
    IntParsingSize,
    /// A number with a fraction.
    IntFromFloat,
    /// A number that is too small.
    GreaterThan {
        /// The largest number that is too small.
        bound: u8,
    },
    /// Not a length of time in words: no string. Numbers are refused, as nobody says of what they count.
    TimeDeltaType {
        /// What is allowed, in words.
        rule: String,
    },
    /// A string that is no length of time, or one out of bounds.
    TimeDeltaParsing {
        /// What is allowed, in words.
        rule: String,
    },
    /// Fields that are right each by itself, but not together.
    ValueError {
        /// What is wrong with them.
        error: &'static str,
    },
    /// Not an object.
    ModelAttributesType,
    /// Not JSON.
    JsonInvalid {
        /// What the parser expected.
        error: String,
    },
}

/// Largest value that is sent back as it came, in bytes of JSON. Longer ones come back as the beginning of
/// their text: enough to recognize one's own mistake, too little to make the daemon a loudspeaker.
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
    /// `body.user_id: Input should be a valid string`, for logs and the command line.
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
            // All others say all there is to say.
            _ => Ok(()),
        }
    }
}

// === impl Problem ===

impl Problem {
    /// The `type` of the entry.
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

    /// The one entry of `ctx`, where there is one.
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

/// A value as it is sent back: itself, or where it is longer than [`ECHO_MAX`] the beginning of its text.
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

/// The beginning of a text, on a character's border, with a sign that there was more: as much as [`ECHO_MAX`] bytes of
/// JSON hold.
fn cut(text: &str) -> Value {
    let mut room = ECHO_MAX;
    let fits = |c: &char| {
        let left = room.checked_sub(length_in_json(*c));
        room = left.unwrap_or_default();
        left.is_some()
    };
    Value::String(text.chars().take_while(fits).chain(['…']).collect())
}

/// How many bytes a character takes in a JSON text.
const fn length_in_json(c: char) -> usize {
    match c {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..='\u{1f}' => "\\u0000".len(),
        _ => c.len_utf8(),
    }
}

/// Takes [`ECHO_MAX`] bytes and then refuses, so that no more of a large value is written than is shown.
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

    /// Small values come back as they are, large ones as a piece of their text.
    #[test]
    fn echoes_are_bounded() {
        let fits = json!("x".repeat(ECHO_MAX - 2));
        assert_eq!(echo(&fits), fits);
        for huge in [
            json!("x".repeat(ECHO_MAX)),
            json!({"a": "é".repeat(1_000_000)}),
            json!(vec![0; 5000]),
            // Six bytes each, where they are written.
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
