//! Parsing of a JSON object field by field, collecting all errors.

use std::collections::BTreeMap;

use lifecycle::text::shortened;
use serde_json::{Map, Value};

use super::field_error::{FieldError, Loc, Problem};

/// The maximum number of entries of one 422. It bounds the response to a body with many invalid mounts.
pub const ERRORS_MAX: usize = 64;

/// The longest key of an object whose keys are the caller's own, in bytes: the longest key of a label.
const KEY_MAX: usize = 253 + 1 + 63;

/// A JSON object, its path in the body, and the errors found in it.
///
/// A field with an error has the default of its type; [`Fields::finish`] discards it.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// The object as a value, which is the `input` of an error about a missing field.
    whole: &'a Value,
    path: Vec<Loc>,
    errors: Vec<FieldError>,
}

/// Parses a string. Numbers are not accepted.
pub(super) fn text(value: &Value) -> Result<&str, Problem> {
    value.as_str().ok_or(Problem::STRING_TYPE)
}

fn list(value: &Value) -> Result<&[Value], Problem> {
    value.as_array().map(Vec::as_slice).ok_or(Problem::LIST_TYPE)
}

/// Extends a parser to accept null, too.
pub(super) fn or_null<T>(
    parse: impl FnOnce(&Value) -> Result<T, Problem>,
) -> impl FnOnce(&Value) -> Result<Option<T>, Problem> {
    |value| if value.is_null() { Ok(None) } else { parse(value).map(Some) }
}

/// Parses a boolean by the rules of pydantic's lax mode: 0, 1 and the usual words in any case are accepted.
pub(super) fn boolean(value: &Value) -> Result<bool, Problem> {
    const TRUE: [&str; 6] = ["1", "on", "t", "true", "y", "yes"];
    const FALSE: [&str; 6] = ["0", "off", "f", "false", "n", "no"];
    const BOUND: f64 = 9_223_372_036_854_775_808.0; // 2^63, above which pydantic reads no integer
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(word) if TRUE.iter().any(|w| word.eq_ignore_ascii_case(w)) => Ok(true),
        Value::String(word) if FALSE.iter().any(|w| word.eq_ignore_ascii_case(w)) => Ok(false),
        Value::String(_) => Err(Problem::BOOL_PARSING),
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => Ok(false),
            Some(1.0) => Ok(true),
            Some(float) if number.is_i64() || (float.fract() == 0.0 && float.abs() < BOUND) => {
                Err(Problem::BOOL_PARSING)
            }
            _ => Err(Problem::BOOL_TYPE),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Problem::BOOL_TYPE),
    }
}

/// Parses the boolean of a query. A parameter without a value is true, as for Kubernetes.
pub(in crate::http) fn flag(word: &str) -> Result<bool, Problem> {
    if word.is_empty() { Ok(true) } else { boolean(&word.into()) }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Returns the fields of a body, which must be an object.
    pub(super) fn of_body(body: &'a Value) -> Result<Self, Vec<FieldError>> {
        Self::new(body, vec![Loc::Field("body")])
    }

    fn new(value: &'a Value, path: Vec<Loc>) -> Result<Self, Vec<FieldError>> {
        match value {
            Value::Object(map) => Ok(Self { map, whole: value, path, errors: Vec::new() }),
            _ => Err(vec![FieldError::new(Problem::MODEL_ATTRIBUTES_TYPE, path, value)]),
        }
    }

    /// Parses a required field.
    pub(super) fn required<T: Default>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&'a Value) -> Result<T, Problem>,
    ) -> T {
        let (parsed, input) = match self.map.get(name) {
            Some(value) => (parse(value), value),
            None => (Err(Problem::MISSING), self.whole),
        };
        parsed.unwrap_or_else(|problem| {
            let path = [&self.path[..], &[Loc::Field(name)]].concat();
            self.add(vec![FieldError::new(problem, path, input)]);
            T::default()
        })
    }

    /// Parses an optional field. If it exists it must be valid, so null is not the same as an absent field.
    pub(super) fn optional<T: Default>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&'a Value) -> Result<T, Problem>,
    ) -> T {
        if self.map.contains_key(name) { self.required(name, parse) } else { T::default() }
    }

    /// Parses an optional object, or null, with the given function. An absent one has no fields.
    pub(super) fn object<T: Default>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&mut Fields<'a>) -> T,
    ) -> T {
        let Some(value) = self.map.get(name).filter(|value| !value.is_null()) else { return T::default() };
        let path = [&self.path[..], &[Loc::Field(name)]].concat();
        match Self::new(value, path) {
            Ok(mut object) => {
                let parsed = parse(&mut object);
                self.add(object.errors);
                parsed
            }
            Err(errors) => {
                self.add(errors);
                T::default()
            }
        }
    }

    /// Adds an error for each field of the object that is not one of these.
    pub(super) fn only(&mut self, names: &[&'static str]) {
        let allowed = names.join(", ");
        for (name, value) in self.map.iter().filter(|(name, _)| !names.contains(&name.as_str())) {
            self.add_at(
                Loc::Key(shortened(name, KEY_MAX).into_owned()),
                Problem::extra_forbidden(&allowed),
                value,
            );
        }
    }

    /// Parses an optional object, or null, whose keys are the caller's own, of at most `max` entries.
    pub(super) fn entries<T>(
        &mut self,
        name: &'static str,
        max: usize,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> BTreeMap<String, T> {
        self.object(name, |entries| {
            let map = entries.map;
            if map.len() > max {
                let path = entries.path.clone();
                entries.add(vec![FieldError::new(Problem::too_many(max, map.len()), path, &Value::Null)]);
                return BTreeMap::new();
            }
            let mut parsed = BTreeMap::new();
            for (key, value) in map {
                let at = || Loc::Key(shortened(key, KEY_MAX).into_owned());
                if key.len() > KEY_MAX {
                    entries.add_at(at(), Problem::too_long(KEY_MAX), &Value::Null);
                    continue;
                }
                match text(value).and_then(&parse) {
                    Ok(value) => drop(parsed.insert(key.clone(), value)),
                    Err(problem) => entries.add_at(at(), problem, value),
                }
            }
            parsed
        })
    }

    /// Adds an error about the whole of a field.
    pub(super) fn refuse(&mut self, name: &'static str, problem: Problem) {
        self.add_at(Loc::Field(name), problem, &Value::Null);
    }

    fn add_at(&mut self, loc: Loc, problem: Problem, input: &Value) {
        let path = [&self.path[..], &[loc]].concat();
        self.add(vec![FieldError::new(problem, path, input)]);
    }

    /// Parses an optional array of objects.
    pub(super) fn objects<T>(&mut self, name: &'static str, parse: impl Fn(&mut Fields<'a>) -> T) -> Vec<T> {
        let mut parsed = Vec::new();
        for (index, value) in self.optional(name, list).iter().enumerate() {
            if self.errors.len() == ERRORS_MAX {
                break;
            }
            let path = [&self.path[..], &[Loc::Field(name), Loc::Index(index)]].concat();
            match Self::new(value, path) {
                Ok(mut object) => {
                    parsed.push(parse(&mut object));
                    self.add(object.errors);
                }
                Err(errors) => self.add(errors),
            }
        }
        parsed
    }

    /// Returns the value, unless there are errors. A value that is `None` has an error.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Vec<FieldError>> {
        value.filter(|_| self.errors.is_empty()).ok_or(self.errors)
    }

    fn add(&mut self, errors: Vec<FieldError>) {
        let free = ERRORS_MAX - self.errors.len();
        self.errors.extend(errors.into_iter().take(free));
    }
}
