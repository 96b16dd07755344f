//! Reading an object field by field, noting everything that is wrong on the way.

use serde_json::{Map, Value};

use super::field_error::{FieldError, Loc, Problem, echo};

/// Everything found wrong so far, up to a bound.
#[derive(Debug)]
pub(super) struct Report {
    errors: Vec<FieldError>,
    max: usize,
}

/// An object and where in the body it stands.
#[derive(Debug)]
pub(super) struct Object<'a> {
    fields: &'a Map<String, Value>,
    /// The object itself, sent back where a field of it is missing.
    whole: &'a Value,
    at: Vec<Loc>,
}

/// Reads a string. Numbers are no strings.
pub(super) fn text(value: &Value) -> Result<&str, Problem> {
    value.as_str().ok_or(Problem::StringType)
}

/// Reads an array.
pub(super) fn list(value: &Value) -> Result<&[Value], Problem> {
    value.as_array().map(Vec::as_slice).ok_or(Problem::ListType)
}

/// Reads a boolean as pydantic's lax mode does: 0 and 1, and the usual words in any case, stand for one.
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

/// A number without a fraction, within 64 bits; a float only strictly so, as pydantic has it.
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

    /// The object at a place, or nothing and a note.
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
    /// The place of an array's element in one of the object's fields.
    pub(super) fn at(&self, field: &'static str, index: usize) -> Vec<Loc> {
        let mut at = self.place_of(field);
        at.push(Loc::Index(index));
        at
    }

    /// A field that must be there.
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

    /// A field that may be absent. One that is there must be right: null is not absence.
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

    /// Notes what is wrong with the object as a whole.
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
