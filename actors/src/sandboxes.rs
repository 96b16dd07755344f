//! The handle through which the program's routes ask for sandboxes.

use std::sync::Arc;

use lifecycle::{failure::Failure, ids::SandboxId, ports::Cluster, request::CreateRequest, seen::Status};

/// A cheap handle on the supervisor and the status view.
#[derive(Clone)]
pub struct Sandboxes {
    cluster: Arc<dyn Cluster>,
}

// === impl Sandboxes ===

impl Sandboxes {
    /// Makes the sandbox, or finds it made. Ends within the create deadline.
    pub async fn create(&self, request: CreateRequest) -> Result<Status, Failure> {
        self.cluster.check(&request).map_err(Failure::BadRequest)?;
        std::future::pending().await
    }

    /// Deletes the sandbox, or finds it gone. Ends within the delete deadline.
    pub async fn delete(&self, _id: SandboxId) -> Result<(), Failure> {
        std::future::pending().await
    }

    /// What is known of the sandbox; `None` when there is none. Answered from memory.
    pub async fn get(&self, _id: &SandboxId) -> Result<Option<Status>, Failure> {
        std::future::pending().await
    }

    /// All sandboxes that callers may know of, in the order of their ids. Answered from memory.
    pub async fn list(&self) -> Result<Vec<(SandboxId, Status)>, Failure> {
        std::future::pending().await
    }

    /// What stands in the way of serving, by name; empty when all is well.
    #[must_use]
    pub fn missing(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
