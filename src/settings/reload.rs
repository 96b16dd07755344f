//! The differences between the settings of a running daemon and those of its changed file.
//!
//! Pure. A daemon can take a new cluster and new terms of a cluster. Each other difference needs a restart, and becomes a
//! sentence.

use std::collections::{BTreeMap, BTreeSet};

use kubernetes::manifest::Template;
use lifecycle::{ids::ClusterName, placement::Terms};
use serde_json::Value;

use super::{
    clusters::{self, ClusterSettings, Place},
    embedded,
    format::Exposure,
    load::Loaded,
    problem::quoted,
    profiles,
    sections::SETTINGS,
    setting::Spec,
    sources::{RawValue, Sources},
    tables::WrittenTables,
};

/// The differences, in the order of the settings and of the names.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The new clusters.
    pub added: Vec<ClusterSettings>,
    /// The clusters with new terms.
    pub terms: Vec<(ClusterName, Terms)>,
    /// A sentence for each difference that needs a restart.
    pub refused: Vec<String>,
}

/// The end of each sentence.
const RESTART: &str = "restart the daemon to use it";

/// Compares the settings in use with those of the file.
#[must_use]
pub fn changes(old: &Loaded, new: &Loaded) -> Changes {
    let mut changes = Changes::default();
    for spec in SETTINGS.iter() {
        if spec.may_differ {
            changes.refused.extend(differences(spec, old, new));
        } else {
            changes.refused.extend(difference(&spec.name, spec, &old.values, &new.values));
        }
    }
    let profiles = changed_profiles(&old.profiles, &new.profiles);
    let sentence = |name| format!("{}.{name}: it has changed; {RESTART}", profiles::KEY);
    changes.refused.extend(profiles.iter().map(sentence));
    for cluster in old.settings.clusters.iter() {
        match new.settings.clusters.get(&cluster.name) {
            Some(new) if new.terms != cluster.terms => {
                changes.terms.push((cluster.name.clone(), new.terms.clone()));
            }
            Some(_) => {}
            None => changes.refused.push(format!(
                "{}.{}: it is missing, and stays in use until a restart; with weight = 0 it gets no new sandboxes",
                clusters::KEY,
                cluster.name
            )),
        }
    }
    let is_other = |variable: &&str| {
        let [before, after] = [old, new].map(|loaded| text(&loaded.values, variable).map(|raw| &raw.text));
        before != after
    };
    let other_kind = embedded::SWITCHES.iter().any(is_other);
    for cluster in new.settings.clusters.iter() {
        if old.settings.clusters.get(&cluster.name).is_some() {
            continue;
        }
        let obstacle = if other_kind {
            Some("the number or the kind of the embedded clusters has changed".to_owned())
        } else if !profiles.is_empty() {
            Some("the profiles have changed".to_owned())
        } else {
            in_use(cluster, old).or_else(|| lacks(cluster, old))
        };
        match obstacle {
            None => changes.added.push(cluster.clone()),
            Some(why) => changes.refused.push(format!(
                "{}.{}: it is not added, because {why}; {RESTART}",
                clusters::KEY,
                cluster.name
            )),
        }
    }
    changes
}

/// Returns why the namespace of a new cluster is in use.
fn in_use(cluster: &ClusterSettings, old: &Loaded) -> Option<String> {
    let place = Place::of(cluster);
    let is_same = |other: &&ClusterSettings| Place::of(other) == place;
    let other = old.settings.clusters.iter().filter(|_| old.settings.embedded.is_none()).find(is_same)?;
    Some(format!("its sandboxes would be in {place}, as those of {}.{}", clusters::KEY, other.name))
}

/// Returns the feature that the clusters in use have and a new one has not: `/api/capabilities` has announced it.
fn lacks(cluster: &ClusterSettings, old: &Loaded) -> Option<String> {
    let lacks = |has: fn(&Template) -> bool| {
        old.settings.clusters.iter().all(|old| has(&old.template)) && !has(&cluster.template)
    };
    let name = if lacks(|template| template.lark_init_image.is_some()) {
        "lark_cli_init_image"
    } else if lacks(|template| template.lark_broker_image.is_some()) {
        "lark_cli_broker_image"
    } else {
        return None;
    };
    Some(format!("it has no {name}, which the other clusters have"))
}

/// Returns a sentence if a setting of the clusters differs in all of them alike, or one for each cluster.
fn differences(spec: &Spec, old: &Loaded, new: &Loaded) -> Vec<String> {
    let both = old
        .values_of_clusters
        .iter()
        .filter_map(|(name, old)| Some((name, old, new.values_of_clusters.get(name)?)));
    let of = |(name, old, new): (&ClusterName, _, _)| {
        let path = format!("{}.{name}.{}", clusters::KEY, spec.key_of_cluster());
        Some((difference(&spec.name, spec, old, new)?, difference(&path, spec, old, new)?))
    };
    let found: Vec<_> = both.map(of).collect();
    let alike: BTreeSet<_> = found.iter().map(|found| found.as_ref().map(|(short, _)| short)).collect();
    match found.first() {
        Some(Some((short, _))) if alike.len() == 1 => vec![short.clone()],
        _ => found.into_iter().flatten().map(|(_, long)| long).collect(),
    }
}

/// Returns a sentence if a setting has another value.
fn difference(path: &str, spec: &Spec, old: &Sources, new: &Sources) -> Option<String> {
    let [before, after] = [old, new].map(|values| text(values, spec.variable));
    if before.map(|raw| &raw.text) == after.map(|raw| &raw.text) {
        return None;
    }
    if spec.exposure == Exposure::Hidden {
        return Some(format!("{path}: it has changed; {RESTART}"));
    }
    let before = before.map_or("unset".to_owned(), |raw| quoted(&raw.text));
    let after = after.map_or("unset".to_owned(), |raw| format!("{} from {}", quoted(&raw.text), raw.origin));
    Some(format!("{path}: it is {after}, and {before} is in use; {RESTART}"))
}

fn text<'a>(values: &'a Sources, variable: &str) -> Option<&'a RawValue> {
    values.find(variable).filter(|raw| !raw.text.is_empty())
}

/// Returns the names of the profiles that are new, missing or different.
fn changed_profiles(old: &WrittenTables, new: &WrittenTables) -> BTreeSet<String> {
    let [before, after] = [old, new].map(by_name);
    let names = before.keys().chain(after.keys());
    names.filter(|name| before.get(*name) != after.get(*name)).map(|name| (*name).to_owned()).collect()
}

fn by_name(written: &WrittenTables) -> BTreeMap<&str, BTreeMap<&str, &Value>> {
    let mut tables = BTreeMap::<_, BTreeMap<_, _>>::new();
    for field in &written.fields {
        let table = tables.entry(field.table.as_str()).or_default();
        table.extend(field.field.iter().map(|(name, value)| (name.as_str(), value)));
    }
    tables
}

// === impl Changes ===

impl Changes {
    /// Puts the changes that the daemon has taken into its settings.
    pub fn apply(self, settings: &mut Loaded, new: &Loaded) {
        for cluster in self.added {
            if let Some(values) = new.values_of_clusters.get(&cluster.name) {
                settings.values_of_clusters.insert(cluster.name.clone(), values.clone());
            }
            settings.settings.clusters.others.push(cluster);
        }
        for (name, terms) in self.terms {
            if let Some(cluster) = settings.settings.clusters.iter_mut().find(|cluster| cluster.name == name)
            {
                cluster.terms = terms;
            }
        }
    }
}
