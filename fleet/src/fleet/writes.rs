//! The writes: each goes to the cluster of the sandbox.

use lifecycle::{
    error::SandboxError, ids::SandboxId, lifetime::Owner, observed::Status, request::CreateRequest,
};

use super::Fleet;

// === impl Fleet ===

impl Fleet {
    /// Creates the sandbox, or finds it complete.
    pub(super) async fn place(&self, request: CreateRequest) -> Result<Status, SandboxError> {
        let members = self.members();
        members[0].sandboxes.create(request).await
    }

    /// Deletes the sandbox if it exists.
    pub(super) async fn remove(&self, id: SandboxId, owner: Option<Owner>) -> Result<(), SandboxError> {
        let members = self.members();
        members[0].sandboxes.delete(id, owner).await
    }
}
