//! The profiles: tables of the settings file, `[profiles.NAME]`. Variables and flags cannot define them.

use std::{collections::BTreeMap, time::Duration};

use kubernetes::{
    manifest::default_resources,
    profile::{FIELDS, HostPaths, Profile, ProfileError, Profiles},
};
use lifecycle::{
    ids::{ClusterName, ProfileName},
    lifetime::Limits,
};

use super::{
    clusters::{ClusterSettings, Clusters},
    format::duration_text,
    problem::{Origin, Problem},
    similar::{nearest, normalized},
    tables::{WrittenField, WrittenTables},
};

/// The key of the tables in the settings file.
pub(super) const KEY: &str = "profiles";

/// The field whose values may be secret.
pub(super) const ENV: &str = "env";

/// Reads the fields of the profiles. Adds every problem, and returns `None` if there is one.
pub(super) fn parse(
    written: &WrittenTables,
    problems: &mut Vec<Problem>,
) -> Option<BTreeMap<ProfileName, Profile>> {
    let before = problems.len();
    let mut profiles = BTreeMap::<_, Profile>::new();
    for WrittenField { table: name, field, line } in &written.fields {
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
    (problems.len() == before).then_some(profiles)
}

/// Puts the profiles into the settings of all clusters. Adds every problem of a profile with the settings of a cluster
/// that offers it.
pub(super) fn resolve(
    profiles: &BTreeMap<ProfileName, Profile>,
    clusters: &mut Clusters,
    max: Limits,
    problems: &mut Vec<Problem>,
) {
    let mut found = BTreeMap::<Problem, Vec<ClusterName>>::new();
    for cluster in clusters.iter_mut() {
        for problem in put(profiles, cluster, max) {
            found.entry(problem).or_default().push(cluster.name.clone());
        }
    }
    let count = clusters.iter().count();
    for (problem, names) in found {
        // A problem of all clusters is one of the settings that they share.
        problems.push(if names.len() == count {
            problem
        } else {
            let names: Vec<_> = names.iter().map(ClusterName::as_str).collect();
            Problem::new(format!("{problem} (for the cluster {})", names.join(", ")))
        });
    }
}

/// Puts the profiles into the settings of a cluster, or returns the problems.
fn put(
    profiles: &BTreeMap<ProfileName, Profile>,
    cluster: &mut ClusterSettings,
    max: Limits,
) -> Vec<Problem> {
    let ClusterSettings { template, terms, .. } = cluster;
    let offers = |name: &ProfileName| terms.profiles.as_ref().is_none_or(|offered| offered.contains(name));
    let host_paths =
        HostPaths { user_data: template.userdata_pvc.is_none(), skills: template.skills_pvc.is_none() };
    let resolved = Profiles::new(profiles, &default_resources(), host_paths).or_else(|mut errors| {
        errors.retain(|error| !matches!(error, ProfileError::HostPaths(name) if !offers(name)));
        if errors.is_empty() {
            Profiles::new(profiles, &default_resources(), HostPaths::default())
        } else {
            Err(errors)
        }
    });
    match resolved {
        Ok(resolved) => {
            let mut problems: Vec<_> =
                resolved.iter().flat_map(|(name, profile)| above_maximum(name, profile, max)).collect();
            if template.network.sources.is_empty() {
                let offered = resolved.iter().filter(|(name, _)| offers(name));
                problems.extend(offered.filter_map(|(name, profile)| without_sources(name, profile)));
            }
            template.profiles = resolved;
            problems
        }
        Err(errors) => errors.iter().map(|error| Problem::new(error.to_string())).collect(),
    }
}

/// Returns a sentence for each profile that no cluster offers: every POST with it is refused.
#[must_use]
pub fn unoffered(clusters: &Clusters) -> Vec<String> {
    // The profiles are the same for all clusters.
    let names = clusters.first.template.profiles.iter().map(|(name, _)| name);
    let is_unoffered = |name: &&ProfileName| !clusters.iter().any(|cluster| cluster.terms.offers(Some(name)));
    let sentence = |name| {
        format!(
            "{KEY}.{name}: no cluster offers the profile; add it to the `profiles` of a table [clusters.NAME]"
        )
    };
    names.filter(is_unoffered).map(sentence).collect()
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
    match nearest(&normalized(field), FIELDS.iter().copied()) {
        Some(name) => format!("; did you mean {name:?}?"),
        None => format!("; the fields are {}", FIELDS.join(", ")),
    }
}
