//! The calls of the HTTP API.

use std::{future::Future, sync::Arc};

use actors::sandboxes::Reaped;
pub use actors::state::{ClusterState, Creates, ReaperState};
pub use actors::view::Shown;
use lifecycle::{
    error::SandboxError,
    ids::{ClusterName, SandboxId},
    lifetime::Owner,
    log::{LogQuery, LogStream, LogText},
    network::{Enforced, NetworkReport},
    observed::{Status, Uid},
    placement::Terms,
    request::{Change, CreateRequest},
    timeline::Report,
};
use tokio::time::Instant;

use crate::{
    Move,
    changes::ChangeReader,
    check::Check,
    list::Listing,
    position::{Position, Revision, Start},
    workspaces::Workspaces,
};

/// A cluster, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterReport {
    /// Its name.
    pub name: ClusterName,
    /// The terms on which it gets sandboxes.
    pub terms: Terms,
    /// Whether it gets none because an operator drains it, whatever its weight.
    pub is_drained: bool,
    /// How many more sandboxes it may get; `None` for any number.
    pub room: Option<u64>,
    /// The state of its sandboxes and creates.
    pub state: ClusterState,
    /// Its checks.
    pub checks: Vec<Check>,
}

/// A change of a cluster while the daemon runs. It is forgotten when the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClusterChange {
    /// The new weight, at most [`Terms::WEIGHT_MAX`].
    pub weight: Option<u16>,
    /// Whether the cluster gets no new sandboxes, whatever its weight.
    pub drain: Option<bool>,
}

/// The calls of the HTTP API. [`Fleet`](crate::Fleet) implements them, and tests use fakes. Cheap to clone: each request has
/// its own clone.
///
/// A future may be dropped when the client disconnects or the deadline passes. The backend decides whether the
/// work continues.
pub trait Backend: Clone + Send + Sync + 'static {
    /// The right to wait for one sandbox.
    type WaitPermit: Send;

    /// Creates the sandbox, or finds it complete.
    fn create(&self, request: CreateRequest) -> impl Future<Output = Result<Status, SandboxError>> + Send;

    /// Deletes the sandbox if it exists. After an error the deletion is still completed, once the cluster allows it.
    fn delete(
        &self,
        id: SandboxId,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<(), SandboxError>> + Send;

    /// Records activity of the sandbox; `None` if it does not exist.
    fn touch(
        &self,
        id: SandboxId,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<Option<Status>, SandboxError>> + Send;

    /// Changes the sandbox's limits, resizes it in place, or both, and records activity; `None` if it does not exist. Both
    /// are checked before anything is written. The resize comes first.
    fn change(
        &self,
        id: SandboxId,
        change: Change,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<Option<Status>, SandboxError>> + Send;

    /// Returns when and why the sandbox was reaped, if that was recent and it was not created again since.
    fn reaped(&self, id: &SandboxId) -> Option<Reaped>;

    /// Returns the state of the reaper.
    fn reaper(&self) -> ReaperState;

    /// Resumes the reaper; returns whether it was stopped.
    fn resume_reaping(&self) -> bool;

    /// Returns the state of the network policies of each cluster, and of their check.
    fn networks(&self) -> Vec<(ClusterName, NetworkReport)> {
        vec![(ClusterName::DEFAULT, NetworkReport::default())]
    }

    /// Returns whether the cluster enforces network policies, as far as it is known.
    fn enforced(&self, _cluster: &ClusterName) -> Enforced {
        Enforced::Unknown
    }

    /// Starts a check on each cluster whether the network policies are enforced, unless one is running there.
    fn check_network(&self) {}

    /// Returns the workspaces of the clusters whose profiles have some.
    fn workspaces(&self) -> Workspaces {
        Workspaces::default()
    }

    /// Returns the state of the sandbox; `None` if it does not exist.
    fn get(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Arc<Shown>>, SandboxError>> + Send;

    /// Takes a permit for [`Backend::settled`]. Fails if too many requests are waiting.
    fn wait_permit(&self, id: &SandboxId) -> Result<Self::WaitPermit, SandboxError>;

    /// Waits until the sandbox of the permit is ready or has failed for good, at most until `end`, and not while the
    /// daemon drains. Returns the state that it has reached; `None` if it does not exist any more.
    fn settled(
        &self,
        permit: Self::WaitPermit,
        end: Instant,
    ) -> impl Future<Output = Result<Option<Status>, SandboxError>> + Send;

    /// Reports what happened to the sandbox, or to the last one with this id if it ended within the last hour; `None` if
    /// there is neither.
    fn timeline(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Report>, SandboxError>> + Send;

    /// Reads the log of a container of the sandbox; `None` if the sandbox does not exist.
    fn log(
        &self,
        id: &SandboxId,
        query: LogQuery,
    ) -> impl Future<Output = Result<Option<LogText>, SandboxError>> + Send;

    /// Follows the log of a container of the sandbox, until the container or the sandbox ends, or the daemon drains; `None`
    /// if the sandbox does not exist. Fails if too many are reading streams.
    fn follow_log(
        &self,
        id: &SandboxId,
        query: LogQuery,
    ) -> impl Future<Output = Result<Option<LogStream>, SandboxError>> + Send;

    /// Returns the uid of the sandbox's Pod; `None` if there is no Pod. An error if this is unknown.
    fn presence(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Uid>, SandboxError>> + Send;

    /// Returns a reader of the changes of all sandboxes. Fails if too many are reading, or if a list would fail.
    fn changes(&self, start: Start) -> impl Future<Output = Result<ChangeReader, SandboxError>> + Send;

    /// Returns a reader of the changes of one sandbox; `None` if it does not exist, and the reader knows that. Fails if
    /// too many are reading, or if a GET would fail.
    fn changes_of(
        &self,
        id: &SandboxId,
        start: Start,
    ) -> impl Future<Output = Result<Option<ChangeReader>, SandboxError>> + Send;

    /// Returns all sandboxes of the clusters that the revision includes, in the order of their ids.
    fn list(
        &self,
        of: &Revision,
    ) -> impl Future<Output = Result<Listing<(SandboxId, Status)>, SandboxError>> + Send;

    /// Returns those of them that match and whose ids come after this one, in the order of their ids.
    fn list_after(
        &self,
        of: &Revision,
        after: Option<SandboxId>,
        matches: impl Fn(&Status) -> bool + Send + Sync,
    ) -> impl Future<Output = Result<Listing<(SandboxId, Status)>, SandboxError>> + Send {
        async move {
            let mut all = self.list(of).await?;
            all.items.retain(|(id, status)| after.as_ref().is_none_or(|after| id > after) && matches(status));
            Ok(all)
        }
    }

    /// Returns the position in the logs of changes. A list of this revision that is made later has all changes up to it.
    fn position(&self, of: &Revision) -> Position;

    /// Returns the names of the clusters, in their order.
    fn cluster_names(&self) -> Vec<ClusterName> {
        vec![ClusterName::DEFAULT]
    }

    /// Returns the clusters. Waits a moment for the versions that are not known.
    fn clusters(&self) -> impl Future<Output = Vec<ClusterReport>> + Send {
        async { Vec::new() }
    }

    /// Returns the cluster with this name; `None` if there is none. Waits a moment for its version if that is not known.
    fn cluster(&self, name: &ClusterName) -> impl Future<Output = Option<ClusterReport>> + Send {
        async move { self.clusters().await.into_iter().find(|report| report.name == *name) }
    }

    /// Changes a cluster, and returns it; `None` if there is no such cluster.
    fn change_cluster(
        &self,
        _name: &ClusterName,
        _change: ClusterChange,
    ) -> impl Future<Output = Option<ClusterReport>> + Send {
        async { None }
    }

    /// Moves a sandbox to another cluster, and records activity. Returns once it is there, or shortly before a
    /// POST's deadline; `None` if the sandbox does not exist. After an error it stays as it was.
    fn move_to(
        &self,
        id: SandboxId,
        to: ClusterName,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<Option<Move>, SandboxError>> + Send;

    /// Returns the revision of the list of all clusters whose state is known: equal revisions mean equal lists, and a
    /// revision read before a list is never newer than that list. Fails if the state of no cluster is known.
    fn revision(&self) -> impl Future<Output = Result<Revision, SandboxError>> + Send;
}
