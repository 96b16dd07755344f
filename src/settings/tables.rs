//! Named tables of the settings file, `[profiles.NAME]` and `[clusters.NAME]`, as they were written.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use serde_json::{Map, Value};
use toml::de::DeValue;

use super::problem::{Origin, Problem};

/// The tables below one key.
#[derive(Clone, Default)]
pub struct WrittenTables {
    pub(super) path: PathBuf,
    pub(super) fields: Vec<WrittenField>,
}

/// A field of a table as it was written.
#[derive(Clone)]
pub(super) struct WrittenField {
    pub table: String,
    /// `None` for a table without fields.
    pub field: Option<(String, Value)>,
    /// The line, counted from 1.
    pub line: usize,
}

// === impl WrittenTables ===

impl WrittenTables {
    /// Reads the tables below `key`, in the order of the file. Returns the first value that cannot be in such a table.
    pub(super) fn read(
        &mut self,
        key: &str,
        value: &DeValue<'_>,
        at: usize,
        line: impl Fn(usize) -> usize,
    ) -> Result<(), Problem> {
        let file = self.path.clone();
        let refused = |path: String, at: usize, what: &str| {
            let origin = Origin::File { path: file.clone(), line: line(at) };
            Problem::new(format!("{path} at {origin}: {what}"))
        };
        let DeValue::Table(tables) = value else {
            let what = format!("{} is not allowed; allowed: tables [{key}.NAME]", kind(value));
            return Err(refused(key.to_owned(), at, &what));
        };
        for (name, table) in tables {
            let DeValue::Table(written) = table.get_ref() else {
                let path = format!("{key}.{}", name.get_ref());
                let what = format!("{} is not allowed; allowed: a table [{key}.NAME]", kind(table.get_ref()));
                return Err(refused(path, name.span().start, &what));
            };
            let table = name.get_ref().to_string();
            if written.is_empty() {
                self.fields.push(WrittenField { table, field: None, line: line(name.span().start) });
                continue;
            }
            for (field, value) in written {
                let at = field.span().start;
                let value = json(value.get_ref()).map_err(|what| {
                    let path = format!("{key}.{table}.{}", field.get_ref());
                    refused(path, at, &format!("{what} is not allowed"))
                })?;
                let field = Some((field.get_ref().to_string(), value));
                self.fields.push(WrittenField { table: table.clone(), field, line: line(at) });
            }
        }
        // The parts of one table may be apart in the file.
        let mut first = BTreeMap::<String, usize>::new();
        for WrittenField { table, line, .. } in &self.fields {
            first.entry(table.clone()).and_modify(|first| *first = (*first).min(*line)).or_insert(*line);
        }
        self.fields.sort_by_key(|field| (first.get(&field.table).copied(), field.line));
        Ok(())
    }

    /// Prints the tables as TOML. The value of a field named `hidden` is not printed.
    pub(super) fn to_toml(&self, key: &str, hidden: &str) -> String {
        let mut out = String::new();
        let mut last = None;
        for WrittenField { table, field, line } in &self.fields {
            if last != Some(table) {
                last = Some(table);
                // Writing to a String cannot fail.
                let _ = writeln!(out, "\n[{key}.{table}]  # from {}:{line}", self.path.display());
            }
            let _ = match field {
                Some((field, _)) if field == hidden => writeln!(out, "# {field} is set, and hidden"),
                Some((field, value)) => writeln!(out, "{field} = {}", inline(value)),
                None => Ok(()),
            };
        }
        out
    }
}

/// Returns a value as TOML on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(key, value)| format!("{} = {}", toml::Value::from(key.as_str()), inline(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::String(text) => toml::Value::from(text.as_str()).to_string(),
        // TOML has no null, so there is none.
        other => other.to_string(),
    }
}

/// Converts a value, or returns its type if there is no such value in a Kubernetes object.
fn json(value: &DeValue<'_>) -> Result<Value, &'static str> {
    Ok(match value {
        DeValue::Table(table) => {
            let fields = table.iter().map(|(key, value)| {
                Ok::<_, &'static str>((key.get_ref().to_string(), json(value.get_ref())?))
            });
            Value::Object(fields.collect::<Result<Map<_, _>, _>>()?)
        }
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| json(item.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(Value::from)
            .map_err(|_| "a number beyond 64 bits")?,
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map(Value::Number)
            .ok_or("a number that is not finite")?,
        DeValue::Boolean(switch) => Value::Bool(*switch),
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Datetime(_) => return Err(kind(value)),
    })
}

/// Returns the type of a value.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
