//! Whether a sandbox may move to another cluster.

use super::Terms;
use crate::{ids::ClusterName, workspace::WorkspaceId};

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

#[cfg(test)]
mod tests;
