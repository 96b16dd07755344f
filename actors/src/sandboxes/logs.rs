//! The logs of sandboxes, which are read from the cluster.

use lifecycle::{
    error::SandboxError,
    ids::SandboxId,
    log::{self, LogQuery, LogStream, LogText},
    observed::{Status, Uid},
};

use super::{Inner, Sandboxes};
use crate::log_stream;

impl Sandboxes {
    /// Reads the log of a container of the sandbox; `None` if the sandbox does not exist.
    ///
    /// # Errors
    /// The error for the caller, if there is no log, or it cannot be read.
    pub async fn log(&self, id: &SandboxId, query: LogQuery) -> Result<Option<LogText>, SandboxError> {
        if self.pod_with_log(id).await?.is_none() {
            return Ok(None);
        }
        let text = self.shared.common.cluster.read_log(id.clone(), query).await;
        text.map_or_else(|fault| log::failure(id, fault).map_or(Ok(None), Err), |text| Ok(Some(text)))
    }

    /// Follows the log of a container of the sandbox, until the container or the sandbox ends, or the daemon drains; `None`
    /// if the sandbox does not exist.
    ///
    /// # Errors
    /// The error for the caller, also if too many are reading streams.
    pub async fn follow_log(
        &self,
        id: &SandboxId,
        query: LogQuery,
    ) -> Result<Option<LogStream>, SandboxError> {
        let permit = self.stream_permit()?;
        let Some(pod) = self.pod_with_log(id).await? else { return Ok(None) };
        let Inner { common, draining, .. } = &*self.shared;
        match common.cluster.follow_log(id.clone(), query).await {
            Ok(text) => {
                let gone = common.view.clone().pod_gone(id.clone(), pod);
                Ok(Some(log_stream::until(text, gone, draining.clone(), permit)))
            }
            Err(fault) => log::failure(id, fault).map_or(Ok(None), Err),
        }
    }

    /// Returns the uid of the sandbox's Pod; `None` if callers see no sandbox. Fails if the Pod cannot have a log yet.
    async fn pod_with_log(&self, id: &SandboxId) -> Result<Option<Uid>, SandboxError> {
        self.fresh().await?;
        self.readable(id)?;
        let Some(Status { pod, phase, .. }) = self.view().status(id) else { return Ok(None) };
        log::check_start(id, phase, &self.view().pod_times(id))?;
        Ok(Some(pod))
    }
}
