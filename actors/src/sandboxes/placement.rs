//! The facts that decide on which cluster a sandbox is made, and whether it may move.

use jiff::Timestamp;
use lifecycle::{
    error::SandboxError, ids::SandboxId, observed::Uid, operation::Operation, placement::moving::DataHome,
    request::CreateRequest, workspace::WorkspaceId,
};

use super::Sandboxes;
use crate::view::STALE_RETRY;

impl Sandboxes {
    /// Returns whether the queue of creates accepts another one.
    #[must_use]
    pub fn accepts_creates(&self) -> bool {
        self.shared.creates.state().room > 0
    }

    /// Returns the time of the wall clock.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.shared.common.clock.wall()
    }

    /// Returns where the data of a sandbox with this request is.
    ///
    /// # Errors
    /// The error for the client, if the request does not fit the settings.
    pub fn data_home(&self, request: &CreateRequest) -> Result<DataHome, SandboxError> {
        self.shared.common.cluster.data_home(request)
    }

    /// Returns whether the cluster has the claim of this workspace; `None` if its claims have not been listed.
    #[must_use]
    pub fn has_workspace(&self, id: &WorkspaceId) -> Option<bool> {
        self.view().has_claim(id)
    }

    /// Sets whether new Pods keep their request, which a move to another cluster needs. They do not at first.
    pub fn keep_requests(&self, keeps_requests: bool) {
        self.shared.common.cluster.keep_requests(keeps_requests);
    }

    /// Reads the request with which the Pod of this uid was created; `None` if the Pod does not keep it.
    ///
    /// # Errors
    /// When the call failed, or when the Pod does not exist.
    pub async fn read_request(&self, id: SandboxId, pod: Uid) -> Result<Option<CreateRequest>, SandboxError> {
        let read = self.shared.common.cluster.read_request(id, pod).await;
        read.map_err(|fault| {
            let retry_after = fault.retry_after.unwrap_or(STALE_RETRY);
            SandboxError::Unavailable { operation: Operation::Read, fault, retry_after }
        })
    }
}
