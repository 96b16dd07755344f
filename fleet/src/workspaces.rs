//! The workspaces of all clusters.

use actors::workspaces::{self, WorkspaceStatus};
use lifecycle::{error::SandboxError, ids::ClusterName, workspace::WorkspaceId};

use crate::list::Listing;

/// The workspaces of the clusters that have some. Several clusters may have a workspace with the same id: those of one
/// thread whose sandboxes were created on several clusters.
#[derive(Clone, Default)]
pub struct Workspaces(pub(crate) Vec<(ClusterName, workspaces::Workspaces)>);

// === impl Workspaces ===

impl Workspaces {
    /// Returns all workspaces, in the order of the clusters and of their ids.
    ///
    /// # Errors
    /// If the workspaces of no cluster are known.
    pub fn list(&self) -> Result<Listing<(ClusterName, WorkspaceStatus)>, SandboxError> {
        Listing::merge(self.0.iter().map(|(cluster, workspaces)| {
            let named = |list: Vec<_>| list.into_iter().map(|status| (cluster.clone(), status)).collect();
            (cluster.clone(), workspaces.list().map(named))
        }))
    }

    /// Deletes the workspace on every cluster that has it; returns whether there was one.
    ///
    /// # Errors
    /// The first error of a cluster. The workspace may be deleted on others.
    pub async fn delete(&self, id: &WorkspaceId) -> Result<bool, SandboxError> {
        let mut existed = false;
        for (_, workspaces) in &self.0 {
            existed |= workspaces.delete(id).await?;
        }
        Ok(existed)
    }

    /// Enlarges the workspace on every cluster that has it, and returns the first; `None` if there is none.
    ///
    /// # Errors
    /// The first error of a cluster. The workspace may be enlarged on others.
    pub async fn enlarge(
        &self,
        id: &WorkspaceId,
        size: &str,
    ) -> Result<Option<(ClusterName, WorkspaceStatus)>, SandboxError> {
        let mut first = None;
        for (cluster, workspaces) in &self.0 {
            if let Some(status) = workspaces.enlarge(id, size).await? {
                first = first.or(Some((cluster.clone(), status)));
            }
        }
        Ok(first)
    }
}
