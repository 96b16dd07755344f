//! The fields of the tables: checked, and with the setting that each replaces.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::{
    ids::{ClusterName, ProfileName},
    labels::{Labels, is_label_key, is_label_value},
    placement::Terms,
};
use serde_json::Value;

use super::KEY;
use crate::settings::{
    format::{Boolean, Format, Number, OrWord},
    problem::{Origin, Problem, quoted},
    sections::SETTINGS,
    setting::Spec,
    similar::{best, likeness, normalized},
    sources::RawValue,
    tables::{WrittenField, WrittenTables},
};

/// The largest number of clusters. Each has watches, connections and a view of its own.
const CLUSTERS_MAX: usize = 64;

/// The fields that are not settings.
const WEIGHT: &str = "weight";
const MAX_SANDBOXES: &str = "max_sandboxes";
const LABELS: &str = "labels";
const PROFILES: &str = "profiles";
const SHARES_DATA: &str = "shares_data";
const TERMS: [&str; 5] = [WEIGHT, MAX_SANDBOXES, LABELS, PROFILES, SHARES_DATA];

static WEIGHTS: Number<u16> = Number(0..=Terms::WEIGHT_MAX);
static COUNTS: OrWord<Number<u64>> = OrWord(Number(1..=1_000_000), "unlimited");

/// The field with the path of the kubeconfig.
const KUBECONFIG_VARIABLE: &str = "KUBECONFIG_PATH";

/// The fields that name the API server. With one of them the service account of this process's Pod is not used.
const SERVER_VARIABLES: [&str; 3] = [KUBECONFIG_VARIABLE, "K8S_CONTEXT", "K8S_API_SERVER"];

/// The table of one cluster.
#[derive(Default)]
pub(in crate::settings) struct Table {
    pub terms: Terms,
    /// The values that replace those of the same settings, by the variables of the settings.
    pub values: BTreeMap<&'static str, RawValue>,
}

/// A field and where it stands.
struct Field<'a> {
    /// As `clusters.west.weight`.
    path: String,
    name: &'a str,
    value: &'a Value,
    origin: Origin,
}

/// Reads the tables. Adds every problem. `profiles` are those of the file, unless they cannot be read.
pub(in crate::settings) fn parse<P>(
    written: &WrittenTables,
    profiles: Option<&BTreeMap<ProfileName, P>>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<ClusterName, Table> {
    let mut tables = BTreeMap::<_, Table>::new();
    for WrittenField { table, field, line } in &written.fields {
        let origin = Origin::File { path: written.path.clone(), line: *line };
        let Some(name) = ClusterName::parse(table) else {
            problems.push(Problem::new(format!(
                "the cluster {} at {origin} has no valid name; allowed: 1 to 63 lower-case letters, digits or '-', with \
                 a letter or digit at both ends",
                quoted(table)
            )));
            continue;
        };
        if tables.len() == CLUSTERS_MAX && !tables.contains_key(&name) {
            problems.push(Problem::new(format!(
                "{KEY}.{name} at {origin}: there are too many clusters; allowed: at most {CLUSTERS_MAX}"
            )));
            return tables;
        }
        let table = tables.entry(name.clone()).or_default();
        let Some((field, value)) = field else { continue };
        let shown = quoted(field);
        let shown = if shown.trim_matches('"') == field { field } else { &shown };
        let field = Field { path: format!("{KEY}.{name}.{shown}"), name: field, value, origin };
        let set = match field.name {
            WEIGHT => read(&field, &WEIGHTS).map(|weight| table.terms.weight = weight),
            MAX_SANDBOXES => read(&field, &COUNTS).map(|max| table.terms.max_sandboxes = max),
            LABELS => labels(&field).map(|labels| table.terms.labels = labels),
            PROFILES => offered(&field, profiles).map(|profiles| table.terms.profiles = Some(profiles)),
            SHARES_DATA => read(&field, &Boolean).map(|shares| table.terms.shares_data = shares),
            _ => table.set(&field),
        };
        problems.extend(set.err());
    }
    tables
}

/// Returns the keys of the fields that are not settings and whose values differ.
#[must_use]
pub fn changed_keys(old: &Terms, new: &Terms) -> Vec<&'static str> {
    let Terms { weight, max_sandboxes, labels, profiles, shares_data } = new;
    let fields = [
        (WEIGHT, *weight == old.weight),
        (MAX_SANDBOXES, *max_sandboxes == old.max_sandboxes),
        (LABELS, *labels == old.labels),
        (PROFILES, *profiles == old.profiles),
        (SHARES_DATA, *shares_data == old.shares_data),
    ];
    fields.into_iter().filter(|(_, is_same)| !is_same).map(|(key, _)| key).collect()
}

fn read<F: Format>(field: &Field<'_>, format: &F) -> Result<F::Value, Problem> {
    let text = field.plain(&format.allowed())?;
    format.parse(&text).map_err(|_| {
        let what = format!("{} from {} is not allowed", quoted(&text), field.origin);
        Problem::not_allowed_at(&field.path, &what, &format.allowed())
    })
}

fn labels(field: &Field<'_>) -> Result<Labels, Problem> {
    let Value::Object(written) = field.value else {
        return Err(field.wrong_type(field.value, "a table such as { region = \"eu\" }"));
    };
    let mut labels = BTreeMap::new();
    for (key, value) in written {
        let at = |what: String, allowed| {
            let what = format!("{what} from {} is not allowed", field.origin);
            Problem::not_allowed_at(&field.path, &what, allowed)
        };
        if !is_label_key(key) {
            return Err(at(
                format!("the key {}", quoted(key)),
                "a label key such as tier or \"example.com/tier\"",
            ));
        }
        match value {
            Value::String(text) if is_label_value(text) => {
                labels.insert(key.as_str(), text.as_str());
            }
            Value::String(text) => {
                return Err(at(
                    format!("{} for {key}", quoted(text)),
                    "at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
                ));
            }
            Value::Object(_) => {
                return Err(at(
                    format!("a table for {key}"),
                    "a text; a key with a dot needs quotes, such as \"example.com/tier\"",
                ));
            }
            other => return Err(at(format!("{} for {key}", kind(other)), "a text in quotes")),
        }
    }
    let bytes: usize = labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > Labels::BYTES_MAX {
        let what = format!("{bytes} bytes from {} are not allowed", field.origin);
        return Err(Problem::not_allowed_at(
            &field.path,
            &what,
            &format!("at most {} bytes of keys and values", Labels::BYTES_MAX),
        ));
    }
    Ok(Labels::new(labels))
}

/// Reads the profiles that a cluster offers. `default` stands also for requests without a profile.
fn offered<P>(
    field: &Field<'_>,
    profiles: Option<&BTreeMap<ProfileName, P>>,
) -> Result<BTreeSet<ProfileName>, Problem> {
    let allowed = "a list of the names of profiles";
    let Value::Array(names) = field.value else {
        return Err(field.wrong_type(field.value, allowed));
    };
    if names.is_empty() {
        let what = format!("an empty list from {} is not allowed", field.origin);
        let allowed = format!("{allowed}; a cluster with weight = 0 gets no sandboxes");
        return Err(Problem::not_allowed_at(&field.path, &what, &allowed));
    }
    let default = ProfileName::default_profile();
    let one = |name: &Value| {
        let Value::String(text) = name else {
            return Err(field.wrong_type(name, allowed));
        };
        let known = ProfileName::parse(text)
            .filter(|name| *name == default || profiles.is_none_or(|profiles| profiles.contains_key(name)));
        known.ok_or_else(|| {
            let names = profiles.into_iter().flat_map(BTreeMap::keys).filter(|name| **name != default);
            let names: Vec<_> = [&default].into_iter().chain(names).map(ProfileName::as_str).collect();
            let what = format!("there is no profile {} (from {})", quoted(text), field.origin);
            Problem::not_allowed_at(&field.path, &what, &names.join(", "))
        })
    };
    names.iter().map(one).collect()
}

// === impl Table ===

impl Table {
    /// Returns whether the table names the API server.
    pub fn names_server(&self) -> bool {
        SERVER_VARIABLES.iter().any(|variable| self.values.contains_key(variable))
    }

    /// Returns the path of the field with the kubeconfig in the table of this cluster, such as `clusters.west.kubeconfig`, if
    /// the table has it.
    pub fn kubeconfig_field(&self, name: &ClusterName) -> Option<String> {
        self.values.contains_key(KUBECONFIG_VARIABLE).then(|| format!("{KEY}.{name}.kubeconfig"))
    }

    /// Sets the value of a setting.
    fn set(&mut self, field: &Field<'_>) -> Result<(), Problem> {
        let Field { path, name, origin, .. } = field;
        let named = |spec: &&Spec| spec.name == *name || spec.may_differ && spec.key_of_cluster() == *name;
        let Some(spec) = SETTINGS.iter().find(named) else {
            return Err(Problem::new(format!(
                "{path} at {origin}: it is not a field of a cluster{}",
                hint(name)
            )));
        };
        if !spec.may_differ {
            return Err(Problem::new(format!(
                "{path} at {origin}: this setting is the same for all clusters; set it above the tables"
            )));
        }
        let text = field.plain(&spec.allowed)?;
        if let Err(invalid) = spec.declaration.check(&text) {
            return Err(Problem::invalid_at(path, spec, &text, origin, &invalid));
        }
        let raw = RawValue { text, origin: origin.clone() };
        if self.values.insert(spec.variable, raw).is_some() {
            return Err(Problem::new(format!(
                "{path} at {origin}: the table has the setting twice, as {} and as {}",
                spec.key_of_cluster(),
                spec.name
            )));
        }
        Ok(())
    }
}

/// Returns the field that was probably meant, or the setting that no field replaces.
fn hint(name: &str) -> String {
    let wanted = normalized(name);
    let terms = TERMS.map(|term| (strsim::jaro_winkler(&wanted, term), (term, true)));
    let settings = SETTINGS.iter().map(|spec| match (likeness(&wanted, spec), spec.key_of_cluster()) {
        (likeness, key) if spec.may_differ => (likeness.max(strsim::jaro_winkler(&wanted, key)), (key, true)),
        (likeness, _) => (likeness, (&*spec.name, false)),
    });
    match best(terms.into_iter().chain(settings)) {
        Some((field, true)) => format!("; did you mean {field:?}?"),
        Some((setting, false)) => format!(
            "; did you mean {setting:?}? This setting is the same for all clusters; set it above the tables"
        ),
        None => format!(
            "; the fields are {}, and the settings of the connection, the sandboxes, the volumes and the network",
            TERMS.join(", ")
        ),
    }
}

/// Returns the type of a value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Number(number) if number.is_i64() => "a number",
        Value::Number(_) => "a number with a fraction",
        Value::Bool(_) => "a boolean",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
        // TOML has no null.
        Value::Null => "nothing",
    }
}

// === impl Field ===

impl Field<'_> {
    /// Returns the value as text.
    fn plain(&self, allowed: &str) -> Result<String, Problem> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) if number.is_i64() => Ok(number.to_string()),
            Value::Bool(switch) => Ok(switch.to_string()),
            other => Err(self.wrong_type(other, allowed)),
        }
    }

    fn wrong_type(&self, found: &Value, allowed: &str) -> Problem {
        let what = format!("{} from {} is not allowed", kind(found), self.origin);
        Problem::not_allowed_at(&self.path, &what, allowed)
    }
}
