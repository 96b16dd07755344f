//! The profiles: tables of the settings file, `[profiles.NAME]`. Variables and flags cannot define them.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, time::Duration};

use kubernetes::{
    manifest::default_resources,
    profile::{FIELDS, HostPaths, Profile, Profiles},
};
use lifecycle::{ids::ProfileName, lifetime::Limits};
use serde_json::Value;

use super::{
    Settings,
    format::duration_text,
    problem::{Origin, Problem},
};

/// The key of the tables in the settings file.
pub(super) const KEY: &str = "profiles";

/// The tables as they were written.
#[derive(Clone, Default)]
pub struct WrittenProfiles {
    pub(super) path: PathBuf,
    pub(super) fields: Vec<WrittenField>,
}

/// A field of a profile as it was written.
#[derive(Clone)]
pub(super) struct WrittenField {
    pub profile: String,
    /// `None` for a profile without fields.
    pub field: Option<(String, Value)>,
    /// The line, counted from 1.
    pub line: usize,
}

/// The field whose values may be secret.
const ENV: &str = "env";

/// The similarity, from 0 to 1, below which no field is suggested.
const LIKENESS: f64 = 0.8;

/// Reads the profiles into the other settings, or only checks their fields without those. Adds every problem.
pub(super) fn read(written: &WrittenProfiles, settings: Option<&mut Settings>, problems: &mut Vec<Problem>) {
    let before = problems.len();
    let mut profiles = BTreeMap::<_, Profile>::new();
    for WrittenField { profile: name, field, line } in &written.fields {
        let origin = Origin::File { path: written.path.clone(), line: *line };
        let Some(known) = ProfileName::parse(name) else {
            problems.push(Problem::new(format!(
                "the profile {name:?} at {origin} has no valid name; allowed: 1 to 63 lower-case letters, digits or \
                 '-', with a letter or digit at both ends"
            )));
            continue;
        };
        let profile = profiles.entry(known).or_default();
        let Some((field, value)) = field else { continue };
        if let Err(error) = profile.set(field, value) {
            let hint = if FIELDS.contains(&field.as_str()) { String::new() } else { hint(field) };
            let path = error.path;
            let message = error.message;
            problems
                .push(Problem::new(format!("profiles.{name}.{field}{path} at {origin}: {message}{hint}")));
        }
    }
    let Some(Settings { template, policy, .. }) = settings.filter(|_| problems.len() == before) else {
        return;
    };
    let host_paths =
        HostPaths { user_data: template.userdata_pvc.is_none(), skills: template.skills_pvc.is_none() };
    match Profiles::new(&profiles, &default_resources(), host_paths) {
        Ok(profiles) => {
            problems
                .extend(profiles.iter().flat_map(|(name, profile)| above_maximum(name, profile, policy.max)));
            if template.network.sources.is_empty() {
                problems.extend(profiles.iter().filter_map(|(name, profile)| without_sources(name, profile)));
            }
            template.profiles = profiles;
        }
        Err(errors) => problems.extend(errors.iter().map(|error| Problem::new(error.to_string()))),
    }
}

/// Returns a problem for each limit of a profile that no request may set.
fn above_maximum(name: &ProfileName, profile: &Profile, max: Limits) -> impl Iterator<Item = Problem> {
    let limits = [
        ("ttl", profile.ttl, "max_ttl", max.ttl),
        ("idle_timeout", profile.idle_timeout, "max_idle_timeout", max.idle_timeout),
    ];
    let problem = move |(field, limit, setting, max): (_, Option<Duration>, _, Option<Duration>)| {
        let (limit, max) = limit.zip(max).filter(|(limit, max)| limit > max)?;
        let (limit, max) = (duration_text(limit), duration_text(max));
        Some(Problem::new(format!("profiles.{name}.{field}: {limit} is above {setting}, which is {max}")))
    };
    limits.into_iter().filter_map(problem)
}

/// Returns a problem for a profile whose sandboxes could not be reached.
fn without_sources(name: &ProfileName, profile: &Profile) -> Option<Problem> {
    let mode = profile.network.map(|network| network.mode).filter(|mode| mode.is_restricted());
    let (field, mode) = if let Some(mode) = mode {
        ("network", mode)
    } else {
        let modes = profile.overrides.network.as_deref()?;
        ("overrides.network", modes.iter().copied().find(|mode| mode.is_restricted())?)
    };
    Some(Problem::new(format!(
        "profiles.{name}.{field}: nothing could reach a sandbox of the mode {mode}; set network_sources \
         (PROVISIONER_NETWORK_SOURCES) to the addresses or Pods of your backend and, for node ports, of the nodes"
    )))
}

/// Returns the field that was probably meant, or all fields.
fn hint(field: &str) -> String {
    let likeness = |name: &&str| strsim::jaro_winkler(&field.to_lowercase().replace('-', "_"), name);
    let best = FIELDS.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match best.filter(|name| likeness(name) >= LIKENESS) {
        Some(name) => format!("; did you mean {name:?}?"),
        None => format!("; the fields are {}", FIELDS.join(", ")),
    }
}

// === impl WrittenProfiles ===

impl WrittenProfiles {
    /// Prints the tables as TOML. The values of environment variables are not printed.
    pub(super) fn to_toml(&self) -> String {
        let mut out = String::new();
        let mut table = None;
        for WrittenField { profile, field, line } in &self.fields {
            if table != Some(profile) {
                table = Some(profile);
                // Writing to a String cannot fail.
                let _ = writeln!(out, "\n[{KEY}.{profile}]  # from {}:{line}", self.path.display());
            }
            let _ = match field {
                Some((field, _)) if field == ENV => writeln!(out, "# {field} is set, and hidden"),
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
