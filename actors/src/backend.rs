//! The calls of the HTTP API.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use jiff::Timestamp;
use lifecycle::{
    error::SandboxError,
    ids::SandboxId,
    lifetime::Owner,
    network::NetworkReport,
    observed::{Status, Uid},
    request::{Change, CreateRequest},
    timeline::Report,
};
use tokio::time::Instant;

use crate::{
    reap_log::Reaped,
    view::{Position, Revision, Start, change_reader::ChangeReader},
    workspaces::Workspaces,
};

/// The state of the reaper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaperState {
    /// Until when reaping is stopped, because too many sandboxes were due.
    pub stopped_until: Option<Timestamp>,
    /// The number of sandboxes reaped since the start.
    pub reaped: u64,
    /// The number of sandboxes that would have been reaped without the dry run.
    pub dry_runs: u64,
}

/// The state of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterState {
    /// The version of its API server, if it is known.
    pub version: Option<Arc<str>>,
    /// Since when its state is known without a break; `None` while it is not.
    pub fresh_since: Option<Timestamp>,
    /// The number of sandboxes by status, as they were observed last.
    pub sandboxes: BTreeMap<&'static str, u64>,
    /// How many of them are ready.
    pub ready: u64,
    /// The creates in progress.
    pub creates: Creates,
}

/// The creates in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Creates {
    /// How many are being executed.
    pub running: usize,
    /// How many wait.
    pub waiting: usize,
    /// How many are executed at the same time at most.
    pub running_max: usize,
    /// How many more are accepted now.
    pub room: usize,
}

/// The calls of the HTTP API. `Sandboxes` implements them, and tests use fakes. Cheap to
/// clone: each request has its own clone.
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

    /// Returns the state of the network policies and of their check.
    fn network(&self) -> NetworkReport {
        NetworkReport::default()
    }

    /// Starts a check whether the network policies are enforced, unless one is running.
    fn check_network(&self) {}

    /// Returns the workspaces; `None` if no profile has one.
    fn workspaces(&self) -> Option<&Workspaces> {
        None
    }

    /// Returns the state of the sandbox; `None` if it does not exist.
    fn get(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Status>, SandboxError>> + Send;

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

    /// Returns all sandboxes that a LIST contains, in the order of their ids.
    fn list(&self) -> impl Future<Output = Result<Vec<(SandboxId, Status)>, SandboxError>> + Send;

    /// Returns the sandboxes of a LIST that match and whose ids come after this one, in the order of their ids.
    fn list_after(
        &self,
        after: Option<SandboxId>,
        matches: impl Fn(&Status) -> bool + Send,
    ) -> impl Future<Output = Result<Vec<(SandboxId, Status)>, SandboxError>> + Send {
        async move {
            let mut all = self.list().await?;
            all.retain(|(id, status)| after.as_ref().is_none_or(|after| id > after) && matches(status));
            Ok(all)
        }
    }

    /// Returns the position in the log of changes. A list that is made later has all changes up to it.
    fn position(&self) -> Position;

    /// Returns the state of the cluster. Waits a moment for its version if that is not known.
    fn cluster(&self) -> impl Future<Output = ClusterState> + Send {
        async { ClusterState::default() }
    }

    /// Returns the revision of the list: equal revisions mean equal lists, and a revision read before a list is never
    /// newer than that list. Fails if a list would fail.
    fn revision(&self) -> impl Future<Output = Result<Revision, SandboxError>> + Send;
}
