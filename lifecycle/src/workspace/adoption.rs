//! Whether a create may use a claim that exists already.

use super::{
    Scope, WhenDeleted, Workspace,
    claim::{ClaimPhase, ObservedClaim},
};
use crate::error::{ClusterError, ClusterErrorKind};

/// The decision about an existing claim with the name of the wanted one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Adoption {
    /// Use it, after its annotations say so.
    Use,
    /// It is being deleted. Look again.
    Wait,
    /// It has the data of an earlier sandbox and was to be deleted with that one. Delete it and create another.
    Replace,
    /// It cannot be used, for this reason.
    Refuse(ClusterError),
}

/// Decides about an existing claim. `found` is `None` if the object of that name is not a workspace of this program.
pub fn adopt(wanted: &Workspace, found: Option<&ObservedClaim>) -> Adoption {
    let name = format!("PersistentVolumeClaim \"workspace-{}\"", wanted.id);
    let refuse = |kind, why: String| Adoption::Refuse(ClusterError::new(kind, &format!("{name} {why}")));
    let Some(found) = found.filter(|found| found.ids == wanted.ids) else {
        let why = "is not managed by this service; rename or delete it".to_owned();
        return refuse(ClusterErrorKind::WorkspaceNotOurs, why);
    };
    if found.terminating {
        return Adoption::Wait;
    }
    if found.ids.scope == Scope::Sandbox && found.when_deleted == WhenDeleted::Delete {
        return Adoption::Replace;
    }
    if found.phase == ClaimPhase::Lost {
        let why =
            "has lost its volume, and its data with it; delete the workspace to start with an empty one";
        return refuse(ClusterErrorKind::WorkspaceLost, why.to_owned());
    }
    if found.usable().bytes < wanted.size.bytes {
        let why =
            format!("has {}, and {} is asked for; enlarge the workspace", found.size.text, wanted.size.text);
        return refuse(ClusterErrorKind::WorkspaceMismatch, why);
    }
    if let Some(class) = &wanted.storage_class
        && found.storage_class.as_ref() != Some(class)
    {
        let has = found.storage_class.as_deref().unwrap_or_default();
        let why = format!("has the storage class {has:?}, and {class:?} is asked for");
        return refuse(ClusterErrorKind::WorkspaceMismatch, why);
    }
    if !found.access_modes.contains(&wanted.access_mode) {
        let has = found.access_modes.join(", ");
        let why = format!("has the access mode {has}, and {} is asked for", wanted.access_mode);
        return refuse(ClusterErrorKind::WorkspaceMismatch, why);
    }
    Adoption::Use
}

#[cfg(test)]
mod tests;
