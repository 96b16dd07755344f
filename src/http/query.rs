//! The query of a URI.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{
    errors::ApiError,
    request::{FieldError, Loc, Problem},
};

/// The part of a URI after the `?`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a>(pub(super) &'a str);

/// Reads the parameters of a query, and collects the errors of all.
pub(super) struct Reader<'a> {
    pub(super) query: Query<'a>,
    errors: Vec<FieldError>,
}

// === impl Query ===

impl<'a> Query<'a> {
    /// Returns whether it has one of these parameters.
    pub(super) fn has_any(self, names: &[&str]) -> bool {
        self.pairs().any(|(name, _)| names.contains(&name))
    }

    /// Returns the values of a parameter, in their order.
    pub(super) fn all(self, name: &str) -> impl DoubleEndedIterator<Item = String> {
        self.pairs().filter(move |(key, _)| *key == name).map(|(_, value)| decoded(value))
    }

    /// Returns the value of a parameter. If it is sent twice, the last one counts, as with FastAPI.
    pub(super) fn last(self, name: &str) -> Option<String> {
        self.all(name).next_back()
    }

    fn pairs(self) -> impl DoubleEndedIterator<Item = (&'a str, &'a str)> {
        self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(query: &'a str) -> Self {
        Self { query: Query(query), errors: Vec::new() }
    }

    /// Adds the error of a parameter.
    pub(super) fn report(&mut self, name: &'static str, problem: Problem, input: String) {
        let loc = vec![Loc::Field("query"), Loc::Field(name)];
        self.errors.push(FieldError::new(problem, loc, &Value::from(input)));
    }

    /// Reads a parameter with one value.
    pub(super) fn last<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let text = self.query.last(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.report(name, problem, text);
                None
            }
        }
    }

    /// Returns the parameters.
    ///
    /// # Errors
    /// A 422 with each invalid value.
    pub(super) fn finish<T>(self, parameters: T) -> Result<T, ApiError> {
        if self.errors.is_empty() { Ok(parameters) } else { Err(self.errors.into()) }
    }
}

fn decoded(value: &str) -> String {
    percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned()
}
