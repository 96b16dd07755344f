//! Parsing of a JSON object field by field, collecting all errors.

use serde_json::{Map, Value};

use super::field_error::{FieldError, Loc, Problem, echo};

/// The errors found so far, up to a maximum.
#[derive(Debug)]
pub(super) struct Report {
    errors: Vec<FieldError>,
    max: usize,
}

/// A JSON object and its path in the body.
#[derive(Debug)]
pub(super) struct Object<'a> {
    fields: &'a Map<String, Value>,
    /// The object as a value, which is the `input` of an error about a missing field.
    whole: &'a Value,
    at: Vec<Loc>,
}

/// Parses a string. Numbers are not accepted.
pub(super) fn text(value: &Value) -> Result<&str, Problem> {
    value.as_str().ok_or(Problem::StringType)
}

/// Parses an array.
pub(super) fn list(value: &Value) -> Result<&[Value], Problem> {
    value.as_array().map(Vec::as_slice).ok_or(Problem::ListType)
}

/// Parses a boolean by the rules of pydantic's lax mode: 0, 1 and the usual words in any case are accepted.
pub(super) fn boolean(value: &Value) -> Result<bool, Problem> {
    const TRUE: [&str; 6] = ["1", "on", "t", "true", "y", "yes"];
    const FALSE: [&str; 6] = ["0", "off", "f", "false", "n", "no"];
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(word) => {
            let means = |words: [&str; 6]| words.iter().any(|w| word.eq_ignore_ascii_case(w));
            if means(TRUE) {
                Ok(true)
            } else if means(FALSE) {
                Ok(false)
            } else {
                Err(Problem::BoolParsing)
            }
        }
        Value::Number(number) => match whole(number) {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(_) => Err(Problem::BoolParsing),
            None => Err(Problem::BoolType),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Problem::BoolType),
    }
}

/// Returns a number without a fraction as an `i64`, if it fits. As in pydantic, a float must be strictly between
/// ±2^63.
fn whole(number: &serde_json::Number) -> Option<i64> {
    const BOUND: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if let Some(integer) = number.as_i64() {
        return Some(integer);
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < BOUND)?;
    #[expect(clippy::cast_possible_truncation, reason = "there is no fraction, and it fits")]
    Some(float as i64)
}

// === impl Report ===

impl Report {
    pub(super) const fn new(max: usize) -> Self {
        Self { errors: Vec::new(), max }
    }

    /// Returns the object at a path, or records an error.
    pub(super) fn object<'a>(&mut self, value: &'a Value, at: Vec<Loc>) -> Option<Object<'a>> {
        if let Value::Object(fields) = value {
            return Some(Object { fields, whole: value, at });
        }
        self.note(Problem::ModelAttributesType, at, value);
        None
    }

    pub(super) fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    fn note(&mut self, problem: Problem, loc: Vec<Loc>, input: &Value) {
        if self.errors.len() < self.max {
            self.errors.push(FieldError { problem, loc, input: echo(input) });
        }
    }
}

// === impl Object ===

impl<'a> Object<'a> {
    /// Returns the path of an array element in one of the object's fields.
    pub(super) fn at(&self, field: &'static str, index: usize) -> Vec<Loc> {
        let mut at = self.place_of(field);
        at.push(Loc::Index(index));
        at
    }

    /// Parses a required field.
    pub(super) fn required<T>(
        &self,
        field: &'static str,
        read: impl FnOnce(&'a Value) -> Result<T, Problem>,
        report: &mut Report,
    ) -> Option<T> {
        if let Some(value) = self.fields.get(field) {
            return self.read(field, value, read, report);
        }
        report.note(Problem::Missing, self.place_of(field), self.whole);
        None
    }

    /// Parses an optional field. If it exists it must be valid, so null is not the same as an absent field.
    pub(super) fn optional<T>(
        &self,
        field: &'static str,
        default: T,
        read: impl FnOnce(&'a Value) -> Result<T, Problem>,
        report: &mut Report,
    ) -> Option<T> {
        match self.fields.get(field) {
            Some(value) => self.read(field, value, read, report),
            None => Some(default),
        }
    }

    /// Records an error about the whole object.
    pub(super) fn refuse(&self, problem: Problem, report: &mut Report) {
        report.note(problem, self.at.clone(), self.whole);
    }

    fn read<T>(
        &self,
        field: &'static str,
        value: &'a Value,
        read: impl FnOnce(&'a Value) -> Result<T, Problem>,
        report: &mut Report,
    ) -> Option<T> {
        read(value).map_err(|problem| report.note(problem, self.place_of(field), value)).ok()
    }

    fn place_of(&self, field: &'static str) -> Vec<Loc> {
        let mut at = self.at.clone();
        at.push(Loc::Field(field));
        at
    }
}
