//! The effective settings as a settings file, for `serve --check`.

use std::fmt::Write as _;

use super::{
    keys::{Key, Kind, SPECS, Section},
    layers::Layers,
};

/// Prints the effective values as TOML, each with its origin in a comment. Reading the result gives the same settings.
/// Secrets are not printed.
#[must_use]
pub fn to_toml(values: &Layers) -> String {
    let mut out = String::new();
    let mut section: Option<Section> = None;
    for spec in &SPECS {
        if section != Some(spec.section) {
            section = Some(spec.section);
            let blank = if out.is_empty() { "" } else { "\n" };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{blank}# {}", spec.section.heading());
        }
        let origin = values.origin(spec.key);
        let name = spec.name;
        let _ = match values.get(spec.key) {
            Some(_) if spec.key.is_secret() => writeln!(out, "# {name} is set, and hidden (from {origin})"),
            Some(raw) => writeln!(out, "{name} = {}  # from {origin}", literal(spec.kind, &raw.text)),
            None if spec.key == Key::HostBaseDir => writeln!(out, "{name} = \"\"  # from {origin}"),
            None => writeln!(out, "# {name} is not set"),
        };
    }
    out
}

fn literal(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Number | Kind::Switch => text.to_owned(),
        Kind::Text => toml::Value::from(text).to_string(),
    }
}
