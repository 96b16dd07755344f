//! The settings file: TOML, one key per setting, and the tables of the profiles and the clusters.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{
    clusters,
    problem::{Origin, Problem},
    profiles,
    sections::SETTINGS,
    similar::{best, likeness, normalized},
    sources::RawValue,
    tables::{WrittenTables, kind},
};

/// The content of a file.
#[derive(Default)]
pub(super) struct File {
    /// The values of settings, by their variables.
    pub values: Vec<(&'static str, RawValue)>,
    pub profiles: WrittenTables,
    pub clusters: WrittenTables,
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
    path.clone_into(&mut file.clusters.path);
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    for (name, value) in entries {
        let (start, line) = (name.span().start, |offset| line_of(text, offset));
        let origin = at(start);
        let name = name.get_ref().as_ref();
        let tables = match name {
            profiles::KEY => Some(&mut file.profiles),
            clusters::KEY => Some(&mut file.clusters),
            _ => None,
        };
        if let Some(tables) = tables {
            tables.read(name, value.get_ref(), start, line).map_err(|problem| vec![problem])?;
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

/// Returns the setting that was probably meant.
fn like(name: &str) -> Option<&'static str> {
    let wanted = normalized(name);
    let keys = [profiles::KEY, clusters::KEY].map(|key| (strsim::jaro_winkler(&wanted, key), key));
    best(SETTINGS.iter().map(|spec| (likeness(&wanted, spec), &*spec.name)).chain(keys))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}
