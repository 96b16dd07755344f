//! The effective settings as a settings file, for `serve --check`.

use std::fmt::Write as _;

use super::{
    clusters,
    format::{Exposure, Kind},
    load::Loaded,
    profiles,
    sections::SETTINGS,
};

/// Prints the effective values as TOML, each with its origin in a comment. Reading the result gives the same settings.
/// Secrets are not printed.
#[must_use]
pub fn to_toml(Loaded { values, profiles, clusters, .. }: &Loaded) -> String {
    let mut out = String::new();
    let mut heading = "";
    for spec in SETTINGS.iter() {
        if heading != spec.heading {
            heading = spec.heading;
            let blank = if out.is_empty() { "" } else { "\n" };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{blank}# {heading}");
        }
        let name = &spec.name;
        // An empty value unsets an optional setting, which makes a difference only if there is a default.
        let value = values
            .find(spec.variable)
            .filter(|raw| !raw.text.is_empty() || !spec.is_optional || spec.default.is_some());
        let _ = match value {
            Some(raw) if spec.exposure == Exposure::Hidden => {
                writeln!(out, "# {name} is set, and hidden (from {})", raw.origin)
            }
            Some(raw) => writeln!(out, "{name} = {}  # from {}", literal(spec.kind, &raw.text), raw.origin),
            None => writeln!(out, "# {name} is not set"),
        };
    }
    out + &clusters.to_toml(clusters::KEY, "") + &profiles.to_toml(profiles::KEY, profiles::ENV)
}

/// Returns a valid value as TOML. A number is printed as it was parsed: TOML has no leading zeros.
pub(super) fn literal(kind: Kind, text: &str) -> String {
    match (kind, text.parse::<i64>()) {
        (Kind::Number, Ok(number)) => number.to_string(),
        (Kind::Boolean, _) => text.to_owned(),
        _ => toml::Value::from(text).to_string(),
    }
}
