//! Whether a sandbox may move to another cluster.

use super::Terms;
use crate::{
    ids::ClusterName,
    lifetime::LimitsPatch,
    request::{Change, CreateRequest},
    spec::Resources,
    workspace::WorkspaceId,
};

/// Where the data of a sandbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataHome {
    /// It has no data outside of its containers.
    Nowhere,
    /// Below this directory of a node.
    Node(String),
    /// In this claim, which the settings name.
    Claim(String),
    /// In its workspace.
    Workspace(WorkspaceId),
}

/// Checks whether a sandbox may move between two clusters. Its data does not move, so it must be the same on both.
///
/// # Errors
/// A sentence for callers.
pub fn check(
    home: &DataHome,
    (from, source): (&ClusterName, &Terms),
    (to, target): (&ClusterName, &Terms),
) -> Result<(), String> {
    let place = match home {
        DataHome::Nowhere => return Ok(()),
        DataHome::Workspace(id) => {
            return Err(format!("its workspace {id} is on the cluster '{from}', and workspaces do not move"));
        }
        DataHome::Node(path) => format!("below {path} on a node of the cluster '{from}'"),
        DataHome::Claim(claim) => format!("in the claim '{claim}' of the cluster '{from}'"),
    };
    let not_shared = [(from, source), (to, target)].into_iter().filter(|(_, terms)| !terms.shares_data);
    let keys: Vec<_> =
        not_shared.map(|(cluster, _)| format!("clusters.{cluster}.shares_data = true")).collect();
    if keys.is_empty() {
        return Ok(());
    }
    Err(format!(
        "its data is {place} and does not move; if both clusters mount the same storage there, set {}",
        keys.join(" and ")
    ))
}

/// Returns the changes of a sandbox since it was read for a move, which its Pod on the other cluster does not have yet.
#[must_use]
pub fn late_change(read: &CreateRequest, now: &CreateRequest) -> Change {
    let Resources { cpu, memory, ephemeral_storage: _ } = &now.overrides.resources;
    let before = &read.overrides.resources;
    Change {
        limits: LimitsPatch {
            ttl: changed(&read.limits.ttl, &now.limits.ttl),
            idle_timeout: changed(&read.limits.idle_timeout, &now.limits.idle_timeout),
        },
        // A resize can change these two, and cannot remove a limit.
        resources: Resources {
            cpu: changed(&before.cpu, cpu).flatten(),
            memory: changed(&before.memory, memory).flatten(),
            ephemeral_storage: None,
        },
    }
}

/// Returns the new value if it is another.
fn changed<T: Clone + PartialEq>(before: &T, now: &T) -> Option<T> {
    (before != now).then(|| now.clone())
}

#[cfg(test)]
mod tests;
