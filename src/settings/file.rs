//! The settings file: TOML, one key per setting, and the tables of the profiles.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::{
    problem::{Origin, Problem},
    profiles::{self, WrittenField, WrittenProfiles},
    sections::SETTINGS,
    setting::Spec,
    sources::RawValue,
};

/// The similarity, from 0 to 1, below which no key is suggested.
const LIKENESS: f64 = 0.8;

/// The content of a file.
#[derive(Default)]
pub(super) struct File {
    /// The values of settings, by their variables.
    pub values: Vec<(&'static str, RawValue)>,
    pub profiles: WrittenProfiles,
}

/// Parses a file. Adds invalid keys and types to `problems`.
///
/// # Errors
/// Every position at which the text is not TOML; then no value is returned.
pub(super) fn parse(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Result<File, Vec<Problem>> {
    let at = |offset: usize| Origin::File { path: path.to_owned(), line: line_of(text, offset) };
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problem = |error: &toml::de::Error| {
            let origin = at(error.span().map_or(0, |span| span.start));
            let message = error.message().lines().collect::<Vec<_>>().join(" ");
            Problem::new(format!("the settings file is not TOML at {origin}: {message}"))
        };
        return Err(errors.iter().map(problem).collect());
    }
    let mut file = File::default();
    path.clone_into(&mut file.profiles.path);
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    for (name, value) in entries {
        let origin = at(name.span().start);
        let name = name.get_ref().as_ref();
        if name == profiles::KEY {
            read_profiles(value.get_ref(), |offset| line_of(text, offset), &mut file.profiles.fields)
                .map_err(|what| vec![Problem::new(format!("{} at {origin}: {what}", profiles::KEY))])?;
            continue;
        }
        let Some(spec) = SETTINGS.iter().find(|spec| spec.name == name) else {
            let hint = like(name).map_or_else(
                || "config/sandbox-provisioner.toml lists all of them".to_owned(),
                |name| format!("did you mean {name:?}?"),
            );
            problems.push(Problem::new(format!("{name:?} at {origin} is not a setting; {hint}")));
            continue;
        };
        match plain(value.get_ref()) {
            Ok(text) => file.values.push((spec.variable, RawValue { text, origin })),
            Err(found) => {
                problems.push(Problem::not_allowed(spec, &format!("{found} at {origin} is not allowed")));
            }
        }
    }
    Ok(file)
}

/// Reads the tables of the profiles, in the order of the file.
fn read_profiles(
    value: &DeValue<'_>,
    line: impl Fn(usize) -> usize,
    fields: &mut Vec<WrittenField>,
) -> Result<(), String> {
    let DeValue::Table(tables) = value else {
        return Err(format!("{} is not allowed; allowed: tables [profiles.NAME]", kind(value)));
    };
    for (name, profile) in tables {
        let DeValue::Table(written) = profile.get_ref() else {
            let found = kind(profile.get_ref());
            return Err(format!(
                "{:?}: {found} is not allowed; allowed: a table [profiles.NAME]",
                name.get_ref()
            ));
        };
        let profile = name.get_ref().to_string();
        if written.is_empty() {
            fields.push(WrittenField { profile, field: None, line: line(name.span().start) });
            continue;
        }
        for (field, value) in written {
            let of_field = |what| format!("{profile}.{}: {what} is not allowed", field.get_ref());
            let value = json(value.get_ref()).map_err(of_field)?;
            let line = line(field.span().start);
            fields.push(WrittenField {
                profile: profile.clone(),
                field: Some((field.get_ref().to_string(), value)),
                line,
            });
        }
    }
    // The tables of one profile may be apart in the file.
    let mut first = BTreeMap::<String, usize>::new();
    for WrittenField { profile, line, .. } in &*fields {
        first.entry(profile.clone()).and_modify(|first| *first = (*first).min(*line)).or_insert(*line);
    }
    fields.sort_by_key(|field| (first.get(&field.profile).copied(), field.line));
    Ok(())
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
fn kind(value: &DeValue<'_>) -> &'static str {
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

/// Returns a value as text, or its type if it is not a plain value.
fn plain(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "a number beyond 64 bits"),
        DeValue::Boolean(switch) => Ok(switch.to_string()),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => Err(kind(value)),
    }
}

/// Returns the setting that was probably meant: by its variable, by a part of its name, or by similarity.
fn like(name: &str) -> Option<&'static str> {
    let wanted = name.to_lowercase().replace('-', "_");
    let likeness = |spec: &Spec| {
        if spec.variable.eq_ignore_ascii_case(&wanted) {
            1.0
        } else if wanted.len() > 3 && spec.name.ends_with(&format!("_{wanted}")) {
            0.99
        } else {
            strsim::jaro_winkler(&wanted, &spec.name)
        }
    };
    let best = SETTINGS.iter().map(|spec| (likeness(spec), &*spec.name)).max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness >= LIKENESS).map(|(_, name)| name)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}
