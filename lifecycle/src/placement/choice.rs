//! The clusters that may take a new sandbox, and the order in which they are asked.

use std::{fmt, time::Duration};

use super::{Candidate, Constraints, Terms, order};
use crate::{
    error::{Refusal, SandboxError},
    ids::{ClusterName, ProfileName, SandboxId},
};

/// The retry delay of a create that only a cluster which drains could take.
const DRAINING_RETRY: Duration = Duration::from_secs(30);

/// The retry delay of a create that no cluster can take at present.
const FULL_RETRY: Duration = Duration::from_secs(5);

/// The clusters for a new sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice<'a> {
    /// The clusters that may take it. The first is asked first.
    pub order: Vec<&'a ClusterName>,
    /// The other clusters, in the order of the candidates.
    pub excluded: Vec<Excluded<'a>>,
}

/// A cluster that cannot take a sandbox. `Display` is a sentence for callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excluded<'a> {
    /// The cluster.
    pub cluster: &'a ClusterName,
    /// The reason.
    pub why: Exclusion,
}

/// Why a cluster cannot take a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exclusion {
    /// The request names another cluster.
    NotRequested,
    /// The labels of the cluster do not match the request's selector.
    NotSelected,
    /// The cluster does not offer the profile of the request.
    NotOffered(ProfileName),
    /// Another cluster has the workspace of the request.
    WorkspaceElsewhere(ClusterName),
    /// An operator drains the cluster.
    Draining,
    /// The state of the cluster is not known at present.
    Stale,
    /// The cluster has as many sandboxes as its settings allow.
    Full {
        /// The largest number of sandboxes.
        max: u64,
    },
    /// The queue of the cluster is full.
    QueueFull,
}

/// Chooses the clusters for a new sandbox. The silent ones come last. The result does not depend on the order of the
/// candidates.
///
/// # Errors
/// [`SandboxError::BadRequest`] if no cluster meets the constraints, whatever its present state.
pub fn choose<'a>(
    id: &SandboxId,
    constraints: Constraints<'_>,
    candidates: &[Candidate<'a>],
) -> Result<Choice<'a>, SandboxError> {
    // A cluster that the settings do not name any more keeps no workspace from being made again.
    let is_known = |name: &&ClusterName| candidates.iter().any(|candidate| candidate.name == *name);
    let constraints = Constraints { workspace_in: constraints.workspace_in.filter(is_known), ..constraints };
    check(constraints, candidates)?;
    let (mut wanted, mut excluded) = (vec![], vec![]);
    for candidate in candidates {
        match unwanted(constraints, candidate.name, candidate.terms).or_else(|| unable(candidate)) {
            None => wanted.push(candidate),
            Some(why) => excluded.push(Excluded { cluster: candidate.name, why }),
        }
    }
    order::sort(id, &mut wanted, |candidate| (candidate.name, candidate.terms.weight));
    wanted.sort_by_key(|candidate| candidate.facts.is_silent);
    Ok(Choice { order: wanted.iter().map(|candidate| candidate.name).collect(), excluded })
}

/// Returns why the request does not want the cluster, if so.
fn unwanted(constraints: Constraints<'_>, name: &ClusterName, terms: &Terms) -> Option<Exclusion> {
    if constraints.cluster.is_some_and(|wanted| wanted != name) {
        return Some(Exclusion::NotRequested);
    }
    if constraints.selector.is_some_and(|selector| !selector.matches(&terms.labels)) {
        return Some(Exclusion::NotSelected);
    }
    if !terms.offers(constraints.profile) {
        return Some(Exclusion::NotOffered(of_default(constraints.profile)));
    }
    let elsewhere = constraints.workspace_in.filter(|cluster| *cluster != name);
    elsewhere.map(|cluster| Exclusion::WorkspaceElsewhere(cluster.clone()))
}

/// Returns why the cluster cannot take any sandbox at present, if so.
fn unable(Candidate { terms, facts, .. }: &Candidate<'_>) -> Option<Exclusion> {
    if terms.is_draining() {
        return Some(Exclusion::Draining);
    }
    if !facts.is_fresh {
        return Some(Exclusion::Stale);
    }
    if let Some(max) = terms.max_sandboxes.filter(|max| facts.sandboxes >= *max) {
        return Some(Exclusion::Full { max });
    }
    (!facts.accepts_creates).then_some(Exclusion::QueueFull)
}

/// Checks that a cluster meets the constraints, whatever its present state.
fn check(constraints: Constraints<'_>, candidates: &[Candidate<'_>]) -> Result<(), SandboxError> {
    let refused = |why: String| Err(SandboxError::BadRequest(why));
    let offers = |candidate: &&Candidate<'_>| candidate.terms.offers(constraints.profile);
    let profile = of_default(constraints.profile);
    if let Some(cluster) = constraints.cluster {
        let Some(named) = candidates.iter().find(|candidate| candidate.name == cluster) else {
            return Err(unknown_cluster(cluster, candidates.iter().map(|candidate| candidate.name)));
        };
        if !named.terms.offers(constraints.profile) {
            let others = names(candidates.iter().filter(offers));
            return refused(format!(
                "cluster: '{cluster}' does not offer the profile '{profile}'; these clusters do: {others}"
            ));
        }
    }
    if !candidates.iter().any(|candidate| offers(&candidate)) {
        return refused(format!("profile: no cluster offers the profile '{profile}'"));
    }
    let any_workspace = Constraints { workspace_in: None, ..constraints };
    let mut without_workspace =
        candidates.iter().filter(|candidate| any_workspace.allow(candidate.name, candidate.terms));
    if without_workspace.clone().next().is_none() {
        let known = names(candidates.iter());
        return refused(match constraints.cluster {
            Some(cluster) => format!("cluster_selector: it does not select the cluster '{cluster}'"),
            None => format!(
                "cluster_selector: it selects no cluster that offers the profile '{profile}'; the clusters are {known}"
            ),
        });
    }
    match constraints.workspace_in {
        Some(cluster) if !without_workspace.any(|candidate| candidate.name == cluster) => refused(format!(
            "cluster: the workspace of the sandbox is on the cluster '{cluster}', and does not move; ask for that cluster, \
             or delete the workspace"
        )),
        _ => Ok(()),
    }
}

/// Returns the profile of a request, for texts.
fn of_default(profile: Option<&ProfileName>) -> ProfileName {
    profile.cloned().unwrap_or_else(ProfileName::default_profile)
}

/// Returns the error for a request that names a cluster which is none of these.
#[must_use]
pub fn unknown_cluster<'a>(
    cluster: &ClusterName,
    known: impl Iterator<Item = &'a ClusterName>,
) -> SandboxError {
    let known = list(known);
    SandboxError::BadRequest(format!("cluster: there is no cluster '{cluster}'; the clusters are {known}"))
}

/// Returns the names of clusters as a list for a sentence, in alphabetical order.
fn names<'a>(candidates: impl Iterator<Item = &'a Candidate<'a>>) -> String {
    list(candidates.map(|candidate| candidate.name))
}

fn list<'a>(names: impl Iterator<Item = &'a ClusterName>) -> String {
    let mut names: Vec<_> = names.map(ClusterName::as_str).collect();
    names.sort_unstable();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

// === impl Constraints ===

impl Constraints<'_> {
    /// Returns whether a new sandbox may be on this cluster, whatever its present state.
    #[must_use]
    pub fn allow(self, name: &ClusterName, terms: &Terms) -> bool {
        unwanted(self, name, terms).is_none()
    }
}

// === impl Choice ===

impl Choice<'_> {
    /// Returns the clusters that the request wants and that cannot take it at present, with their errors.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusal> {
        self.excluded.iter().filter_map(Excluded::refusal).collect()
    }
}

// === impl Excluded ===

impl Excluded<'_> {
    /// Returns the error for callers; `None` if the request does not want the cluster.
    fn refusal(&self) -> Option<Refusal> {
        let overloaded = |retry_after| SandboxError::Overloaded { what: self.why.to_string(), retry_after };
        let why = match &self.why {
            Exclusion::NotRequested
            | Exclusion::NotSelected
            | Exclusion::NotOffered(_)
            | Exclusion::WorkspaceElsewhere(_) => return None,
            Exclusion::Draining => overloaded(DRAINING_RETRY),
            Exclusion::Stale | Exclusion::Full { .. } | Exclusion::QueueFull => overloaded(FULL_RETRY),
        };
        Some(Refusal { cluster: self.cluster.clone(), why: Box::new(why) })
    }
}

impl fmt::Display for Excluded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster '{}' {}", self.cluster, self.why)
    }
}

impl fmt::Display for Exclusion {
    /// Formats the end of a sentence whose subject is the cluster.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRequested => f.write_str("is not the requested one"),
            Self::NotSelected => f.write_str("does not match the cluster_selector"),
            Self::NotOffered(profile) => write!(f, "does not offer the profile '{profile}'"),
            Self::WorkspaceElsewhere(cluster) => {
                write!(f, "does not have the workspace, which is on the cluster '{cluster}'")
            }
            Self::Draining => f.write_str("is draining"),
            Self::Stale => f.write_str("is away: its state is not known at present"),
            Self::Full { max } => write!(f, "has reached its max_sandboxes of {max}"),
            Self::QueueFull => f.write_str("has too many creates in its queue"),
        }
    }
}

#[cfg(test)]
mod tests;
